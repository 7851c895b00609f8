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
  from ..models.client_new_labels import ClientNewLabels





T = TypeVar("T", bound="ClientNew")



@_attrs_define
class ClientNew:
    """ A client to make. Its owner makes the key pair and keeps the private key, unless `generate_key` is set.

     """

    name: str
    key: None | str | Unset = UNSET
    """ The client's public key. """
    generate_key: bool | Unset = False
    """ Make the key pair here, and show the private key in this one answer. """
    network: None | str | Unset = UNSET
    relay: str | Unset = 'auto'
    """ A relay, or `auto`. """
    movable: bool | Unset = False
    """ It runs altnetd, which follows to another relay by itself. """
    standby: None | str | Unset = UNSET
    """ The relay that it goes to when its own is away: a relay, `auto` or `none`. Left out: `auto` if it is
    movable. """
    region: str | Unset = ''
    """ Where the client is, for `auto`. """
    labels: ClientNewLabels | Unset = UNSET
    expires_at: datetime.datetime | None | Unset = UNSET





    def to_dict(self) -> dict[str, Any]:
        from ..models.client_new_labels import ClientNewLabels # noqa: PLC0415
        name = self.name

        key: None | str | Unset
        if isinstance(self.key, Unset):
            key = UNSET
        else:
            key = self.key

        generate_key = self.generate_key

        network: None | str | Unset
        if isinstance(self.network, Unset):
            network = UNSET
        else:
            network = self.network

        relay = self.relay

        movable = self.movable

        standby: None | str | Unset
        if isinstance(self.standby, Unset):
            standby = UNSET
        else:
            standby = self.standby

        region = self.region

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
            "name": name,
        })
        if key is not UNSET:
            field_dict["key"] = key
        if generate_key is not UNSET:
            field_dict["generate_key"] = generate_key
        if network is not UNSET:
            field_dict["network"] = network
        if relay is not UNSET:
            field_dict["relay"] = relay
        if movable is not UNSET:
            field_dict["movable"] = movable
        if standby is not UNSET:
            field_dict["standby"] = standby
        if region is not UNSET:
            field_dict["region"] = region
        if labels is not UNSET:
            field_dict["labels"] = labels
        if expires_at is not UNSET:
            field_dict["expires_at"] = expires_at

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.client_new_labels import ClientNewLabels # noqa: PLC0415
        d = dict(src_dict)
        name = d.pop("name")

        def _parse_key(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        key = _parse_key(d.pop("key", UNSET))


        generate_key = d.pop("generate_key", UNSET)

        def _parse_network(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        network = _parse_network(d.pop("network", UNSET))


        relay = d.pop("relay", UNSET)

        movable = d.pop("movable", UNSET)

        def _parse_standby(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        standby = _parse_standby(d.pop("standby", UNSET))


        region = d.pop("region", UNSET)

        _labels = d.pop("labels", UNSET)
        labels: ClientNewLabels | Unset
        if isinstance(_labels,  Unset):
            labels = UNSET
        else:
            labels = ClientNewLabels.from_dict(_labels)




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


        client_new = cls(
            name=name,
            key=key,
            generate_key=generate_key,
            network=network,
            relay=relay,
            movable=movable,
            standby=standby,
            region=region,
            labels=labels,
            expires_at=expires_at,
        )

        return client_new

