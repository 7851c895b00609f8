from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.host_key_use import check_host_key_use
from ..models.host_key_use import HostKeyUse
from typing import cast
import datetime






T = TypeVar("T", bound="KeyOfIdentity")



@_attrs_define
class KeyOfIdentity:
    """ A key that an identity has or had.

     """

    use: HostKeyUse
    """ What a host has a key for. """
    key: str
    added_at: datetime.datetime
    removed_at: datetime.datetime | None
    why: str
    """ The identity's state, or the reason why it was pending, when the key came; where a WireGuard key came from.
    """





    def to_dict(self) -> dict[str, Any]:
        use: str = self.use

        key = self.key

        added_at = self.added_at.isoformat()

        removed_at: None | str
        if isinstance(self.removed_at, datetime.datetime):
            removed_at = self.removed_at.isoformat()
        else:
            removed_at = self.removed_at

        why = self.why


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "use": use,
            "key": key,
            "added_at": added_at,
            "removed_at": removed_at,
            "why": why,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        use = check_host_key_use(d.pop("use"))




        key = d.pop("key")

        added_at = datetime.datetime.fromisoformat(d.pop("added_at"))




        def _parse_removed_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                removed_at_type_0 = datetime.datetime.fromisoformat(data)



                return removed_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        removed_at = _parse_removed_at(d.pop("removed_at"))


        why = d.pop("why")

        key_of_identity = cls(
            use=use,
            key=key,
            added_at=added_at,
            removed_at=removed_at,
            why=why,
        )

        return key_of_identity

