from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.engine import check_engine
from ..models.engine import Engine
from typing import cast

if TYPE_CHECKING:
  from ..models.route import Route





T = TypeVar("T", bound="RelayRoutes")



@_attrs_define
class RelayRoutes:
    """ A relay's routes at this moment, sorted by prefix.

     """

    relay: str
    engine: Engine
    """ What decides a relay's paths. """
    computed: bool
    """ It has no routing engine: what it does follows from its documents. """
    routes: list[Route]
    next_after: None | str
    """ Ask with it as `after` for what follows; null: that was all. """





    def to_dict(self) -> dict[str, Any]:
        from ..models.route import Route # noqa: PLC0415
        relay = self.relay

        engine: str = self.engine

        computed = self.computed

        routes = []
        for routes_item_data in self.routes:
            routes_item = routes_item_data.to_dict()
            routes.append(routes_item)



        next_after: None | str
        next_after = self.next_after


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "relay": relay,
            "engine": engine,
            "computed": computed,
            "routes": routes,
            "next_after": next_after,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.route import Route # noqa: PLC0415
        d = dict(src_dict)
        relay = d.pop("relay")

        engine = check_engine(d.pop("engine"))




        computed = d.pop("computed")

        routes = []
        _routes = d.pop("routes")
        for routes_item_data in (_routes):
            routes_item = Route.from_dict(routes_item_data)



            routes.append(routes_item)


        def _parse_next_after(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        next_after = _parse_next_after(d.pop("next_after"))


        relay_routes = cls(
            relay=relay,
            engine=engine,
            computed=computed,
            routes=routes,
            next_after=next_after,
        )

        return relay_routes

