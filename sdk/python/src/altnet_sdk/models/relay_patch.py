from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.relay_state import check_relay_state
from ..models.relay_state import RelayState
from ..types import UNSET, Unset
from typing import cast

if TYPE_CHECKING:
  from ..models.relay_patch_labels import RelayPatchLabels





T = TypeVar("T", bound="RelayPatch")



@_attrs_define
class RelayPatch:
    """ What of a relay is to change.

     """

    name: str | Unset = UNSET
    region: str | Unset = UNSET
    labels: RelayPatchLabels | Unset = UNSET
    """ Replaces all labels. """
    state: RelayState | Unset = UNSET
    """ What the operator wants of a relay. """
    weight: float | Unset = UNSET
    """ Its share of clients against the others'; 0: none. """
    endpoints: list[str] | Unset = UNSET





    def to_dict(self) -> dict[str, Any]:
        from ..models.relay_patch_labels import RelayPatchLabels # noqa: PLC0415
        name = self.name

        region = self.region

        labels: dict[str, Any] | Unset = UNSET
        if not isinstance(self.labels, Unset):
            labels = self.labels.to_dict()

        state: str | Unset = UNSET
        if not isinstance(self.state, Unset):
            state = self.state


        weight = self.weight

        endpoints: list[str] | Unset = UNSET
        if not isinstance(self.endpoints, Unset):
            endpoints = self.endpoints




        field_dict: dict[str, Any] = {}

        field_dict.update({
        })
        if name is not UNSET:
            field_dict["name"] = name
        if region is not UNSET:
            field_dict["region"] = region
        if labels is not UNSET:
            field_dict["labels"] = labels
        if state is not UNSET:
            field_dict["state"] = state
        if weight is not UNSET:
            field_dict["weight"] = weight
        if endpoints is not UNSET:
            field_dict["endpoints"] = endpoints

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.relay_patch_labels import RelayPatchLabels # noqa: PLC0415
        d = dict(src_dict)
        name = d.pop("name", UNSET)

        region = d.pop("region", UNSET)

        _labels = d.pop("labels", UNSET)
        labels: RelayPatchLabels | Unset
        if isinstance(_labels,  Unset):
            labels = UNSET
        else:
            labels = RelayPatchLabels.from_dict(_labels)




        _state = d.pop("state", UNSET)
        state: RelayState | Unset
        if isinstance(_state,  Unset):
            state = UNSET
        else:
            state = check_relay_state(_state)




        weight = d.pop("weight", UNSET)

        endpoints = cast(list[str], d.pop("endpoints", UNSET))


        relay_patch = cls(
            name=name,
            region=region,
            labels=labels,
            state=state,
            weight=weight,
            endpoints=endpoints,
        )

        return relay_patch

