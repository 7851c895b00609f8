from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast
import datetime






T = TypeVar("T", bound="RefusedRoute")



@_attrs_define
class RefusedRoute:
    """ A route that a router outside told, and that a filter refused.

     """

    relay: str
    relay_name: str
    peering: str
    peering_name: str
    neighbour: str
    prefix: str
    as_path: list[int]
    reason: str
    """ `own_prefix`, `default_route`, `site_prefix`, `not_in_rules`, `path_loop`, … """
    severity: str
    """ `high`, `medium` or `low`. """
    since: datetime.datetime





    def to_dict(self) -> dict[str, Any]:
        relay = self.relay

        relay_name = self.relay_name

        peering = self.peering

        peering_name = self.peering_name

        neighbour = self.neighbour

        prefix = self.prefix

        as_path = self.as_path



        reason = self.reason

        severity = self.severity

        since = self.since.isoformat()


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "relay": relay,
            "relay_name": relay_name,
            "peering": peering,
            "peering_name": peering_name,
            "neighbour": neighbour,
            "prefix": prefix,
            "as_path": as_path,
            "reason": reason,
            "severity": severity,
            "since": since,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        relay = d.pop("relay")

        relay_name = d.pop("relay_name")

        peering = d.pop("peering")

        peering_name = d.pop("peering_name")

        neighbour = d.pop("neighbour")

        prefix = d.pop("prefix")

        as_path = cast(list[int], d.pop("as_path"))


        reason = d.pop("reason")

        severity = d.pop("severity")

        since = datetime.datetime.fromisoformat(d.pop("since"))




        refused_route = cls(
            relay=relay,
            relay_name=relay_name,
            peering=peering,
            peering_name=peering_name,
            neighbour=neighbour,
            prefix=prefix,
            as_path=as_path,
            reason=reason,
            severity=severity,
            since=since,
        )

        return refused_route

