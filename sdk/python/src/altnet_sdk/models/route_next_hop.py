from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset







T = TypeVar("T", bound="RouteNextHop")



@_attrs_define
class RouteNextHop:
    """ One way out: exactly one of `relay`, `peering` and `device` is not empty.

     """

    relay: str
    peering: str
    device: str
    """ An interface of the host; `lo`: the relay itself, `host`: a network behind it. """
    weight: int
    """ Its share of the packets, against the others'. """





    def to_dict(self) -> dict[str, Any]:
        relay = self.relay

        peering = self.peering

        device = self.device

        weight = self.weight


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "relay": relay,
            "peering": peering,
            "device": device,
            "weight": weight,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        relay = d.pop("relay")

        peering = d.pop("peering")

        device = d.pop("device")

        weight = d.pop("weight")

        route_next_hop = cls(
            relay=relay,
            peering=peering,
            device=device,
            weight=weight,
        )

        return route_next_hop

