from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset







T = TypeVar("T", bound="PrefixRuleOut")



@_attrs_define
class PrefixRuleOut:
    """ Prefixes inside `prefix` whose length is in `shortest` … `longest`.

     """

    prefix: str
    shortest: int
    longest: int





    def to_dict(self) -> dict[str, Any]:
        prefix = self.prefix

        shortest = self.shortest

        longest = self.longest


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "prefix": prefix,
            "shortest": shortest,
            "longest": longest,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        prefix = d.pop("prefix")

        shortest = d.pop("shortest")

        longest = d.pop("longest")

        prefix_rule_out = cls(
            prefix=prefix,
            shortest=shortest,
            longest=longest,
        )

        return prefix_rule_out

