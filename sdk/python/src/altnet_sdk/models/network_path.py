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
  from ..models.path_end import PathEnd
  from ..models.path_hop import PathHop





T = TypeVar("T", bound="NetworkPath")



@_attrs_define
class NetworkPath:
    """ The way of a packet, as the relays on it say at this moment.

     """

    source: PathEnd
    """ One end of a path. """
    target: PathEnd
    """ One end of a path. """
    complete: bool
    """ Every branch ends where packets arrive, or leave by a peering. """
    outcome: End
    """ What becomes of a packet at a relay, or of a path. """
    detail: str
    cost: int | None
    """ From the first relay on, as that one has it. """
    relays: list[str]
    """ The first branch, in order. """
    hops: list[PathHop]
    """ Every relay of every branch, nearest first. """





    def to_dict(self) -> dict[str, Any]:
        from ..models.path_end import PathEnd # noqa: PLC0415
        from ..models.path_hop import PathHop # noqa: PLC0415
        source = self.source.to_dict()

        target = self.target.to_dict()

        complete = self.complete

        outcome: str = self.outcome

        detail = self.detail

        cost: int | None
        cost = self.cost

        relays = self.relays



        hops = []
        for hops_item_data in self.hops:
            hops_item = hops_item_data.to_dict()
            hops.append(hops_item)




        field_dict: dict[str, Any] = {}

        field_dict.update({
            "source": source,
            "target": target,
            "complete": complete,
            "outcome": outcome,
            "detail": detail,
            "cost": cost,
            "relays": relays,
            "hops": hops,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.path_end import PathEnd # noqa: PLC0415
        from ..models.path_hop import PathHop # noqa: PLC0415
        d = dict(src_dict)
        source = PathEnd.from_dict(d.pop("source"))




        target = PathEnd.from_dict(d.pop("target"))




        complete = d.pop("complete")

        outcome = check_end(d.pop("outcome"))




        detail = d.pop("detail")

        def _parse_cost(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        cost = _parse_cost(d.pop("cost"))


        relays = cast(list[str], d.pop("relays"))


        hops = []
        _hops = d.pop("hops")
        for hops_item_data in (_hops):
            hops_item = PathHop.from_dict(hops_item_data)



            hops.append(hops_item)


        network_path = cls(
            source=source,
            target=target,
            complete=complete,
            outcome=outcome,
            detail=detail,
            cost=cost,
            relays=relays,
            hops=hops,
        )

        return network_path

