from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.family import check_family
from ..models.family import Family
from ..models.standing import check_standing
from ..models.standing import Standing
from typing import cast
import datetime

if TYPE_CHECKING:
  from ..models.peering_labels import PeeringLabels
  from ..models.peering_remark import PeeringRemark
  from ..models.prefix_rule_out import PrefixRuleOut
  from ..models.session import Session





T = TypeVar("T", bound="Peering")



@_attrs_define
class Peering:
    """ A peering, how its session is, and what is worth a word.

     """

    id: str
    network: str
    relay: str
    name: str
    address: str
    asn: int
    interface: str
    source: str
    local_asn: int | None
    families: list[Family]
    imports: list[PrefixRuleOut]
    exports: list[PrefixRuleOut]
    accept_everything: bool
    announce_everything: bool
    import_limit: int
    export_limit: int
    password_set: bool
    bfd: bool
    multihop: int
    ttl_security: bool
    passive: bool
    hold_time: int
    restart_time: int
    preference: int
    enabled: bool
    labels: PeeringLabels
    standing: Standing
    """ How a session stands. """
    standing_since: datetime.datetime
    session: None | Session
    """ What the relay last said of it; null: nothing yet. """
    remarks: list[PeeringRemark]
    version: int
    created_at: datetime.datetime
    updated_at: datetime.datetime
    change: int | None
    """ Number of the change that this request was. """





    def to_dict(self) -> dict[str, Any]:
        from ..models.peering_labels import PeeringLabels # noqa: PLC0415
        from ..models.peering_remark import PeeringRemark # noqa: PLC0415
        from ..models.prefix_rule_out import PrefixRuleOut # noqa: PLC0415
        from ..models.session import Session # noqa: PLC0415
        id = self.id

        network = self.network

        relay = self.relay

        name = self.name

        address = self.address

        asn = self.asn

        interface = self.interface

        source = self.source

        local_asn: int | None
        local_asn = self.local_asn

        families = []
        for families_item_data in self.families:
            families_item: str = families_item_data
            families.append(families_item)



        imports = []
        for imports_item_data in self.imports:
            imports_item = imports_item_data.to_dict()
            imports.append(imports_item)



        exports = []
        for exports_item_data in self.exports:
            exports_item = exports_item_data.to_dict()
            exports.append(exports_item)



        accept_everything = self.accept_everything

        announce_everything = self.announce_everything

        import_limit = self.import_limit

        export_limit = self.export_limit

        password_set = self.password_set

        bfd = self.bfd

        multihop = self.multihop

        ttl_security = self.ttl_security

        passive = self.passive

        hold_time = self.hold_time

        restart_time = self.restart_time

        preference = self.preference

        enabled = self.enabled

        labels = self.labels.to_dict()

        standing: str = self.standing

        standing_since = self.standing_since.isoformat()

        session: dict[str, Any] | None
        if isinstance(self.session, Session):
            session = self.session.to_dict()
        else:
            session = self.session

        remarks = []
        for remarks_item_data in self.remarks:
            remarks_item = remarks_item_data.to_dict()
            remarks.append(remarks_item)



        version = self.version

        created_at = self.created_at.isoformat()

        updated_at = self.updated_at.isoformat()

        change: int | None
        change = self.change


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "id": id,
            "network": network,
            "relay": relay,
            "name": name,
            "address": address,
            "asn": asn,
            "interface": interface,
            "source": source,
            "local_asn": local_asn,
            "families": families,
            "imports": imports,
            "exports": exports,
            "accept_everything": accept_everything,
            "announce_everything": announce_everything,
            "import_limit": import_limit,
            "export_limit": export_limit,
            "password_set": password_set,
            "bfd": bfd,
            "multihop": multihop,
            "ttl_security": ttl_security,
            "passive": passive,
            "hold_time": hold_time,
            "restart_time": restart_time,
            "preference": preference,
            "enabled": enabled,
            "labels": labels,
            "standing": standing,
            "standing_since": standing_since,
            "session": session,
            "remarks": remarks,
            "version": version,
            "created_at": created_at,
            "updated_at": updated_at,
            "change": change,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.peering_labels import PeeringLabels # noqa: PLC0415
        from ..models.peering_remark import PeeringRemark # noqa: PLC0415
        from ..models.prefix_rule_out import PrefixRuleOut # noqa: PLC0415
        from ..models.session import Session # noqa: PLC0415
        d = dict(src_dict)
        id = d.pop("id")

        network = d.pop("network")

        relay = d.pop("relay")

        name = d.pop("name")

        address = d.pop("address")

        asn = d.pop("asn")

        interface = d.pop("interface")

        source = d.pop("source")

        def _parse_local_asn(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        local_asn = _parse_local_asn(d.pop("local_asn"))


        families = []
        _families = d.pop("families")
        for families_item_data in (_families):
            families_item = check_family(families_item_data)



            families.append(families_item)


        imports = []
        _imports = d.pop("imports")
        for imports_item_data in (_imports):
            imports_item = PrefixRuleOut.from_dict(imports_item_data)



            imports.append(imports_item)


        exports = []
        _exports = d.pop("exports")
        for exports_item_data in (_exports):
            exports_item = PrefixRuleOut.from_dict(exports_item_data)



            exports.append(exports_item)


        accept_everything = d.pop("accept_everything")

        announce_everything = d.pop("announce_everything")

        import_limit = d.pop("import_limit")

        export_limit = d.pop("export_limit")

        password_set = d.pop("password_set")

        bfd = d.pop("bfd")

        multihop = d.pop("multihop")

        ttl_security = d.pop("ttl_security")

        passive = d.pop("passive")

        hold_time = d.pop("hold_time")

        restart_time = d.pop("restart_time")

        preference = d.pop("preference")

        enabled = d.pop("enabled")

        labels = PeeringLabels.from_dict(d.pop("labels"))




        standing = check_standing(d.pop("standing"))




        standing_since = datetime.datetime.fromisoformat(d.pop("standing_since"))




        def _parse_session(data: object) -> None | Session:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                session_type_0 = Session.from_dict(data)



                return session_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | Session, data)

        session = _parse_session(d.pop("session"))


        remarks = []
        _remarks = d.pop("remarks")
        for remarks_item_data in (_remarks):
            remarks_item = PeeringRemark.from_dict(remarks_item_data)



            remarks.append(remarks_item)


        version = d.pop("version")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))




        updated_at = datetime.datetime.fromisoformat(d.pop("updated_at"))




        def _parse_change(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        change = _parse_change(d.pop("change"))


        peering = cls(
            id=id,
            network=network,
            relay=relay,
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
            password_set=password_set,
            bfd=bfd,
            multihop=multihop,
            ttl_security=ttl_security,
            passive=passive,
            hold_time=hold_time,
            restart_time=restart_time,
            preference=preference,
            enabled=enabled,
            labels=labels,
            standing=standing,
            standing_since=standing_since,
            session=session,
            remarks=remarks,
            version=version,
            created_at=created_at,
            updated_at=updated_at,
            change=change,
        )

        return peering

