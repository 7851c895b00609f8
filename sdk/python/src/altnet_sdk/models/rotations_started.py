from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast

if TYPE_CHECKING:
  from ..models.rotation import Rotation





T = TypeVar("T", bound="RotationsStarted")



@_attrs_define
class RotationsStarted:
    """ What was opened: a rotation of each kind.

     """

    rotations: list[Rotation]





    def to_dict(self) -> dict[str, Any]:
        from ..models.rotation import Rotation # noqa: PLC0415
        rotations = []
        for rotations_item_data in self.rotations:
            rotations_item = rotations_item_data.to_dict()
            rotations.append(rotations_item)




        field_dict: dict[str, Any] = {}

        field_dict.update({
            "rotations": rotations,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.rotation import Rotation # noqa: PLC0415
        d = dict(src_dict)
        rotations = []
        _rotations = d.pop("rotations")
        for rotations_item_data in (_rotations):
            rotations_item = Rotation.from_dict(rotations_item_data)



            rotations.append(rotations_item)


        rotations_started = cls(
            rotations=rotations,
        )

        return rotations_started

