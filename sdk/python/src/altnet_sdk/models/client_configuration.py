from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast

if TYPE_CHECKING:
  from ..models.access_point import AccessPoint





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
    text: str
    """ All of it as a wg-quick file, with a placeholder for the private key. """





    def to_dict(self) -> dict[str, Any]:
        from ..models.access_point import AccessPoint # noqa: PLC0415
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
            "text": text,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.access_point import AccessPoint # noqa: PLC0415
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
            text=text,
        )

        return client_configuration

