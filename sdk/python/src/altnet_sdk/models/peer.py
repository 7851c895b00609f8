from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.health import check_health
from ..models.health import Health
from ..models.peer_kind import check_peer_kind
from ..models.peer_kind import PeerKind
from typing import cast
import datetime

if TYPE_CHECKING:
  from ..models.peer_labels import PeerLabels





T = TypeVar("T", bound="Peer")



@_attrs_define
class Peer:
    """ A relay or client, as others find it.

     """

    id: str
    kind: PeerKind
    network: str
    name: str
    addresses: list[str]
    relay: None | str
    """ Of a client: where it attaches. """
    region: str
    labels: PeerLabels
    health: Health | None
    """ Of a relay; a client's is not known here. """
    last_seen: datetime.datetime | None





    def to_dict(self) -> dict[str, Any]:
        from ..models.peer_labels import PeerLabels # noqa: PLC0415
        id = self.id

        kind: str = self.kind

        network = self.network

        name = self.name

        addresses = self.addresses



        relay: None | str
        relay = self.relay

        region = self.region

        labels = self.labels.to_dict()

        health: None | str
        if isinstance(self.health, str):
            health = self.health
        else:
            health = self.health

        last_seen: None | str
        if isinstance(self.last_seen, datetime.datetime):
            last_seen = self.last_seen.isoformat()
        else:
            last_seen = self.last_seen


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "id": id,
            "kind": kind,
            "network": network,
            "name": name,
            "addresses": addresses,
            "relay": relay,
            "region": region,
            "labels": labels,
            "health": health,
            "last_seen": last_seen,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.peer_labels import PeerLabels # noqa: PLC0415
        d = dict(src_dict)
        id = d.pop("id")

        kind = check_peer_kind(d.pop("kind"))




        network = d.pop("network")

        name = d.pop("name")

        addresses = cast(list[str], d.pop("addresses"))


        def _parse_relay(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        relay = _parse_relay(d.pop("relay"))


        region = d.pop("region")

        labels = PeerLabels.from_dict(d.pop("labels"))




        def _parse_health(data: object) -> Health | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                health_type_0 = check_health(data)



                return health_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(Health | None, data)

        health = _parse_health(d.pop("health"))


        def _parse_last_seen(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                last_seen_type_0 = datetime.datetime.fromisoformat(data)



                return last_seen_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        last_seen = _parse_last_seen(d.pop("last_seen"))


        peer = cls(
            id=id,
            kind=kind,
            network=network,
            name=name,
            addresses=addresses,
            relay=relay,
            region=region,
            labels=labels,
            health=health,
            last_seen=last_seen,
        )

        return peer

