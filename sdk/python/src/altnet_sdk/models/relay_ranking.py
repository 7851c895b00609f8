from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast

if TYPE_CHECKING:
  from ..models.ranked_relay import RankedRelay





T = TypeVar("T", bound="RelayRanking")



@_attrs_define
class RelayRanking:
    """ Relays for a client, best first.

     """

    client: str
    current: None | str
    standby: None | str
    """ The relay that would stand by for the first: usable, and of another failure domain if possible. """
    relays: list[RankedRelay]





    def to_dict(self) -> dict[str, Any]:
        from ..models.ranked_relay import RankedRelay # noqa: PLC0415
        client = self.client

        current: None | str
        current = self.current

        standby: None | str
        standby = self.standby

        relays = []
        for relays_item_data in self.relays:
            relays_item = relays_item_data.to_dict()
            relays.append(relays_item)




        field_dict: dict[str, Any] = {}

        field_dict.update({
            "client": client,
            "current": current,
            "standby": standby,
            "relays": relays,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.ranked_relay import RankedRelay # noqa: PLC0415
        d = dict(src_dict)
        client = d.pop("client")

        def _parse_current(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        current = _parse_current(d.pop("current"))


        def _parse_standby(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        standby = _parse_standby(d.pop("standby"))


        relays = []
        _relays = d.pop("relays")
        for relays_item_data in (_relays):
            relays_item = RankedRelay.from_dict(relays_item_data)



            relays.append(relays_item)


        relay_ranking = cls(
            client=client,
            current=current,
            standby=standby,
            relays=relays,
        )

        return relay_ranking

