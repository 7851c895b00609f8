from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast

if TYPE_CHECKING:
  from ..models.latencies_latencies import LatenciesLatencies





T = TypeVar("T", bound="Latencies")



@_attrs_define
class Latencies:
    """ What a client measured to relays.

     """

    latencies: LatenciesLatencies
    """ Milliseconds by relay. """





    def to_dict(self) -> dict[str, Any]:
        from ..models.latencies_latencies import LatenciesLatencies # noqa: PLC0415
        latencies = self.latencies.to_dict()


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "latencies": latencies,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.latencies_latencies import LatenciesLatencies # noqa: PLC0415
        d = dict(src_dict)
        latencies = LatenciesLatencies.from_dict(d.pop("latencies"))




        latencies = cls(
            latencies=latencies,
        )

        return latencies

