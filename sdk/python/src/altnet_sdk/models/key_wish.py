from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset







T = TypeVar("T", bound="KeyWish")



@_attrs_define
class KeyWish:
    """ A client is to make itself another key and to announce it.

     """

    epoch: int
    challenge: str
    """ Public key to which the announcement proves that both keys are held. """





    def to_dict(self) -> dict[str, Any]:
        epoch = self.epoch

        challenge = self.challenge


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "epoch": epoch,
            "challenge": challenge,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        epoch = d.pop("epoch")

        challenge = d.pop("challenge")

        key_wish = cls(
            epoch=epoch,
            challenge=challenge,
        )

        return key_wish

