from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset







T = TypeVar("T", bound="EnrolledRelay")



@_attrs_define
class EnrolledRelay:
    """ What the host is from now on.

     """

    id: str
    name: str
    slot: int
    address: str
    """ Its overlay address. """
    locator: str
    client_prefix: str
    """ The /64 that its clients' addresses come from. """
    region: str
    created: bool
    """ False if the host was known. """





    def to_dict(self) -> dict[str, Any]:
        id = self.id

        name = self.name

        slot = self.slot

        address = self.address

        locator = self.locator

        client_prefix = self.client_prefix

        region = self.region

        created = self.created


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "id": id,
            "name": name,
            "slot": slot,
            "address": address,
            "locator": locator,
            "client_prefix": client_prefix,
            "region": region,
            "created": created,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = d.pop("id")

        name = d.pop("name")

        slot = d.pop("slot")

        address = d.pop("address")

        locator = d.pop("locator")

        client_prefix = d.pop("client_prefix")

        region = d.pop("region")

        created = d.pop("created")

        enrolled_relay = cls(
            id=id,
            name=name,
            slot=slot,
            address=address,
            locator=locator,
            client_prefix=client_prefix,
            region=region,
            created=created,
        )

        return enrolled_relay

