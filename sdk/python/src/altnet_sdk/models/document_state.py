from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset







T = TypeVar("T", bound="DocumentState")



@_attrs_define
class DocumentState:
    """ One document: its generation (a change's number), and the digest of its content.

     """

    generation: int
    digest: str





    def to_dict(self) -> dict[str, Any]:
        generation = self.generation

        digest = self.digest


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "generation": generation,
            "digest": digest,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        generation = d.pop("generation")

        digest = d.pop("digest")

        document_state = cls(
            generation=generation,
            digest=digest,
        )

        return document_state

