from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast

if TYPE_CHECKING:
  from ..models.site_new_labels import SiteNewLabels





T = TypeVar("T", bound="SiteNew")



@_attrs_define
class SiteNew:
    """ A site to make.

     """

    name: str
    prefixes: list[str]
    """ IPv4 and IPv6, outside the network's own prefix and of no other site. """
    relays: list[str] | Unset = UNSET
    """ Who announces them. """
    network: None | str | Unset = UNSET
    labels: SiteNewLabels | Unset = UNSET





    def to_dict(self) -> dict[str, Any]:
        from ..models.site_new_labels import SiteNewLabels # noqa: PLC0415
        name = self.name

        prefixes = self.prefixes



        relays: list[str] | Unset = UNSET
        if not isinstance(self.relays, Unset):
            relays = self.relays



        network: None | str | Unset
        if isinstance(self.network, Unset):
            network = UNSET
        else:
            network = self.network

        labels: dict[str, Any] | Unset = UNSET
        if not isinstance(self.labels, Unset):
            labels = self.labels.to_dict()


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "name": name,
            "prefixes": prefixes,
        })
        if relays is not UNSET:
            field_dict["relays"] = relays
        if network is not UNSET:
            field_dict["network"] = network
        if labels is not UNSET:
            field_dict["labels"] = labels

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.site_new_labels import SiteNewLabels # noqa: PLC0415
        d = dict(src_dict)
        name = d.pop("name")

        prefixes = cast(list[str], d.pop("prefixes"))


        relays = cast(list[str], d.pop("relays", UNSET))


        def _parse_network(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        network = _parse_network(d.pop("network", UNSET))


        _labels = d.pop("labels", UNSET)
        labels: SiteNewLabels | Unset
        if isinstance(_labels,  Unset):
            labels = UNSET
        else:
            labels = SiteNewLabels.from_dict(_labels)




        site_new = cls(
            name=name,
            prefixes=prefixes,
            relays=relays,
            network=network,
            labels=labels,
        )

        return site_new

