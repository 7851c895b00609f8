from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast
import datetime

if TYPE_CHECKING:
  from ..models.site_labels import SiteLabels





T = TypeVar("T", bound="Site")



@_attrs_define
class Site:
    """ A site: prefixes behind relays.

     """

    id: str
    network: str
    name: str
    prefixes: list[str]
    relays: list[str]
    labels: SiteLabels
    version: int
    created_at: datetime.datetime
    updated_at: datetime.datetime
    change: int | None
    """ Number of the change that this request was. """





    def to_dict(self) -> dict[str, Any]:
        from ..models.site_labels import SiteLabels # noqa: PLC0415
        id = self.id

        network = self.network

        name = self.name

        prefixes = self.prefixes



        relays = self.relays



        labels = self.labels.to_dict()

        version = self.version

        created_at = self.created_at.isoformat()

        updated_at = self.updated_at.isoformat()

        change: int | None
        change = self.change


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "id": id,
            "network": network,
            "name": name,
            "prefixes": prefixes,
            "relays": relays,
            "labels": labels,
            "version": version,
            "created_at": created_at,
            "updated_at": updated_at,
            "change": change,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.site_labels import SiteLabels # noqa: PLC0415
        d = dict(src_dict)
        id = d.pop("id")

        network = d.pop("network")

        name = d.pop("name")

        prefixes = cast(list[str], d.pop("prefixes"))


        relays = cast(list[str], d.pop("relays"))


        labels = SiteLabels.from_dict(d.pop("labels"))




        version = d.pop("version")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))




        updated_at = datetime.datetime.fromisoformat(d.pop("updated_at"))




        def _parse_change(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        change = _parse_change(d.pop("change"))


        site = cls(
            id=id,
            network=network,
            name=name,
            prefixes=prefixes,
            relays=relays,
            labels=labels,
            version=version,
            created_at=created_at,
            updated_at=updated_at,
            change=change,
        )

        return site

