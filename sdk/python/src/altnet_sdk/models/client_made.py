from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast
import datetime

if TYPE_CHECKING:
  from ..models.client_made_labels import ClientMadeLabels





T = TypeVar("T", bound="ClientMade")



@_attrs_define
class ClientMade:
    """ A fresh client. With `generate_key` it is shown here only, with its private key, and never again.

     """

    id: str
    network: str
    name: str
    key: str
    address: str
    relay: None | str
    """ Null when its relay was revoked and it has no other yet. """
    standby: None | str
    """ The relay that it goes to when its own is away. """
    labels: ClientMadeLabels
    movable: bool
    """ Whether the registry may move it to another relay when load or failures ask for it. """
    next_key: str
    """ Public key that was announced and is taken beside `key`; empty: none. """
    key_epoch: int
    """ How often its key was changed so. """
    key_wished: bool
    """ It is to have another key. """
    key_until: datetime.datetime | None
    """ The latest date of `key`, while it is to change. """
    expires_at: datetime.datetime | None
    version: int
    created_at: datetime.datetime
    updated_at: datetime.datetime
    change: int | None
    """ Number of the change that this request was. """
    private_key: None | str
    config: None | str
    """ The wg-quick file with the private key in it. """
    config_svg: None | str
    """ The same as a QR code, for a phone. """
    config_svg_missing: None | str
    """ Why the file is there and the code is not: it is too large for one. """





    def to_dict(self) -> dict[str, Any]:
        from ..models.client_made_labels import ClientMadeLabels # noqa: PLC0415
        id = self.id

        network = self.network

        name = self.name

        key = self.key

        address = self.address

        relay: None | str
        relay = self.relay

        standby: None | str
        standby = self.standby

        labels = self.labels.to_dict()

        movable = self.movable

        next_key = self.next_key

        key_epoch = self.key_epoch

        key_wished = self.key_wished

        key_until: None | str
        if isinstance(self.key_until, datetime.datetime):
            key_until = self.key_until.isoformat()
        else:
            key_until = self.key_until

        expires_at: None | str
        if isinstance(self.expires_at, datetime.datetime):
            expires_at = self.expires_at.isoformat()
        else:
            expires_at = self.expires_at

        version = self.version

        created_at = self.created_at.isoformat()

        updated_at = self.updated_at.isoformat()

        change: int | None
        change = self.change

        private_key: None | str
        private_key = self.private_key

        config: None | str
        config = self.config

        config_svg: None | str
        config_svg = self.config_svg

        config_svg_missing: None | str
        config_svg_missing = self.config_svg_missing


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "id": id,
            "network": network,
            "name": name,
            "key": key,
            "address": address,
            "relay": relay,
            "standby": standby,
            "labels": labels,
            "movable": movable,
            "next_key": next_key,
            "key_epoch": key_epoch,
            "key_wished": key_wished,
            "key_until": key_until,
            "expires_at": expires_at,
            "version": version,
            "created_at": created_at,
            "updated_at": updated_at,
            "change": change,
            "private_key": private_key,
            "config": config,
            "config_svg": config_svg,
            "config_svg_missing": config_svg_missing,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.client_made_labels import ClientMadeLabels # noqa: PLC0415
        d = dict(src_dict)
        id = d.pop("id")

        network = d.pop("network")

        name = d.pop("name")

        key = d.pop("key")

        address = d.pop("address")

        def _parse_relay(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        relay = _parse_relay(d.pop("relay"))


        def _parse_standby(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        standby = _parse_standby(d.pop("standby"))


        labels = ClientMadeLabels.from_dict(d.pop("labels"))




        movable = d.pop("movable")

        next_key = d.pop("next_key")

        key_epoch = d.pop("key_epoch")

        key_wished = d.pop("key_wished")

        def _parse_key_until(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                key_until_type_0 = datetime.datetime.fromisoformat(data)



                return key_until_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        key_until = _parse_key_until(d.pop("key_until"))


        def _parse_expires_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                expires_at_type_0 = datetime.datetime.fromisoformat(data)



                return expires_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        expires_at = _parse_expires_at(d.pop("expires_at"))


        version = d.pop("version")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))




        updated_at = datetime.datetime.fromisoformat(d.pop("updated_at"))




        def _parse_change(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        change = _parse_change(d.pop("change"))


        def _parse_private_key(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        private_key = _parse_private_key(d.pop("private_key"))


        def _parse_config(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        config = _parse_config(d.pop("config"))


        def _parse_config_svg(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        config_svg = _parse_config_svg(d.pop("config_svg"))


        def _parse_config_svg_missing(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        config_svg_missing = _parse_config_svg_missing(d.pop("config_svg_missing"))


        client_made = cls(
            id=id,
            network=network,
            name=name,
            key=key,
            address=address,
            relay=relay,
            standby=standby,
            labels=labels,
            movable=movable,
            next_key=next_key,
            key_epoch=key_epoch,
            key_wished=key_wished,
            key_until=key_until,
            expires_at=expires_at,
            version=version,
            created_at=created_at,
            updated_at=updated_at,
            change=change,
            private_key=private_key,
            config=config,
            config_svg=config_svg,
            config_svg_missing=config_svg_missing,
        )

        return client_made

