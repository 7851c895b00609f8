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
  from ..models.peering_new_labels import PeeringNewLabels
  from ..models.prefix_rule_in import PrefixRuleIn





T = TypeVar("T", bound="PeeringNew")



@_attrs_define
class PeeringNew:
    """ A BGP session of one relay with a router outside (RFC 4271). What no rule names is refused, both ways.

     """

    name: str
    relay: str
    """ Which relay holds the session; it stays so. """
    address: str
    """ The neighbour's. """
    asn: int
    """ The neighbour's AS number. """
    interface: str | Unset = ''
    """ For a link-local neighbour: the interface of the relay's host. """
    source: str | Unset = ''
    """ Our end; empty: what the routing table says. """
    local_asn: int | None | Unset = UNSET
    """ What we call ourselves; null: the relay's own private number. """
    families: list[Family] | None | Unset = UNSET
    """ What the session carries; null: the address's own family. """
    imports: list[PrefixRuleIn] | Unset = UNSET
    """ What is accepted; empty: nothing. """
    exports: list[PrefixRuleIn] | Unset = UNSET
    """ What is announced; empty: nothing. """
    accept_everything: bool | Unset = False
    """ Says aloud that import rules, one or all together, are as wide as the internet, or a default route. """
    announce_everything: bool | Unset = False
    """ Says the same of export rules. """
    import_limit: int | Unset = 1000
    """ Routes of one family; beyond it the session is taken down and tried again later. """
    export_limit: int | Unset = 1000
    password: None | str | Unset = UNSET
    """ TCP MD5 (RFC 2385); sealed for the relay at once and never shown. """
    bfd: bool | Unset = False
    multihop: int | Unset = 0
    """ Most hops to the neighbour; 0: it is on a network of the host. """
    ttl_security: bool | Unset = False
    """ RFC 5082: packets that were forwarded are refused. """
    passive: bool | Unset = False
    """ Wait for the neighbour to connect. """
    hold_time: int | Unset = 90
    """ Seconds. """
    restart_time: int | Unset = 120
    """ Seconds for which routes outlive the neighbour's restart (RFC 4724); 0: they do not. """
    preference: int | Unset = 100
    """ Among peerings that tell the same, the highest wins. """
    enabled: bool | Unset = True
    labels: PeeringNewLabels | Unset = UNSET





    def to_dict(self) -> dict[str, Any]:
        from ..models.peering_new_labels import PeeringNewLabels # noqa: PLC0415
        from ..models.prefix_rule_in import PrefixRuleIn # noqa: PLC0415
        name = self.name

        relay = self.relay

        address = self.address

        asn = self.asn

        interface = self.interface

        source = self.source

        local_asn: int | None | Unset
        if isinstance(self.local_asn, Unset):
            local_asn = UNSET
        else:
            local_asn = self.local_asn

        families: list[str] | None | Unset
        if isinstance(self.families, Unset):
            families = UNSET
        elif isinstance(self.families, list):
            families = []
            for families_type_0_item_data in self.families:
                families_type_0_item: str = families_type_0_item_data
                families.append(families_type_0_item)


        else:
            families = self.families

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
            "name": name,
            "relay": relay,
            "address": address,
            "asn": asn,
        })
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
        from ..models.peering_new_labels import PeeringNewLabels # noqa: PLC0415
        from ..models.prefix_rule_in import PrefixRuleIn # noqa: PLC0415
        d = dict(src_dict)
        name = d.pop("name")

        relay = d.pop("relay")

        address = d.pop("address")

        asn = d.pop("asn")

        interface = d.pop("interface", UNSET)

        source = d.pop("source", UNSET)

        def _parse_local_asn(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        local_asn = _parse_local_asn(d.pop("local_asn", UNSET))


        def _parse_families(data: object) -> list[Family] | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, list):
                    raise TypeError()
                families_type_0 = []
                _families_type_0 = data
                for families_type_0_item_data in (_families_type_0):
                    families_type_0_item = check_family(families_type_0_item_data)



                    families_type_0.append(families_type_0_item)

                return families_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(list[Family] | None | Unset, data)

        families = _parse_families(d.pop("families", UNSET))


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
        labels: PeeringNewLabels | Unset
        if isinstance(_labels,  Unset):
            labels = UNSET
        else:
            labels = PeeringNewLabels.from_dict(_labels)




        peering_new = cls(
            name=name,
            relay=relay,
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

        return peering_new

