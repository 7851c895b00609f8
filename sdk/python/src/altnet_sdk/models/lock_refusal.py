from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset







T = TypeVar("T", bound="LockRefusal")



@_attrs_define
class LockRefusal:
    """ Something that a relay was told and nobody has signed for.

     """

    object_: str
    what: str
    reason: str





    def to_dict(self) -> dict[str, Any]:
        object_ = self.object_

        what = self.what

        reason = self.reason


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "object": object_,
            "what": what,
            "reason": reason,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        object_ = d.pop("object")

        what = d.pop("what")

        reason = d.pop("reason")

        lock_refusal = cls(
            object_=object_,
            what=what,
            reason=reason,
        )

        return lock_refusal

