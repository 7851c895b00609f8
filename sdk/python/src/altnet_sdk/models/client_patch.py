from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast
import datetime

if TYPE_CHECKING:
  from ..models.client_patch_labels import ClientPatchLabels





T = TypeVar("T", bound="ClientPatch")



@_attrs_define
class ClientPatch:
    """ What of a client is to change.

     """

    name: str | Unset = UNSET
    key: str | Unset = UNSET
    relay: str | Unset = UNSET
    """ Moves the client, `auto` to the best relay. It keeps its address. """
    movable: bool | Unset = UNSET
    standby: None | str | Unset = UNSET
    """ A relay or `auto`. Null: none. """
    labels: ClientPatchLabels | Unset = UNSET
    """ Replaces all labels. """
    expires_at: datetime.datetime | None | Unset = UNSET
    """ Null: never. """





    def to_dict(self) -> dict[str, Any]:
        from ..models.client_patch_labels import ClientPatchLabels # noqa: PLC0415
        name = self.name

        key = self.key

        relay = self.relay

        movable = self.movable

        standby: None | str | Unset
        if isinstance(self.standby, Unset):
            standby = UNSET
        else:
            standby = self.standby

        labels: dict[str, Any] | Unset = UNSET
        if not isinstance(self.labels, Unset):
            labels = self.labels.to_dict()

        expires_at: None | str | Unset
        if isinstance(self.expires_at, Unset):
            expires_at = UNSET
        elif isinstance(self.expires_at, datetime.datetime):
            expires_at = self.expires_at.isoformat()
        else:
            expires_at = self.expires_at


        field_dict: dict[str, Any] = {}

        field_dict.update({
        })
        if name is not UNSET:
            field_dict["name"] = name
        if key is not UNSET:
            field_dict["key"] = key
        if relay is not UNSET:
            field_dict["relay"] = relay
        if movable is not UNSET:
            field_dict["movable"] = movable
        if standby is not UNSET:
            field_dict["standby"] = standby
        if labels is not UNSET:
            field_dict["labels"] = labels
        if expires_at is not UNSET:
            field_dict["expires_at"] = expires_at

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.client_patch_labels import ClientPatchLabels # noqa: PLC0415
        d = dict(src_dict)
        name = d.pop("name", UNSET)

        key = d.pop("key", UNSET)

        relay = d.pop("relay", UNSET)

        movable = d.pop("movable", UNSET)

        def _parse_standby(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        standby = _parse_standby(d.pop("standby", UNSET))


        _labels = d.pop("labels", UNSET)
        labels: ClientPatchLabels | Unset
        if isinstance(_labels,  Unset):
            labels = UNSET
        else:
            labels = ClientPatchLabels.from_dict(_labels)




        def _parse_expires_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                expires_at_type_0 = datetime.datetime.fromisoformat(data)



                return expires_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        expires_at = _parse_expires_at(d.pop("expires_at", UNSET))


        client_patch = cls(
            name=name,
            key=key,
            relay=relay,
            movable=movable,
            standby=standby,
            labels=labels,
            expires_at=expires_at,
        )

        return client_patch

