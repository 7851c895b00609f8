from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.family import check_family
from ..models.family import Family
from ..types import UNSET, Unset
from typing import cast

if TYPE_CHECKING:
  from ..models.peering_patch_labels import PeeringPatchLabels
  from ..models.prefix_rule_in import PrefixRuleIn





T = TypeVar("T", bound="PeeringPatch")



@_attrs_define
class PeeringPatch:
    """ What of a peering is to change. Its relay stays: make another one there.

     """

    name: str | Unset = UNSET
    address: str | Unset = UNSET
    asn: int | Unset = UNSET
    interface: str | Unset = UNSET
    source: str | Unset = UNSET
    local_asn: int | None | Unset = UNSET
    """ Null: the relay's own private number. """
    families: list[Family] | Unset = UNSET
    imports: list[PrefixRuleIn] | Unset = UNSET
    """ Replaces all import rules. """
    exports: list[PrefixRuleIn] | Unset = UNSET
    """ Replaces all export rules. """
    accept_everything: bool | Unset = UNSET
    announce_everything: bool | Unset = UNSET
    import_limit: int | Unset = UNSET
    export_limit: int | Unset = UNSET
    password: None | str | Unset = UNSET
    """ Replaces the password; null removes it. """
    bfd: bool | Unset = UNSET
    multihop: int | Unset = UNSET
    ttl_security: bool | Unset = UNSET
    passive: bool | Unset = UNSET
    hold_time: int | Unset = UNSET
    restart_time: int | Unset = UNSET
    preference: int | Unset = UNSET
    enabled: bool | Unset = UNSET
    labels: PeeringPatchLabels | Unset = UNSET
    """ Replaces all labels. """





    def to_dict(self) -> dict[str, Any]:
        from ..models.peering_patch_labels import PeeringPatchLabels # noqa: PLC0415
        from ..models.prefix_rule_in import PrefixRuleIn # noqa: PLC0415
        name = self.name

        address = self.address

        asn = self.asn

        interface = self.interface

        source = self.source

        local_asn: int | None | Unset
        if isinstance(self.local_asn, Unset):
            local_asn = UNSET
        else:
            local_asn = self.local_asn

        families: list[str] | Unset = UNSET
        if not isinstance(self.families, Unset):
            families = []
            for families_item_data in self.families:
                families_item: str = families_item_data
                families.append(families_item)



        imports: list[dict[str, Any]] | Unset = UNSET
        if not isinstance(self.imports, Unset):
            imports = []
            for imports_item_data in self.imports:
                imports_item = imports_item_data.to_dict()
                imports.append(imports_item)



        exports: list[dict[str, Any]] | Unset = UNSET
        if not isinstance(self.exports, Unset):
            exports = []
            for exports_item_data in self.exports:
                exports_item = exports_item_data.to_dict()
                exports.append(exports_item)



        accept_everything = self.accept_everything

        announce_everything = self.announce_everything

        import_limit = self.import_limit

        export_limit = self.export_limit

        password: None | str | Unset
        if isinstance(self.password, Unset):
            password = UNSET
        else:
            password = self.password

        bfd = self.bfd

        multihop = self.multihop

        ttl_security = self.ttl_security

        passive = self.passive

        hold_time = self.hold_time

        restart_time = self.restart_time

        preference = self.preference

        enabled = self.enabled

        labels: dict[str, Any] | Unset = UNSET
        if not isinstance(self.labels, Unset):
            labels = self.labels.to_dict()


        field_dict: dict[str, Any] = {}

        field_dict.update({
        })
        if name is not UNSET:
            field_dict["name"] = name
        if address is not UNSET:
            field_dict["address"] = address
        if asn is not UNSET:
            field_dict["asn"] = asn
        if interface is not UNSET:
            field_dict["interface"] = interface
        if source is not UNSET:
            field_dict["source"] = source
        if local_asn is not UNSET:
            field_dict["local_asn"] = local_asn
        if families is not UNSET:
            field_dict["families"] = families
        if imports is not UNSET:
            field_dict["imports"] = imports
        if exports is not UNSET:
            field_dict["exports"] = exports
        if accept_everything is not UNSET:
            field_dict["accept_everything"] = accept_everything
        if announce_everything is not UNSET:
            field_dict["announce_everything"] = announce_everything
        if import_limit is not UNSET:
            field_dict["import_limit"] = import_limit
        if export_limit is not UNSET:
            field_dict["export_limit"] = export_limit
        if password is not UNSET:
            field_dict["password"] = password
        if bfd is not UNSET:
            field_dict["bfd"] = bfd
        if multihop is not UNSET:
            field_dict["multihop"] = multihop
        if ttl_security is not UNSET:
            field_dict["ttl_security"] = ttl_security
        if passive is not UNSET:
            field_dict["passive"] = passive
        if hold_time is not UNSET:
            field_dict["hold_time"] = hold_time
        if restart_time is not UNSET:
            field_dict["restart_time"] = restart_time
        if preference is not UNSET:
            field_dict["preference"] = preference
        if enabled is not UNSET:
            field_dict["enabled"] = enabled
        if labels is not UNSET:
            field_dict["labels"] = labels

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.peering_patch_labels import PeeringPatchLabels # noqa: PLC0415
        from ..models.prefix_rule_in import PrefixRuleIn # noqa: PLC0415
        d = dict(src_dict)
        name = d.pop("name", UNSET)

        address = d.pop("address", UNSET)

        asn = d.pop("asn", UNSET)

        interface = d.pop("interface", UNSET)

        source = d.pop("source", UNSET)

        def _parse_local_asn(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        local_asn = _parse_local_asn(d.pop("local_asn", UNSET))


        _families = d.pop("families", UNSET)
        families: list[Family] | Unset = UNSET
        if _families is not UNSET:
            families = []
            for families_item_data in _families:
                families_item = check_family(families_item_data)



                families.append(families_item)


        _imports = d.pop("imports", UNSET)
        imports: list[PrefixRuleIn] | Unset = UNSET
        if _imports is not UNSET:
            imports = []
            for imports_item_data in _imports:
                imports_item = PrefixRuleIn.from_dict(imports_item_data)



                imports.append(imports_item)


        _exports = d.pop("exports", UNSET)
        exports: list[PrefixRuleIn] | Unset = UNSET
        if _exports is not UNSET:
            exports = []
            for exports_item_data in _exports:
                exports_item = PrefixRuleIn.from_dict(exports_item_data)



                exports.append(exports_item)


        accept_everything = d.pop("accept_everything", UNSET)

        announce_everything = d.pop("announce_everything", UNSET)

        import_limit = d.pop("import_limit", UNSET)

        export_limit = d.pop("export_limit", UNSET)

        def _parse_password(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        password = _parse_password(d.pop("password", UNSET))


        bfd = d.pop("bfd", UNSET)

        multihop = d.pop("multihop", UNSET)

        ttl_security = d.pop("ttl_security", UNSET)

        passive = d.pop("passive", UNSET)

        hold_time = d.pop("hold_time", UNSET)

        restart_time = d.pop("restart_time", UNSET)

        preference = d.pop("preference", UNSET)

        enabled = d.pop("enabled", UNSET)

        _labels = d.pop("labels", UNSET)
        labels: PeeringPatchLabels | Unset
        if isinstance(_labels,  Unset):
            labels = UNSET
        else:
            labels = PeeringPatchLabels.from_dict(_labels)




        peering_patch = cls(
            name=name,
            address=address,
            asn=asn,
            interface=interface,
            source=source,
            local_asn=local_asn,
            families=families,
            imports=imports,
            exports=exports,
            accept_everything=accept_everything,
            announce_everything=announce_everything,
            import_limit=import_limit,
            export_limit=export_limit,
            password=password,
            bfd=bfd,
            multihop=multihop,
            ttl_security=ttl_security,
            passive=passive,
            hold_time=hold_time,
            restart_time=restart_time,
            preference=preference,
            enabled=enabled,
            labels=labels,
        )

        return peering_patch

