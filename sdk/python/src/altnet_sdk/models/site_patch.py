from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast

if TYPE_CHECKING:
  from ..models.site_patch_labels import SitePatchLabels





T = TypeVar("T", bound="SitePatch")



@_attrs_define
class SitePatch:
    """ What of a site is to change.

     """

    name: str | Unset = UNSET
    prefixes: list[str] | Unset = UNSET
    """ Replaces all prefixes. """
    relays: list[str] | Unset = UNSET
    """ Replaces all relays. """
    labels: SitePatchLabels | Unset = UNSET
    """ Replaces all labels. """





    def to_dict(self) -> dict[str, Any]:
        from ..models.site_patch_labels import SitePatchLabels # noqa: PLC0415
        name = self.name

        prefixes: list[str] | Unset = UNSET
        if not isinstance(self.prefixes, Unset):
            prefixes = self.prefixes



        relays: list[str] | Unset = UNSET
        if not isinstance(self.relays, Unset):
            relays = self.relays



        labels: dict[str, Any] | Unset = UNSET
        if not isinstance(self.labels, Unset):
            labels = self.labels.to_dict()


        field_dict: dict[str, Any] = {}

        field_dict.update({
        })
        if name is not UNSET:
            field_dict["name"] = name
        if prefixes is not UNSET:
            field_dict["prefixes"] = prefixes
        if relays is not UNSET:
            field_dict["relays"] = relays
        if labels is not UNSET:
            field_dict["labels"] = labels

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.site_patch_labels import SitePatchLabels # noqa: PLC0415
        d = dict(src_dict)
        name = d.pop("name", UNSET)

        prefixes = cast(list[str], d.pop("prefixes", UNSET))


        relays = cast(list[str], d.pop("relays", UNSET))


        _labels = d.pop("labels", UNSET)
        labels: SitePatchLabels | Unset
        if isinstance(_labels,  Unset):
            labels = UNSET
        else:
            labels = SitePatchLabels.from_dict(_labels)




        site_patch = cls(
            name=name,
            prefixes=prefixes,
            relays=relays,
            labels=labels,
        )

        return site_patch

