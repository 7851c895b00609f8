from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast






T = TypeVar("T", bound="KeyChange")



@_attrs_define
class KeyChange:
    """ A client is to have another key.

     """

    key: None | str | Unset = UNSET
    """ The public key, where an operator announces it for a client whose program cannot; null: the client makes it.
    """
    within: float | None | Unset = UNSET
    """ Seconds after which the present key is out; null: as the registry is set. """





    def to_dict(self) -> dict[str, Any]:
        key: None | str | Unset
        if isinstance(self.key, Unset):
            key = UNSET
        else:
            key = self.key

        within: float | None | Unset
        if isinstance(self.within, Unset):
            within = UNSET
        else:
            within = self.within


        field_dict: dict[str, Any] = {}

        field_dict.update({
        })
        if key is not UNSET:
            field_dict["key"] = key
        if within is not UNSET:
            field_dict["within"] = within

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        def _parse_key(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        key = _parse_key(d.pop("key", UNSET))


        def _parse_within(data: object) -> float | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(float | None | Unset, data)

        within = _parse_within(d.pop("within", UNSET))


        key_change = cls(
            key=key,
            within=within,
        )

        return key_change

