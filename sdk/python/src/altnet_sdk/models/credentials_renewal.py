from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast
import datetime






T = TypeVar("T", bound="CredentialsRenewal")



@_attrs_define
class CredentialsRenewal:
    """ A relay asks for fresh bus credentials. Signed by its nkey in the header Altnet-Signature.

     """

    nkey: str
    key: str
    access_key: str
    timestamp: datetime.datetime
    endpoints: list[str] | Unset = UNSET
    """ Where it is reachable now; empty leaves what is known. """





    def to_dict(self) -> dict[str, Any]:
        nkey = self.nkey

        key = self.key

        access_key = self.access_key

        timestamp = self.timestamp.isoformat()

        endpoints: list[str] | Unset = UNSET
        if not isinstance(self.endpoints, Unset):
            endpoints = self.endpoints




        field_dict: dict[str, Any] = {}

        field_dict.update({
            "nkey": nkey,
            "key": key,
            "access_key": access_key,
            "timestamp": timestamp,
        })
        if endpoints is not UNSET:
            field_dict["endpoints"] = endpoints

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        nkey = d.pop("nkey")

        key = d.pop("key")

        access_key = d.pop("access_key")

        timestamp = datetime.datetime.fromisoformat(d.pop("timestamp"))




        endpoints = cast(list[str], d.pop("endpoints", UNSET))


        credentials_renewal = cls(
            nkey=nkey,
            key=key,
            access_key=access_key,
            timestamp=timestamp,
            endpoints=endpoints,
        )

        return credentials_renewal

