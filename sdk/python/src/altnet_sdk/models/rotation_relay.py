from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast
import datetime






T = TypeVar("T", bound="RotationRelay")



@_attrs_define
class RotationRelay:
    """ One relay in a rotation.

     """

    relay: str
    name: str
    wave: int
    stage: str
    """ Ordered last: `asked`, `ready`, `open`, `back`; empty: nothing. """
    left: str
    """ Why it keeps its key: `identity_not_active`, `no_key_in_time`, `no_report_in_time`, `revoked`; else empty.
    """
    switched: int
    """ Of its links, or of its clients, those that go by the next keys, as it reported last. """
    waiting: list[str]
    """ Neighbours with whom it waits for a handshake; of access keys, clients that are to follow by themselves. """
    behind: int
    """ Of access keys: clients that have until the latest date. """
    reported_at: datetime.datetime | None





    def to_dict(self) -> dict[str, Any]:
        relay = self.relay

        name = self.name

        wave = self.wave

        stage = self.stage

        left = self.left

        switched = self.switched

        waiting = self.waiting



        behind = self.behind

        reported_at: None | str
        if isinstance(self.reported_at, datetime.datetime):
            reported_at = self.reported_at.isoformat()
        else:
            reported_at = self.reported_at


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "relay": relay,
            "name": name,
            "wave": wave,
            "stage": stage,
            "left": left,
            "switched": switched,
            "waiting": waiting,
            "behind": behind,
            "reported_at": reported_at,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        relay = d.pop("relay")

        name = d.pop("name")

        wave = d.pop("wave")

        stage = d.pop("stage")

        left = d.pop("left")

        switched = d.pop("switched")

        waiting = cast(list[str], d.pop("waiting"))


        behind = d.pop("behind")

        def _parse_reported_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                reported_at_type_0 = datetime.datetime.fromisoformat(data)



                return reported_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        reported_at = _parse_reported_at(d.pop("reported_at"))


        rotation_relay = cls(
            relay=relay,
            name=name,
            wave=wave,
            stage=stage,
            left=left,
            switched=switched,
            waiting=waiting,
            behind=behind,
            reported_at=reported_at,
        )

        return rotation_relay

