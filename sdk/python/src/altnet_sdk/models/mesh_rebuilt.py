from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset







T = TypeVar("T", bound="MeshRebuilt")



@_attrs_define
class MeshRebuilt:
    """ Documents are put on the bus again.

     """

    documents: int
    """ How many. """





    def to_dict(self) -> dict[str, Any]:
        documents = self.documents


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "documents": documents,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        documents = d.pop("documents")

        mesh_rebuilt = cls(
            documents=documents,
        )

        return mesh_rebuilt

