from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset







T = TypeVar("T", bound="Approval")



@_attrs_define
class Approval:
    """ An owner vouches for a host.

     """

    fingerprint: str
    """ As `altnet-agent status` shows it on the host itself; spaces and case do not count. """





    def to_dict(self) -> dict[str, Any]:
        fingerprint = self.fingerprint


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "fingerprint": fingerprint,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        fingerprint = d.pop("fingerprint")

        approval = cls(
            fingerprint=fingerprint,
        )

        return approval

