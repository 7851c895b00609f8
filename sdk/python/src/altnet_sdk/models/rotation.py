from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.key_kind import check_key_kind
from ..models.key_kind import KeyKind
from ..models.rotation_phase import check_rotation_phase
from ..models.rotation_phase import RotationPhase
from typing import cast
import datetime

if TYPE_CHECKING:
  from ..models.rotation_clients import RotationClients
  from ..models.rotation_plan import RotationPlan
  from ..models.rotation_relay import RotationRelay





T = TypeVar("T", bound="Rotation")



@_attrs_define
class Rotation:
    """ A rotation of a network's mesh keys.

     """

    id: str
    network: str
    epoch: int
    kind: KeyKind
    """ Which keys rotate. """
    until: datetime.datetime | None
    """ Of access keys and of clients' keys: the latest date of the keys of before. """
    clients: RotationClients
    """ Of clients' keys: how many clients are how far: `done`, `announced`, `asked`, `waiting`; of those that
    follow by
    themselves `following` (not asked yet), `changed`, `under_way`, `late`; and `left`: they keep their keys. """
    reason: str
    phase: RotationPhase
    """ How far a rotation of mesh keys is. """
    wave: int
    paused: bool
    ended: str
    """ Why it was rolled back: `asked`, `no_handshake`, `silent`, `nobody_prepared`, `order_refused`; else empty.
    """
    blamed: list[str]
    """ Relays, or clients, because of whom it was rolled back; of clients' keys also who is late. """
    problem: str
    """ What it waits for beyond relays; empty when nothing. """
    plan: RotationPlan
    """ How to rotate. Times in seconds. """
    deadline: datetime.datetime
    relays: list[RotationRelay]
    created_by: str
    created_at: datetime.datetime
    updated_at: datetime.datetime
    ended_at: datetime.datetime | None
    version: int





    def to_dict(self) -> dict[str, Any]:
        from ..models.rotation_clients import RotationClients # noqa: PLC0415
        from ..models.rotation_plan import RotationPlan # noqa: PLC0415
        from ..models.rotation_relay import RotationRelay # noqa: PLC0415
        id = self.id

        network = self.network

        epoch = self.epoch

        kind: str = self.kind

        until: None | str
        if isinstance(self.until, datetime.datetime):
            until = self.until.isoformat()
        else:
            until = self.until

        clients = self.clients.to_dict()

        reason = self.reason

        phase: str = self.phase

        wave = self.wave

        paused = self.paused

        ended = self.ended

        blamed = self.blamed



        problem = self.problem

        plan = self.plan.to_dict()

        deadline = self.deadline.isoformat()

        relays = []
        for relays_item_data in self.relays:
            relays_item = relays_item_data.to_dict()
            relays.append(relays_item)



        created_by = self.created_by

        created_at = self.created_at.isoformat()

        updated_at = self.updated_at.isoformat()

        ended_at: None | str
        if isinstance(self.ended_at, datetime.datetime):
            ended_at = self.ended_at.isoformat()
        else:
            ended_at = self.ended_at

        version = self.version


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "id": id,
            "network": network,
            "epoch": epoch,
            "kind": kind,
            "until": until,
            "clients": clients,
            "reason": reason,
            "phase": phase,
            "wave": wave,
            "paused": paused,
            "ended": ended,
            "blamed": blamed,
            "problem": problem,
            "plan": plan,
            "deadline": deadline,
            "relays": relays,
            "created_by": created_by,
            "created_at": created_at,
            "updated_at": updated_at,
            "ended_at": ended_at,
            "version": version,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.rotation_clients import RotationClients # noqa: PLC0415
        from ..models.rotation_plan import RotationPlan # noqa: PLC0415
        from ..models.rotation_relay import RotationRelay # noqa: PLC0415
        d = dict(src_dict)
        id = d.pop("id")

        network = d.pop("network")

        epoch = d.pop("epoch")

        kind = check_key_kind(d.pop("kind"))




        def _parse_until(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                until_type_0 = datetime.datetime.fromisoformat(data)



                return until_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        until = _parse_until(d.pop("until"))


        clients = RotationClients.from_dict(d.pop("clients"))




        reason = d.pop("reason")

        phase = check_rotation_phase(d.pop("phase"))




        wave = d.pop("wave")

        paused = d.pop("paused")

        ended = d.pop("ended")

        blamed = cast(list[str], d.pop("blamed"))


        problem = d.pop("problem")

        plan = RotationPlan.from_dict(d.pop("plan"))




        deadline = datetime.datetime.fromisoformat(d.pop("deadline"))




        relays = []
        _relays = d.pop("relays")
        for relays_item_data in (_relays):
            relays_item = RotationRelay.from_dict(relays_item_data)



            relays.append(relays_item)


        created_by = d.pop("created_by")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))




        updated_at = datetime.datetime.fromisoformat(d.pop("updated_at"))




        def _parse_ended_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                ended_at_type_0 = datetime.datetime.fromisoformat(data)



                return ended_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        ended_at = _parse_ended_at(d.pop("ended_at"))


        version = d.pop("version")

        rotation = cls(
            id=id,
            network=network,
            epoch=epoch,
            kind=kind,
            until=until,
            clients=clients,
            reason=reason,
            phase=phase,
            wave=wave,
            paused=paused,
            ended=ended,
            blamed=blamed,
            problem=problem,
            plan=plan,
            deadline=deadline,
            relays=relays,
            created_by=created_by,
            created_at=created_at,
            updated_at=updated_at,
            ended_at=ended_at,
            version=version,
        )

        return rotation

