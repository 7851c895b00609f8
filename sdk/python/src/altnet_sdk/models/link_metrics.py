from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast






T = TypeVar("T", bound="LinkMetrics")



@_attrs_define
class LinkMetrics:
    """ One link of a relay, as it sees it. Times in seconds, sizes in bytes.

     """

    neighbour: str
    up: bool
    handshake_age: float | None
    received: int
    sent: int
    rtt: float | None
    loss: float | None
    endpoint: None | str





    def to_dict(self) -> dict[str, Any]:
        neighbour = self.neighbour

        up = self.up

        handshake_age: float | None
        handshake_age = self.handshake_age

        received = self.received

        sent = self.sent

        rtt: float | None
        rtt = self.rtt

        loss: float | None
        loss = self.loss

        endpoint: None | str
        endpoint = self.endpoint


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "neighbour": neighbour,
            "up": up,
            "handshake_age": handshake_age,
            "received": received,
            "sent": sent,
            "rtt": rtt,
            "loss": loss,
            "endpoint": endpoint,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        neighbour = d.pop("neighbour")

        up = d.pop("up")

        def _parse_handshake_age(data: object) -> float | None:
            if data is None:
                return data
            return cast(float | None, data)

        handshake_age = _parse_handshake_age(d.pop("handshake_age"))


        received = d.pop("received")

        sent = d.pop("sent")

        def _parse_rtt(data: object) -> float | None:
            if data is None:
                return data
            return cast(float | None, data)

        rtt = _parse_rtt(d.pop("rtt"))


        def _parse_loss(data: object) -> float | None:
            if data is None:
                return data
            return cast(float | None, data)

        loss = _parse_loss(d.pop("loss"))


        def _parse_endpoint(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        endpoint = _parse_endpoint(d.pop("endpoint"))


        link_metrics = cls(
            neighbour=neighbour,
            up=up,
            handshake_age=handshake_age,
            received=received,
            sent=sent,
            rtt=rtt,
            loss=loss,
            endpoint=endpoint,
        )

        return link_metrics

