from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast






T = TypeVar("T", bound="PrefixRuleIn")



@_attrs_define
class PrefixRuleIn:
    """ Prefixes inside `prefix` whose length is in `shortest` … `longest`.

     """

    prefix: str
    shortest: int | None | Unset = UNSET
    """ Without it, the length of `prefix`. """
    longest: int | None | Unset = UNSET
    """ Without it, `shortest`: exactly that length. """





    def to_dict(self) -> dict[str, Any]:
        prefix = self.prefix

        shortest: int | None | Unset
        if isinstance(self.shortest, Unset):
            shortest = UNSET
        else:
            shortest = self.shortest

        longest: int | None | Unset
        if isinstance(self.longest, Unset):
            longest = UNSET
        else:
            longest = self.longest


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "prefix": prefix,
        })
        if shortest is not UNSET:
            field_dict["shortest"] = shortest
        if longest is not UNSET:
            field_dict["longest"] = longest

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        prefix = d.pop("prefix")

        def _parse_shortest(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        shortest = _parse_shortest(d.pop("shortest", UNSET))


        def _parse_longest(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        longest = _parse_longest(d.pop("longest", UNSET))


        prefix_rule_in = cls(
            prefix=prefix,
            shortest=shortest,
            longest=longest,
        )

        return prefix_rule_in

