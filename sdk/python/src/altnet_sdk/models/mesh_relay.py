from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.health import check_health
from ..models.health import Health
from typing import cast
import datetime

if TYPE_CHECKING:
  from ..models.document_state import DocumentState
  from ..models.reason import Reason





T = TypeVar("T", bound="MeshRelay")



@_attrs_define
class MeshRelay:
    """ What one relay should have applied, and what it says that it has.

     """

    relay: str
    name: str
    network: str
    health: Health
    """ How a relay stands. """
    health_since: datetime.datetime
    last_seen: datetime.datetime | None
    in_sync: bool
    reasons: list[Reason]
    """ Why it differs; empty if it does not. """
    desired_mesh: DocumentState
    """ One document: its generation (a change's number), and the digest of its content. """
    desired_document: DocumentState
    """ One document: its generation (a change's number), and the digest of its content. """
    applied_mesh: DocumentState
    """ One document: its generation (a change's number), and the digest of its content. """
    applied_document: DocumentState
    """ One document: its generation (a change's number), and the digest of its content. """
    failed_count: int





    def to_dict(self) -> dict[str, Any]:
        from ..models.document_state import DocumentState # noqa: PLC0415
        from ..models.reason import Reason # noqa: PLC0415
        relay = self.relay

        name = self.name

        network = self.network

        health: str = self.health

        health_since = self.health_since.isoformat()

        last_seen: None | str
        if isinstance(self.last_seen, datetime.datetime):
            last_seen = self.last_seen.isoformat()
        else:
            last_seen = self.last_seen

        in_sync = self.in_sync

        reasons = []
        for reasons_item_data in self.reasons:
            reasons_item = reasons_item_data.to_dict()
            reasons.append(reasons_item)



        desired_mesh = self.desired_mesh.to_dict()

        desired_document = self.desired_document.to_dict()

        applied_mesh = self.applied_mesh.to_dict()

        applied_document = self.applied_document.to_dict()

        failed_count = self.failed_count


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "relay": relay,
            "name": name,
            "network": network,
            "health": health,
            "health_since": health_since,
            "last_seen": last_seen,
            "in_sync": in_sync,
            "reasons": reasons,
            "desired_mesh": desired_mesh,
            "desired_document": desired_document,
            "applied_mesh": applied_mesh,
            "applied_document": applied_document,
            "failed_count": failed_count,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.document_state import DocumentState # noqa: PLC0415
        from ..models.reason import Reason # noqa: PLC0415
        d = dict(src_dict)
        relay = d.pop("relay")

        name = d.pop("name")

        network = d.pop("network")

        health = check_health(d.pop("health"))




        health_since = datetime.datetime.fromisoformat(d.pop("health_since"))




        def _parse_last_seen(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                last_seen_type_0 = datetime.datetime.fromisoformat(data)



                return last_seen_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        last_seen = _parse_last_seen(d.pop("last_seen"))


        in_sync = d.pop("in_sync")

        reasons = []
        _reasons = d.pop("reasons")
        for reasons_item_data in (_reasons):
            reasons_item = Reason.from_dict(reasons_item_data)



            reasons.append(reasons_item)


        desired_mesh = DocumentState.from_dict(d.pop("desired_mesh"))




        desired_document = DocumentState.from_dict(d.pop("desired_document"))




        applied_mesh = DocumentState.from_dict(d.pop("applied_mesh"))




        applied_document = DocumentState.from_dict(d.pop("applied_document"))




        failed_count = d.pop("failed_count")

        mesh_relay = cls(
            relay=relay,
            name=name,
            network=network,
            health=health,
            health_since=health_since,
            last_seen=last_seen,
            in_sync=in_sync,
            reasons=reasons,
            desired_mesh=desired_mesh,
            desired_document=desired_document,
            applied_mesh=applied_mesh,
            applied_document=applied_document,
            failed_count=failed_count,
        )

        return mesh_relay

