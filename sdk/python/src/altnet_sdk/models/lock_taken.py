from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset







T = TypeVar("T", bound="LockTaken")



@_attrs_define
class LockTaken:
    """ How many were new.

     """

    taken: int





    def to_dict(self) -> dict[str, Any]:
        taken = self.taken


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "taken": taken,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        taken = d.pop("taken")

        lock_taken = cls(
            taken=taken,
        )

        return lock_taken

