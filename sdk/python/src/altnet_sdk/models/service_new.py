from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.protocol import check_protocol
from ..models.protocol import Protocol
from ..types import UNSET, Unset
from typing import cast






T = TypeVar("T", bound="ServiceNew")



@_attrs_define
class ServiceNew:
    """ A service to register, with either an owner or an address.

     """

    name: str
    port: int
    protocol: Protocol | Unset = UNSET
    network: None | str | Unset = UNSET
    tags: list[str] | Unset = UNSET
    owner: None | str | Unset = UNSET
    """ A relay or client; the service then gets an address of its own, which is routed there. """
    address: None | str | Unset = UNSET
    """ Where the service is, if it has no owner here. """





    def to_dict(self) -> dict[str, Any]:
        name = self.name

        port = self.port

        protocol: str | Unset = UNSET
        if not isinstance(self.protocol, Unset):
            protocol = self.protocol


        network: None | str | Unset
        if isinstance(self.network, Unset):
            network = UNSET
        else:
            network = self.network

        tags: list[str] | Unset = UNSET
        if not isinstance(self.tags, Unset):
            tags = self.tags



        owner: None | str | Unset
        if isinstance(self.owner, Unset):
            owner = UNSET
        else:
            owner = self.owner

        address: None | str | Unset
        if isinstance(self.address, Unset):
            address = UNSET
        else:
            address = self.address


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "name": name,
            "port": port,
        })
        if protocol is not UNSET:
            field_dict["protocol"] = protocol
        if network is not UNSET:
            field_dict["network"] = network
        if tags is not UNSET:
            field_dict["tags"] = tags
        if owner is not UNSET:
            field_dict["owner"] = owner
        if address is not UNSET:
            field_dict["address"] = address

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        name = d.pop("name")

        port = d.pop("port")

        _protocol = d.pop("protocol", UNSET)
        protocol: Protocol | Unset
        if isinstance(_protocol,  Unset):
            protocol = UNSET
        else:
            protocol = check_protocol(_protocol)




        def _parse_network(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        network = _parse_network(d.pop("network", UNSET))


        tags = cast(list[str], d.pop("tags", UNSET))


        def _parse_owner(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        owner = _parse_owner(d.pop("owner", UNSET))


        def _parse_address(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        address = _parse_address(d.pop("address", UNSET))


        service_new = cls(
            name=name,
            port=port,
            protocol=protocol,
            network=network,
            tags=tags,
            owner=owner,
            address=address,
        )

        return service_new

