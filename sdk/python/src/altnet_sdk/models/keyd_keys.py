from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast

if TYPE_CHECKING:
  from ..models.keyd_key import KeydKey





T = TypeVar("T", bound="KeydKeys")



@_attrs_define
class KeydKeys:
    """ keyd's keys, the oldest first.

     """

    keys: list[KeydKey]
    fingerprint: str
    """ Of the current static and signing key; hosts show the one that they have pinned. """





    def to_dict(self) -> dict[str, Any]:
        from ..models.keyd_key import KeydKey # noqa: PLC0415
        keys = []
        for keys_item_data in self.keys:
            keys_item = keys_item_data.to_dict()
            keys.append(keys_item)



        fingerprint = self.fingerprint


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "keys": keys,
            "fingerprint": fingerprint,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.keyd_key import KeydKey # noqa: PLC0415
        d = dict(src_dict)
        keys = []
        _keys = d.pop("keys")
        for keys_item_data in (_keys):
            keys_item = KeydKey.from_dict(keys_item_data)



            keys.append(keys_item)


        fingerprint = d.pop("fingerprint")

        keyd_keys = cls(
            keys=keys,
            fingerprint=fingerprint,
        )

        return keyd_keys

