from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast

if TYPE_CHECKING:
  from ..models.relay_sample import RelaySample





T = TypeVar("T", bound="RelayMetrics")



@_attrs_define
class RelayMetrics:
    """ The last heartbeats of a relay that this replica heard, oldest first.

     """

    relay: str
    samples: list[RelaySample]





    def to_dict(self) -> dict[str, Any]:
        from ..models.relay_sample import RelaySample # noqa: PLC0415
        relay = self.relay

        samples = []
        for samples_item_data in self.samples:
            samples_item = samples_item_data.to_dict()
            samples.append(samples_item)




        field_dict: dict[str, Any] = {}

        field_dict.update({
            "relay": relay,
            "samples": samples,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.relay_sample import RelaySample # noqa: PLC0415
        d = dict(src_dict)
        relay = d.pop("relay")

        samples = []
        _samples = d.pop("samples")
        for samples_item_data in (_samples):
            samples_item = RelaySample.from_dict(samples_item_data)



            samples.append(samples_item)


        relay_metrics = cls(
            relay=relay,
            samples=samples,
        )

        return relay_metrics

