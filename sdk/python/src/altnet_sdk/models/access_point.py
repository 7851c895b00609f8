from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast

if TYPE_CHECKING:
  from ..models.next_point import NextPoint





T = TypeVar("T", bound="AccessPoint")



@_attrs_define
class AccessPoint:
    """ A relay, as its client sees it.

     """

    relay: str
    name: str
    key: str
    """ Public key of its access interface. """
    endpoints: list[str]
    """ Where its access interface is reached, preferred first. """
    address: str
    """ Its address inside the tunnel for probes and for attaching. """
    priority: int
    """ 0 is the client's own relay; the next one stands by. """
    next_: NextPoint | None
    """ Where its session is to move to without a break: a key is being replaced. """





    def to_dict(self) -> dict[str, Any]:
        from ..models.next_point import NextPoint # noqa: PLC0415
        relay = self.relay

        name = self.name

        key = self.key

        endpoints = self.endpoints



        address = self.address

        priority = self.priority

        next_: dict[str, Any] | None
        if isinstance(self.next_, NextPoint):
            next_ = self.next_.to_dict()
        else:
            next_ = self.next_


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "relay": relay,
            "name": name,
            "key": key,
            "endpoints": endpoints,
            "address": address,
            "priority": priority,
            "next": next_,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.next_point import NextPoint # noqa: PLC0415
        d = dict(src_dict)
        relay = d.pop("relay")

        name = d.pop("name")

        key = d.pop("key")

        endpoints = cast(list[str], d.pop("endpoints"))


        address = d.pop("address")

        priority = d.pop("priority")

        def _parse_next_(data: object) -> NextPoint | None:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                next_type_0 = NextPoint.from_dict(data)



                return next_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(NextPoint | None, data)

        next_ = _parse_next_(d.pop("next"))


        access_point = cls(
            relay=relay,
            name=name,
            key=key,
            endpoints=endpoints,
            address=address,
            priority=priority,
            next_=next_,
        )

        return access_point

