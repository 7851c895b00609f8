from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast
import datetime

if TYPE_CHECKING:
  from ..models.network_settings import NetworkSettings





T = TypeVar("T", bound="Network")



@_attrs_define
class Network:
    """ A network and its pools.

     """

    id: str
    name: str
    prefix: str
    relays: str
    """ The pool of relays' addresses. """
    clients: str
    """ The pool of clients' addresses, a /64 of it for each relay. """
    services: str
    """ The pool of services' addresses. """
    settings: NetworkSettings
    """ What holds for every relay of a network. Times in seconds, sizes in bytes. """
    version: int
    created_at: datetime.datetime
    updated_at: datetime.datetime
    change: int | None
    """ Number of the change that this request was. """





    def to_dict(self) -> dict[str, Any]:
        from ..models.network_settings import NetworkSettings # noqa: PLC0415
        id = self.id

        name = self.name

        prefix = self.prefix

        relays = self.relays

        clients = self.clients

        services = self.services

        settings = self.settings.to_dict()

        version = self.version

        created_at = self.created_at.isoformat()

        updated_at = self.updated_at.isoformat()

        change: int | None
        change = self.change


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "id": id,
            "name": name,
            "prefix": prefix,
            "relays": relays,
            "clients": clients,
            "services": services,
            "settings": settings,
            "version": version,
            "created_at": created_at,
            "updated_at": updated_at,
            "change": change,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.network_settings import NetworkSettings # noqa: PLC0415
        d = dict(src_dict)
        id = d.pop("id")

        name = d.pop("name")

        prefix = d.pop("prefix")

        relays = d.pop("relays")

        clients = d.pop("clients")

        services = d.pop("services")

        settings = NetworkSettings.from_dict(d.pop("settings"))




        version = d.pop("version")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))




        updated_at = datetime.datetime.fromisoformat(d.pop("updated_at"))




        def _parse_change(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        change = _parse_change(d.pop("change"))


        network = cls(
            id=id,
            name=name,
            prefix=prefix,
            relays=relays,
            clients=clients,
            services=services,
            settings=settings,
            version=version,
            created_at=created_at,
            updated_at=updated_at,
            change=change,
        )

        return network

