from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast
import datetime






T = TypeVar("T", bound="BusPass")



@_attrs_define
class BusPass:
    """ How to reach the bus, and the pass to it.

     """

    servers: list[str]
    jwt: str
    expires_at: datetime.datetime





    def to_dict(self) -> dict[str, Any]:
        servers = self.servers



        jwt = self.jwt

        expires_at = self.expires_at.isoformat()


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "servers": servers,
            "jwt": jwt,
            "expires_at": expires_at,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        servers = cast(list[str], d.pop("servers"))


        jwt = d.pop("jwt")

        expires_at = datetime.datetime.fromisoformat(d.pop("expires_at"))




        bus_pass = cls(
            servers=servers,
            jwt=jwt,
            expires_at=expires_at,
        )

        return bus_pass

