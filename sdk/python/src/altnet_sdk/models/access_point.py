from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast






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





    def to_dict(self) -> dict[str, Any]:
        relay = self.relay

        name = self.name

        key = self.key

        endpoints = self.endpoints



        address = self.address

        priority = self.priority


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "relay": relay,
            "name": name,
            "key": key,
            "endpoints": endpoints,
            "address": address,
            "priority": priority,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        relay = d.pop("relay")

        name = d.pop("name")

        key = d.pop("key")

        endpoints = cast(list[str], d.pop("endpoints"))


        address = d.pop("address")

        priority = d.pop("priority")

        access_point = cls(
            relay=relay,
            name=name,
            key=key,
            endpoints=endpoints,
            address=address,
            priority=priority,
        )

        return access_point

