from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast






T = TypeVar("T", bound="AttachedClient")



@_attrs_define
class AttachedClient:
    """ A client that the relay sees.

     """

    client: str
    handshake_age: float | None
    received: int
    sent: int
    endpoint: None | str





    def to_dict(self) -> dict[str, Any]:
        client = self.client

        handshake_age: float | None
        handshake_age = self.handshake_age

        received = self.received

        sent = self.sent

        endpoint: None | str
        endpoint = self.endpoint


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "client": client,
            "handshake_age": handshake_age,
            "received": received,
            "sent": sent,
            "endpoint": endpoint,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        client = d.pop("client")

        def _parse_handshake_age(data: object) -> float | None:
            if data is None:
                return data
            return cast(float | None, data)

        handshake_age = _parse_handshake_age(d.pop("handshake_age"))


        received = d.pop("received")

        sent = d.pop("sent")

        def _parse_endpoint(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        endpoint = _parse_endpoint(d.pop("endpoint"))


        attached_client = cls(
            client=client,
            handshake_age=handshake_age,
            received=received,
            sent=sent,
            endpoint=endpoint,
        )

        return attached_client

