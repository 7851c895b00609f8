from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast
import datetime

if TYPE_CHECKING:
  from ..models.access_point import AccessPoint
  from ..models.key_wish import KeyWish





T = TypeVar("T", bound="ClientConfiguration")



@_attrs_define
class ClientConfiguration:
    """ What a client's program needs, without the private key: `relays` for one that can move, else what the wg-quick
    file says.

     """

    client: str
    name: str
    network: str
    prefix: str
    """ The network's /48. """
    addresses: list[str]
    """ Of the interface, each a /128. """
    dns: None | str
    """ The resolver, an address of the relay. """
    search: str
    """ The search domain. """
    mtu: int
    relay_name: str
    relay_key: str
    """ The relay's public key towards clients: the one peer. """
    endpoint: str
    """ Where the relay is reached, host:port. """
    routes: list[str]
    """ What goes through the tunnel: the peer's allowed IPs. """
    keepalive: int
    """ Seconds. """
    relays: list[AccessPoint]
    """ Its own relay, then the one that stands by. """
    attach_port: int
    """ UDP port at that address of a relay, where a client that can move says that it is attached. """
    movable: bool
    key: str
    """ The client's present public key. """
    next_key: str
    """ The one that it has announced, for which `relays[].next` is; empty: none. """
    wish: KeyWish | None
    """ It is to make another key. """
    renew_by: datetime.datetime | None
    """ The latest date of the file of before, while keys are being replaced. """
    text: str
    """ All of it as a wg-quick file, with a placeholder for the private key. """





    def to_dict(self) -> dict[str, Any]:
        from ..models.access_point import AccessPoint # noqa: PLC0415
        from ..models.key_wish import KeyWish # noqa: PLC0415
        client = self.client

        name = self.name

        network = self.network

        prefix = self.prefix

        addresses = self.addresses



        dns: None | str
        dns = self.dns

        search = self.search

        mtu = self.mtu

        relay_name = self.relay_name

        relay_key = self.relay_key

        endpoint = self.endpoint

        routes = self.routes



        keepalive = self.keepalive

        relays = []
        for relays_item_data in self.relays:
            relays_item = relays_item_data.to_dict()
            relays.append(relays_item)



        attach_port = self.attach_port

        movable = self.movable

        key = self.key

        next_key = self.next_key

        wish: dict[str, Any] | None
        if isinstance(self.wish, KeyWish):
            wish = self.wish.to_dict()
        else:
            wish = self.wish

        renew_by: None | str
        if isinstance(self.renew_by, datetime.datetime):
            renew_by = self.renew_by.isoformat()
        else:
            renew_by = self.renew_by

        text = self.text


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "client": client,
            "name": name,
            "network": network,
            "prefix": prefix,
            "addresses": addresses,
            "dns": dns,
            "search": search,
            "mtu": mtu,
            "relay_name": relay_name,
            "relay_key": relay_key,
            "endpoint": endpoint,
            "routes": routes,
            "keepalive": keepalive,
            "relays": relays,
            "attach_port": attach_port,
            "movable": movable,
            "key": key,
            "next_key": next_key,
            "wish": wish,
            "renew_by": renew_by,
            "text": text,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.access_point import AccessPoint # noqa: PLC0415
        from ..models.key_wish import KeyWish # noqa: PLC0415
        d = dict(src_dict)
        client = d.pop("client")

        name = d.pop("name")

        network = d.pop("network")

        prefix = d.pop("prefix")

        addresses = cast(list[str], d.pop("addresses"))


        def _parse_dns(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        dns = _parse_dns(d.pop("dns"))


        search = d.pop("search")

        mtu = d.pop("mtu")

        relay_name = d.pop("relay_name")

        relay_key = d.pop("relay_key")

        endpoint = d.pop("endpoint")

        routes = cast(list[str], d.pop("routes"))


        keepalive = d.pop("keepalive")

        relays = []
        _relays = d.pop("relays")
        for relays_item_data in (_relays):
            relays_item = AccessPoint.from_dict(relays_item_data)



            relays.append(relays_item)


        attach_port = d.pop("attach_port")

        movable = d.pop("movable")

        key = d.pop("key")

        next_key = d.pop("next_key")

        def _parse_wish(data: object) -> KeyWish | None:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                wish_type_0 = KeyWish.from_dict(data)



                return wish_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(KeyWish | None, data)

        wish = _parse_wish(d.pop("wish"))


        def _parse_renew_by(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                renew_by_type_0 = datetime.datetime.fromisoformat(data)



                return renew_by_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        renew_by = _parse_renew_by(d.pop("renew_by"))


        text = d.pop("text")

        client_configuration = cls(
            client=client,
            name=name,
            network=network,
            prefix=prefix,
            addresses=addresses,
            dns=dns,
            search=search,
            mtu=mtu,
            relay_name=relay_name,
            relay_key=relay_key,
            endpoint=endpoint,
            routes=routes,
            keepalive=keepalive,
            relays=relays,
            attach_port=attach_port,
            movable=movable,
            key=key,
            next_key=next_key,
            wish=wish,
            renew_by=renew_by,
            text=text,
        )

        return client_configuration

