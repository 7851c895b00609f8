from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast






T = TypeVar("T", bound="ClientConfiguration")



@_attrs_define
class ClientConfiguration:
    """ What the wg-quick file says, without the private key.

     """

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
    text: str
    """ All of it as a wg-quick file, with a placeholder for the private key. """





    def to_dict(self) -> dict[str, Any]:
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

        text = self.text


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "addresses": addresses,
            "dns": dns,
            "search": search,
            "mtu": mtu,
            "relay_name": relay_name,
            "relay_key": relay_key,
            "endpoint": endpoint,
            "routes": routes,
            "keepalive": keepalive,
            "text": text,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
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

        text = d.pop("text")

        client_configuration = cls(
            addresses=addresses,
            dns=dns,
            search=search,
            mtu=mtu,
            relay_name=relay_name,
            relay_key=relay_key,
            endpoint=endpoint,
            routes=routes,
            keepalive=keepalive,
            text=text,
        )

        return client_configuration

