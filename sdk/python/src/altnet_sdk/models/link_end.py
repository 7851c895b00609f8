from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset







T = TypeVar("T", bound="LinkEnd")



@_attrs_define
class LinkEnd:
    

    relay: str
    name: str
    region: str





    def to_dict(self) -> dict[str, Any]:
        relay = self.relay

        name = self.name

        region = self.region


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "relay": relay,
            "name": name,
            "region": region,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        relay = d.pop("relay")

        name = d.pop("name")

        region = d.pop("region")

        link_end = cls(
            relay=relay,
            name=name,
            region=region,
        )

        return link_end

