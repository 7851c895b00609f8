from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset







T = TypeVar("T", bound="NextKey")



@_attrs_define
class NextKey:
    """ A client announces the key that it made.

     """

    key: str
    epoch: int
    """ Of the wish that this answers. """
    proof: str
    """ That both keys are held, base64. """





    def to_dict(self) -> dict[str, Any]:
        key = self.key

        epoch = self.epoch

        proof = self.proof


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "key": key,
            "epoch": epoch,
            "proof": proof,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        key = d.pop("key")

        epoch = d.pop("epoch")

        proof = d.pop("proof")

        next_key = cls(
            key=key,
            epoch=epoch,
            proof=proof,
        )

        return next_key

