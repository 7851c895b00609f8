from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast

if TYPE_CHECKING:
  from ..models.route_next_hop import RouteNextHop





T = TypeVar("T", bound="Route")



@_attrs_define
class Route:
    """ A route that a relay knows.

     """

    prefix: str
    next_hops: list[RouteNextHop]
    """ Several: packets are shared among them. """
    used: bool
    """ Whether packets take it. """
    source: str
    """ `own`, `mesh`, `peering`, `static` or `unreachable`. """
    as_path: list[int]
    cost: int | None
    """ Summed along the path; the lowest wins. """
    why: str
    """ Why it is used, or what another one has over it. """





    def to_dict(self) -> dict[str, Any]:
        from ..models.route_next_hop import RouteNextHop # noqa: PLC0415
        prefix = self.prefix

        next_hops = []
        for next_hops_item_data in self.next_hops:
            next_hops_item = next_hops_item_data.to_dict()
            next_hops.append(next_hops_item)



        used = self.used

        source = self.source

        as_path = self.as_path



        cost: int | None
        cost = self.cost

        why = self.why


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "prefix": prefix,
            "next_hops": next_hops,
            "used": used,
            "source": source,
            "as_path": as_path,
            "cost": cost,
            "why": why,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.route_next_hop import RouteNextHop # noqa: PLC0415
        d = dict(src_dict)
        prefix = d.pop("prefix")

        next_hops = []
        _next_hops = d.pop("next_hops")
        for next_hops_item_data in (_next_hops):
            next_hops_item = RouteNextHop.from_dict(next_hops_item_data)



            next_hops.append(next_hops_item)


        used = d.pop("used")

        source = d.pop("source")

        as_path = cast(list[int], d.pop("as_path"))


        def _parse_cost(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        cost = _parse_cost(d.pop("cost"))


        why = d.pop("why")

        route = cls(
            prefix=prefix,
            next_hops=next_hops,
            used=used,
            source=source,
            as_path=as_path,
            cost=cost,
            why=why,
        )

        return route

