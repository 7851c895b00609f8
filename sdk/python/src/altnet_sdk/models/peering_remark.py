from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset







T = TypeVar("T", bound="PeeringRemark")



@_attrs_define
class PeeringRemark:
    """ Something that its owner should know.

     """

    code: str
    field: str
    detail: str
    mend: str





    def to_dict(self) -> dict[str, Any]:
        code = self.code

        field = self.field

        detail = self.detail

        mend = self.mend


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "code": code,
            "field": field,
            "detail": detail,
            "mend": mend,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        code = d.pop("code")

        field = d.pop("field")

        detail = d.pop("detail")

        mend = d.pop("mend")

        peering_remark = cls(
            code=code,
            field=field,
            detail=detail,
            mend=mend,
        )

        return peering_remark

