from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset







T = TypeVar("T", bound="LockStatement")



@_attrs_define
class LockStatement:
    """ What an authority signed, base64.

     """

    statement: str
    """ Canonical JSON, as it was signed. """
    authority: str
    signature: str





    def to_dict(self) -> dict[str, Any]:
        statement = self.statement

        authority = self.authority

        signature = self.signature


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "statement": statement,
            "authority": authority,
            "signature": signature,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        statement = d.pop("statement")

        authority = d.pop("authority")

        signature = d.pop("signature")

        lock_statement = cls(
            statement=statement,
            authority=authority,
            signature=signature,
        )

        return lock_statement

