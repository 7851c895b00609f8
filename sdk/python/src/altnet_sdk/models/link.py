from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.link_kind import check_link_kind
from ..models.link_kind import LinkKind
from typing import cast
import datetime

if TYPE_CHECKING:
  from ..models.link_end import LinkEnd





T = TypeVar("T", bound="Link")



@_attrs_define
class Link:
    """ A link that exists.

     """

    id: str
    network: str
    one: LinkEnd
    other: LinkEnd
    kind: LinkKind
    """ Why a link exists. """
    why: str
    latency: float | None
    """ Milliseconds, as they last; null where nobody has measured. """
    measured_at: datetime.datetime | None
    chosen_at: datetime.datetime | None
    """ Null in a full mesh, where nothing is chosen. """





    def to_dict(self) -> dict[str, Any]:
        from ..models.link_end import LinkEnd # noqa: PLC0415
        id = self.id

        network = self.network

        one = self.one.to_dict()

        other = self.other.to_dict()

        kind: str = self.kind

        why = self.why

        latency: float | None
        latency = self.latency

        measured_at: None | str
        if isinstance(self.measured_at, datetime.datetime):
            measured_at = self.measured_at.isoformat()
        else:
            measured_at = self.measured_at

        chosen_at: None | str
        if isinstance(self.chosen_at, datetime.datetime):
            chosen_at = self.chosen_at.isoformat()
        else:
            chosen_at = self.chosen_at


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "id": id,
            "network": network,
            "one": one,
            "other": other,
            "kind": kind,
            "why": why,
            "latency": latency,
            "measured_at": measured_at,
            "chosen_at": chosen_at,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.link_end import LinkEnd # noqa: PLC0415
        d = dict(src_dict)
        id = d.pop("id")

        network = d.pop("network")

        one = LinkEnd.from_dict(d.pop("one"))




        other = LinkEnd.from_dict(d.pop("other"))




        kind = check_link_kind(d.pop("kind"))




        why = d.pop("why")

        def _parse_latency(data: object) -> float | None:
            if data is None:
                return data
            return cast(float | None, data)

        latency = _parse_latency(d.pop("latency"))


        def _parse_measured_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                measured_at_type_0 = datetime.datetime.fromisoformat(data)



                return measured_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        measured_at = _parse_measured_at(d.pop("measured_at"))


        def _parse_chosen_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                chosen_at_type_0 = datetime.datetime.fromisoformat(data)



                return chosen_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        chosen_at = _parse_chosen_at(d.pop("chosen_at"))


        link = cls(
            id=id,
            network=network,
            one=one,
            other=other,
            kind=kind,
            why=why,
            latency=latency,
            measured_at=measured_at,
            chosen_at=chosen_at,
        )

        return link

