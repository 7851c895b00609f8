from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast
import datetime

if TYPE_CHECKING:
  from ..models.lock_signature import LockSignature





T = TypeVar("T", bound="LockEntrySigned")



@_attrs_define
class LockEntrySigned:
    """ An entry of the log, as it was signed.

     """

    number: int
    entry: str
    hash_: str
    signatures: list[LockSignature]
    created_by: str
    created_at: datetime.datetime





    def to_dict(self) -> dict[str, Any]:
        from ..models.lock_signature import LockSignature # noqa: PLC0415
        number = self.number

        entry = self.entry

        hash_ = self.hash_

        signatures = []
        for signatures_item_data in self.signatures:
            signatures_item = signatures_item_data.to_dict()
            signatures.append(signatures_item)



        created_by = self.created_by

        created_at = self.created_at.isoformat()


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "number": number,
            "entry": entry,
            "hash": hash_,
            "signatures": signatures,
            "created_by": created_by,
            "created_at": created_at,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.lock_signature import LockSignature # noqa: PLC0415
        d = dict(src_dict)
        number = d.pop("number")

        entry = d.pop("entry")

        hash_ = d.pop("hash")

        signatures = []
        _signatures = d.pop("signatures")
        for signatures_item_data in (_signatures):
            signatures_item = LockSignature.from_dict(signatures_item_data)



            signatures.append(signatures_item)


        created_by = d.pop("created_by")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))




        lock_entry_signed = cls(
            number=number,
            entry=entry,
            hash_=hash_,
            signatures=signatures,
            created_by=created_by,
            created_at=created_at,
        )

        return lock_entry_signed

