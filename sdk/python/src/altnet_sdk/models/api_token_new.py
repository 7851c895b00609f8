from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.operator_role import check_operator_role
from ..models.operator_role import OperatorRole
from typing import cast
import datetime






T = TypeVar("T", bound="ApiTokenNew")



@_attrs_define
class ApiTokenNew:
    """ An API token to make.

     """

    name: str
    role: OperatorRole
    """ Roles that an API token may have. """
    scopes: list[str]
    """ `relays:read`, `clients:write` …, or `*`. """
    expires_at: datetime.datetime





    def to_dict(self) -> dict[str, Any]:
        name = self.name

        role: str = self.role

        scopes = self.scopes



        expires_at = self.expires_at.isoformat()


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "name": name,
            "role": role,
            "scopes": scopes,
            "expires_at": expires_at,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        name = d.pop("name")

        role = check_operator_role(d.pop("role"))




        scopes = cast(list[str], d.pop("scopes"))


        expires_at = datetime.datetime.fromisoformat(d.pop("expires_at"))




        api_token_new = cls(
            name=name,
            role=role,
            scopes=scopes,
            expires_at=expires_at,
        )

        return api_token_new

