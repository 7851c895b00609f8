from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast

if TYPE_CHECKING:
  from ..models.ranked_relay_parts import RankedRelayParts





T = TypeVar("T", bound="RankedRelay")



@_attrs_define
class RankedRelay:
    """ A relay as a choice for a client.

     """

    relay: str
    name: str
    usable: bool
    score: float
    """ Lower is better; comparable within one answer. """
    parts: RankedRelayParts
    """ What the score is the product of. """
    reasons: list[str]





    def to_dict(self) -> dict[str, Any]:
        from ..models.ranked_relay_parts import RankedRelayParts # noqa: PLC0415
        relay = self.relay

        name = self.name

        usable = self.usable

        score = self.score

        parts = self.parts.to_dict()

        reasons = self.reasons




        field_dict: dict[str, Any] = {}

        field_dict.update({
            "relay": relay,
            "name": name,
            "usable": usable,
            "score": score,
            "parts": parts,
            "reasons": reasons,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.ranked_relay_parts import RankedRelayParts # noqa: PLC0415
        d = dict(src_dict)
        relay = d.pop("relay")

        name = d.pop("name")

        usable = d.pop("usable")

        score = d.pop("score")

        parts = RankedRelayParts.from_dict(d.pop("parts"))




        reasons = cast(list[str], d.pop("reasons"))


        ranked_relay = cls(
            relay=relay,
            name=name,
            usable=usable,
            score=score,
            parts=parts,
            reasons=reasons,
        )

        return ranked_relay

