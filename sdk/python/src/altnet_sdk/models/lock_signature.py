from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset







T = TypeVar("T", bound="LockSignature")



@_attrs_define
class LockSignature:
    """ An Ed25519 signature and whose it is, base64.

     """

    key: str
    signature: str





    def to_dict(self) -> dict[str, Any]:
        key = self.key

        signature = self.signature


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "key": key,
            "signature": signature,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        key = d.pop("key")

        signature = d.pop("signature")

        lock_signature = cls(
            key=key,
            signature=signature,
        )

        return lock_signature

