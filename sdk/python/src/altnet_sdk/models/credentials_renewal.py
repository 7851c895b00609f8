from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.engine import check_engine
from ..models.engine import Engine
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
    identity_key: str | Unset = ''
    routing: Engine | None | Unset = UNSET
    """ Left out: as known. """





    def to_dict(self) -> dict[str, Any]:
        nkey = self.nkey

        key = self.key

        access_key = self.access_key

        timestamp = self.timestamp.isoformat()

        endpoints: list[str] | Unset = UNSET
        if not isinstance(self.endpoints, Unset):
            endpoints = self.endpoints



        identity_key = self.identity_key

        routing: None | str | Unset
        if isinstance(self.routing, Unset):
            routing = UNSET
        elif isinstance(self.routing, str):
            routing = self.routing
        else:
            routing = self.routing


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "nkey": nkey,
            "key": key,
            "access_key": access_key,
            "timestamp": timestamp,
        })
        if endpoints is not UNSET:
            field_dict["endpoints"] = endpoints
        if identity_key is not UNSET:
            field_dict["identity_key"] = identity_key
        if routing is not UNSET:
            field_dict["routing"] = routing

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        nkey = d.pop("nkey")

        key = d.pop("key")

        access_key = d.pop("access_key")

        timestamp = datetime.datetime.fromisoformat(d.pop("timestamp"))




        endpoints = cast(list[str], d.pop("endpoints", UNSET))


        identity_key = d.pop("identity_key", UNSET)

        def _parse_routing(data: object) -> Engine | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                routing_type_0 = check_engine(data)



                return routing_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(Engine | None | Unset, data)

        routing = _parse_routing(d.pop("routing", UNSET))


        credentials_renewal = cls(
            nkey=nkey,
            key=key,
            access_key=access_key,
            timestamp=timestamp,
            endpoints=endpoints,
            identity_key=identity_key,
            routing=routing,
        )

        return credentials_renewal

