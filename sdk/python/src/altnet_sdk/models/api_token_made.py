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






T = TypeVar("T", bound="ApiTokenMade")



@_attrs_define
class ApiTokenMade:
    """ A fresh API token; `secret` is shown here only.

     """

    id: str
    name: str
    role: OperatorRole
    """ Roles that an API token may have. """
    scopes: list[str]
    expires_at: datetime.datetime
    revoked_at: datetime.datetime | None
    created_by: str
    created_at: datetime.datetime
    secret: str





    def to_dict(self) -> dict[str, Any]:
        id = self.id

        name = self.name

        role: str = self.role

        scopes = self.scopes



        expires_at = self.expires_at.isoformat()

        revoked_at: None | str
        if isinstance(self.revoked_at, datetime.datetime):
            revoked_at = self.revoked_at.isoformat()
        else:
            revoked_at = self.revoked_at

        created_by = self.created_by

        created_at = self.created_at.isoformat()

        secret = self.secret


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "id": id,
            "name": name,
            "role": role,
            "scopes": scopes,
            "expires_at": expires_at,
            "revoked_at": revoked_at,
            "created_by": created_by,
            "created_at": created_at,
            "secret": secret,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = d.pop("id")

        name = d.pop("name")

        role = check_operator_role(d.pop("role"))




        scopes = cast(list[str], d.pop("scopes"))


        expires_at = datetime.datetime.fromisoformat(d.pop("expires_at"))




        def _parse_revoked_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                revoked_at_type_0 = datetime.datetime.fromisoformat(data)



                return revoked_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        revoked_at = _parse_revoked_at(d.pop("revoked_at"))


        created_by = d.pop("created_by")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))




        secret = d.pop("secret")

        api_token_made = cls(
            id=id,
            name=name,
            role=role,
            scopes=scopes,
            expires_at=expires_at,
            revoked_at=revoked_at,
            created_by=created_by,
            created_at=created_at,
            secret=secret,
        )

        return api_token_made

