from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast






T = TypeVar("T", bound="NextPoint")



@_attrs_define
class NextPoint:
    """ A relay's other access device.

     """

    key: str
    endpoints: list[str]





    def to_dict(self) -> dict[str, Any]:
        key = self.key

        endpoints = self.endpoints




        field_dict: dict[str, Any] = {}

        field_dict.update({
            "key": key,
            "endpoints": endpoints,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        key = d.pop("key")

        endpoints = cast(list[str], d.pop("endpoints"))


        next_point = cls(
            key=key,
            endpoints=endpoints,
        )

        return next_point

