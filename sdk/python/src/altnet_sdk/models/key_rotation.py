from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.key_use import check_key_use
from ..models.key_use import KeyUse
from ..types import UNSET, Unset
from typing import cast






T = TypeVar("T", bound="KeyRotation")



@_attrs_define
class KeyRotation:
    """ Replace one of keyd's own keys.

     """

    use: KeyUse
    overlap: float | None | Unset = UNSET
    """ Seconds for which a replaced static key still answers; null: keyd's setting. 0 after a theft. """





    def to_dict(self) -> dict[str, Any]:
        use: str = self.use

        overlap: float | None | Unset
        if isinstance(self.overlap, Unset):
            overlap = UNSET
        else:
            overlap = self.overlap


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "use": use,
        })
        if overlap is not UNSET:
            field_dict["overlap"] = overlap

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        use = check_key_use(d.pop("use"))




        def _parse_overlap(data: object) -> float | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(float | None | Unset, data)

        overlap = _parse_overlap(d.pop("overlap", UNSET))


        key_rotation = cls(
            use=use,
            overlap=overlap,
        )

        return key_rotation

