from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.why import check_why
from ..models.why import Why
from typing import cast






T = TypeVar("T", bound="Reason")



@_attrs_define
class Reason:
    """ Why a relay is behind.

     """

    code: Why
    """ The reasons, from outside to inside. """
    detail: str





    def to_dict(self) -> dict[str, Any]:
        code: str = self.code

        detail = self.detail


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "code": code,
            "detail": detail,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        code = check_why(d.pop("code"))




        detail = d.pop("detail")

        reason = cls(
            code=code,
            detail=detail,
        )

        return reason

