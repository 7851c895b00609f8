from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast
import datetime






T = TypeVar("T", bound="LearnedRoute")



@_attrs_define
class LearnedRoute:
    """ A route that a router outside told, and that was accepted.

     """

    relay: str
    relay_name: str
    peering: str
    peering_name: str
    neighbour: str
    """ Address of the router that told it. """
    prefix: str
    as_path: list[int]
    origin_asn: int | None
    """ Who originated it: the last of the path. """
    next_hop: str
    communities: list[str]
    since: datetime.datetime





    def to_dict(self) -> dict[str, Any]:
        relay = self.relay

        relay_name = self.relay_name

        peering = self.peering

        peering_name = self.peering_name

        neighbour = self.neighbour

        prefix = self.prefix

        as_path = self.as_path



        origin_asn: int | None
        origin_asn = self.origin_asn

        next_hop = self.next_hop

        communities = self.communities



        since = self.since.isoformat()


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "relay": relay,
            "relay_name": relay_name,
            "peering": peering,
            "peering_name": peering_name,
            "neighbour": neighbour,
            "prefix": prefix,
            "as_path": as_path,
            "origin_asn": origin_asn,
            "next_hop": next_hop,
            "communities": communities,
            "since": since,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        relay = d.pop("relay")

        relay_name = d.pop("relay_name")

        peering = d.pop("peering")

        peering_name = d.pop("peering_name")

        neighbour = d.pop("neighbour")

        prefix = d.pop("prefix")

        as_path = cast(list[int], d.pop("as_path"))


        def _parse_origin_asn(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        origin_asn = _parse_origin_asn(d.pop("origin_asn"))


        next_hop = d.pop("next_hop")

        communities = cast(list[str], d.pop("communities"))


        since = datetime.datetime.fromisoformat(d.pop("since"))




        learned_route = cls(
            relay=relay,
            relay_name=relay_name,
            peering=peering,
            peering_name=peering_name,
            neighbour=neighbour,
            prefix=prefix,
            as_path=as_path,
            origin_asn=origin_asn,
            next_hop=next_hop,
            communities=communities,
            since=since,
        )

        return learned_route

