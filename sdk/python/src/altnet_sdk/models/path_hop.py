from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.end import check_end
from ..models.end import End
from typing import cast

if TYPE_CHECKING:
  from ..models.route import Route





T = TypeVar("T", bound="PathHop")



@_attrs_define
class PathHop:
    """ One relay on the way.

     """

    relay: str
    name: str
    depth: int
    """ Relays before it. """
    outcome: End
    """ What becomes of a packet at a relay, or of a path. """
    detail: str
    computed: bool
    """ It has no routing engine: its routes were computed. """
    route: None | Route
    """ The one that packets take, and why. """
    alternatives: list[Route]
    """ What else it knows, most specific first. """
    loops: list[str]
    """ Next relays that are on the way here already. """





    def to_dict(self) -> dict[str, Any]:
        from ..models.route import Route # noqa: PLC0415
        relay = self.relay

        name = self.name

        depth = self.depth

        outcome: str = self.outcome

        detail = self.detail

        computed = self.computed

        route: dict[str, Any] | None
        if isinstance(self.route, Route):
            route = self.route.to_dict()
        else:
            route = self.route

        alternatives = []
        for alternatives_item_data in self.alternatives:
            alternatives_item = alternatives_item_data.to_dict()
            alternatives.append(alternatives_item)



        loops = self.loops




        field_dict: dict[str, Any] = {}

        field_dict.update({
            "relay": relay,
            "name": name,
            "depth": depth,
            "outcome": outcome,
            "detail": detail,
            "computed": computed,
            "route": route,
            "alternatives": alternatives,
            "loops": loops,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.route import Route # noqa: PLC0415
        d = dict(src_dict)
        relay = d.pop("relay")

        name = d.pop("name")

        depth = d.pop("depth")

        outcome = check_end(d.pop("outcome"))




        detail = d.pop("detail")

        computed = d.pop("computed")

        def _parse_route(data: object) -> None | Route:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                route_type_0 = Route.from_dict(data)



                return route_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | Route, data)

        route = _parse_route(d.pop("route"))


        alternatives = []
        _alternatives = d.pop("alternatives")
        for alternatives_item_data in (_alternatives):
            alternatives_item = Route.from_dict(alternatives_item_data)



            alternatives.append(alternatives_item)


        loops = cast(list[str], d.pop("loops"))


        path_hop = cls(
            relay=relay,
            name=name,
            depth=depth,
            outcome=outcome,
            detail=detail,
            computed=computed,
            route=route,
            alternatives=alternatives,
            loops=loops,
        )

        return path_hop

