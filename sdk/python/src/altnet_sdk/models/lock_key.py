from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.wg_use import check_wg_use
from ..models.wg_use import WgUse
from typing import cast






T = TypeVar("T", bound="LockKey")



@_attrs_define
class LockKey:
    """ A WireGuard key that a host's identity key has signed.

     """

    use: WgUse
    epoch: int
    key: str





    def to_dict(self) -> dict[str, Any]:
        use: str = self.use

        epoch = self.epoch

        key = self.key


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "use": use,
            "epoch": epoch,
            "key": key,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        use = check_wg_use(d.pop("use"))




        epoch = d.pop("epoch")

        key = d.pop("key")

        lock_key = cls(
            use=use,
            epoch=epoch,
            key=key,
        )

        return lock_key

