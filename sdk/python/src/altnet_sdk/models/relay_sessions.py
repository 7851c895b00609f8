from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast
import datetime

if TYPE_CHECKING:
  from ..models.relay_routing import RelayRouting
  from ..models.session import Session





T = TypeVar("T", bound="RelaySessions")



@_attrs_define
class RelaySessions:
    """ Every BGP session of a relay, as it last said.

     """

    relay: str
    routing: None | RelayRouting
    """ Null: it has not said anything of its routing. """
    heard_at: datetime.datetime | None
    sessions: list[Session]
    """ With other relays. """
    peerings: list[Session]
    """ With routers outside. """





    def to_dict(self) -> dict[str, Any]:
        from ..models.relay_routing import RelayRouting # noqa: PLC0415
        from ..models.session import Session # noqa: PLC0415
        relay = self.relay

        routing: dict[str, Any] | None
        if isinstance(self.routing, RelayRouting):
            routing = self.routing.to_dict()
        else:
            routing = self.routing

        heard_at: None | str
        if isinstance(self.heard_at, datetime.datetime):
            heard_at = self.heard_at.isoformat()
        else:
            heard_at = self.heard_at

        sessions = []
        for sessions_item_data in self.sessions:
            sessions_item = sessions_item_data.to_dict()
            sessions.append(sessions_item)



        peerings = []
        for peerings_item_data in self.peerings:
            peerings_item = peerings_item_data.to_dict()
            peerings.append(peerings_item)




        field_dict: dict[str, Any] = {}

        field_dict.update({
            "relay": relay,
            "routing": routing,
            "heard_at": heard_at,
            "sessions": sessions,
            "peerings": peerings,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.relay_routing import RelayRouting # noqa: PLC0415
        from ..models.session import Session # noqa: PLC0415
        d = dict(src_dict)
        relay = d.pop("relay")

        def _parse_routing(data: object) -> None | RelayRouting:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                routing_type_0 = RelayRouting.from_dict(data)



                return routing_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | RelayRouting, data)

        routing = _parse_routing(d.pop("routing"))


        def _parse_heard_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                heard_at_type_0 = datetime.datetime.fromisoformat(data)



                return heard_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        heard_at = _parse_heard_at(d.pop("heard_at"))


        sessions = []
        _sessions = d.pop("sessions")
        for sessions_item_data in (_sessions):
            sessions_item = Session.from_dict(sessions_item_data)



            sessions.append(sessions_item)


        peerings = []
        _peerings = d.pop("peerings")
        for peerings_item_data in (_peerings):
            peerings_item = Session.from_dict(peerings_item_data)



            peerings.append(peerings_item)


        relay_sessions = cls(
            relay=relay,
            routing=routing,
            heard_at=heard_at,
            sessions=sessions,
            peerings=peerings,
        )

        return relay_sessions

