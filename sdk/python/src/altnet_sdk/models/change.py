from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast
import datetime

if TYPE_CHECKING:
  from ..models.behind_relay import BehindRelay





T = TypeVar("T", bound="Change")



@_attrs_define
class Change:
    """ An accepted change, and how far it has been applied.

     """

    number: int
    at: datetime.datetime
    """ When it was accepted. """
    actor: str
    kind: str
    """ The kind of event that tells of it. """
    summary: str
    event: None | str
    network: None | str
    touched: list[str]
    """ What it changed: `relay:rly_…`, `client:cli_…`. """
    planned: bool
    """ Whether desired state contains it; a matter of milliseconds. """
    concerned: int
    """ Relays that have to apply it. """
    applied: int
    """ Relays that said, with the right digest, that they have. """
    complete: bool
    completed_at: datetime.datetime | None
    p50: float | None
    """ Half of those who applied it had it within so many seconds of its acceptance. """
    p99: float | None
    behind_count: int
    behind: list[BehindRelay]
    """ At most 100 of those who have not; empty in lists. """





    def to_dict(self) -> dict[str, Any]:
        from ..models.behind_relay import BehindRelay # noqa: PLC0415
        number = self.number

        at = self.at.isoformat()

        actor = self.actor

        kind = self.kind

        summary = self.summary

        event: None | str
        event = self.event

        network: None | str
        network = self.network

        touched = self.touched



        planned = self.planned

        concerned = self.concerned

        applied = self.applied

        complete = self.complete

        completed_at: None | str
        if isinstance(self.completed_at, datetime.datetime):
            completed_at = self.completed_at.isoformat()
        else:
            completed_at = self.completed_at

        p50: float | None
        p50 = self.p50

        p99: float | None
        p99 = self.p99

        behind_count = self.behind_count

        behind = []
        for behind_item_data in self.behind:
            behind_item = behind_item_data.to_dict()
            behind.append(behind_item)




        field_dict: dict[str, Any] = {}

        field_dict.update({
            "number": number,
            "at": at,
            "actor": actor,
            "kind": kind,
            "summary": summary,
            "event": event,
            "network": network,
            "touched": touched,
            "planned": planned,
            "concerned": concerned,
            "applied": applied,
            "complete": complete,
            "completed_at": completed_at,
            "p50": p50,
            "p99": p99,
            "behind_count": behind_count,
            "behind": behind,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.behind_relay import BehindRelay # noqa: PLC0415
        d = dict(src_dict)
        number = d.pop("number")

        at = datetime.datetime.fromisoformat(d.pop("at"))




        actor = d.pop("actor")

        kind = d.pop("kind")

        summary = d.pop("summary")

        def _parse_event(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        event = _parse_event(d.pop("event"))


        def _parse_network(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        network = _parse_network(d.pop("network"))


        touched = cast(list[str], d.pop("touched"))


        planned = d.pop("planned")

        concerned = d.pop("concerned")

        applied = d.pop("applied")

        complete = d.pop("complete")

        def _parse_completed_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                completed_at_type_0 = datetime.datetime.fromisoformat(data)



                return completed_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        completed_at = _parse_completed_at(d.pop("completed_at"))


        def _parse_p50(data: object) -> float | None:
            if data is None:
                return data
            return cast(float | None, data)

        p50 = _parse_p50(d.pop("p50"))


        def _parse_p99(data: object) -> float | None:
            if data is None:
                return data
            return cast(float | None, data)

        p99 = _parse_p99(d.pop("p99"))


        behind_count = d.pop("behind_count")

        behind = []
        _behind = d.pop("behind")
        for behind_item_data in (_behind):
            behind_item = BehindRelay.from_dict(behind_item_data)



            behind.append(behind_item)


        change = cls(
            number=number,
            at=at,
            actor=actor,
            kind=kind,
            summary=summary,
            event=event,
            network=network,
            touched=touched,
            planned=planned,
            concerned=concerned,
            applied=applied,
            complete=complete,
            completed_at=completed_at,
            p50=p50,
            p99=p99,
            behind_count=behind_count,
            behind=behind,
        )

        return change

