from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.service_health import check_service_health
from ..models.service_health import ServiceHealth
from ..types import UNSET, Unset
from typing import cast






T = TypeVar("T", bound="HealthReport")



@_attrs_define
class HealthReport:
    """ How a service is, as somebody found out.

     """

    health: ServiceHealth
    """ As whoever checks it reports. """
    note: str | Unset = ''





    def to_dict(self) -> dict[str, Any]:
        health: str = self.health

        note = self.note


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "health": health,
        })
        if note is not UNSET:
            field_dict["note"] = note

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        health = check_service_health(d.pop("health"))




        note = d.pop("note", UNSET)

        health_report = cls(
            health=health,
            note=note,
        )

        return health_report

