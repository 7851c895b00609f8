from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.problem_error_location_type_0 import check_problem_error_location_type_0
from ..models.problem_error_location_type_0 import ProblemErrorLocationType0
from typing import cast






T = TypeVar("T", bound="ProblemError")



@_attrs_define
class ProblemError:
    """ One fault of the input.

     """

    pointer: str
    """ JSON pointer (RFC 6901) into the body; for a parameter, a slash and its name. """
    detail: str
    """ What is wrong there, for people. """
    code: str
    """ What is wrong there, for programs. """
    location: None | ProblemErrorLocationType0
    """ Which part of the request the pointer is about, where that is known; else it is the body. """





    def to_dict(self) -> dict[str, Any]:
        pointer = self.pointer

        detail = self.detail

        code = self.code

        location: None | str
        if isinstance(self.location, str):
            location = self.location
        else:
            location = self.location


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "pointer": pointer,
            "detail": detail,
            "code": code,
            "location": location,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        pointer = d.pop("pointer")

        detail = d.pop("detail")

        code = d.pop("code")

        def _parse_location(data: object) -> None | ProblemErrorLocationType0:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                location_type_0 = check_problem_error_location_type_0(data)



                return location_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | ProblemErrorLocationType0, data)

        location = _parse_location(d.pop("location"))


        problem_error = cls(
            pointer=pointer,
            detail=detail,
            code=code,
            location=location,
        )

        return problem_error

