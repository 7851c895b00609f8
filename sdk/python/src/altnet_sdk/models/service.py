from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.owner_kind import check_owner_kind
from ..models.owner_kind import OwnerKind
from ..models.protocol import check_protocol
from ..models.protocol import Protocol
from ..models.service_health import check_service_health
from ..models.service_health import ServiceHealth
from typing import cast
import datetime






T = TypeVar("T", bound="Service")



@_attrs_define
class Service:
    """ A service.

     """

    id: str
    network: str
    name: str
    port: int
    protocol: Protocol
    health: ServiceHealth
    """ As whoever checks it reports. """
    health_at: datetime.datetime | None
    health_note: str
    tags: list[str]
    owner_kind: OwnerKind
    """ Who answers under the service's address. """
    owner: None | str
    address: str
    version: int
    created_at: datetime.datetime
    updated_at: datetime.datetime
    change: int | None
    """ Number of the change that this request was. """





    def to_dict(self) -> dict[str, Any]:
        id = self.id

        network = self.network

        name = self.name

        port = self.port

        protocol: str = self.protocol

        health: str = self.health

        health_at: None | str
        if isinstance(self.health_at, datetime.datetime):
            health_at = self.health_at.isoformat()
        else:
            health_at = self.health_at

        health_note = self.health_note

        tags = self.tags



        owner_kind: str = self.owner_kind

        owner: None | str
        owner = self.owner

        address = self.address

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
            "port": port,
            "protocol": protocol,
            "health": health,
            "health_at": health_at,
            "health_note": health_note,
            "tags": tags,
            "owner_kind": owner_kind,
            "owner": owner,
            "address": address,
            "version": version,
            "created_at": created_at,
            "updated_at": updated_at,
            "change": change,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = d.pop("id")

        network = d.pop("network")

        name = d.pop("name")

        port = d.pop("port")

        protocol = check_protocol(d.pop("protocol"))




        health = check_service_health(d.pop("health"))




        def _parse_health_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                health_at_type_0 = datetime.datetime.fromisoformat(data)



                return health_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        health_at = _parse_health_at(d.pop("health_at"))


        health_note = d.pop("health_note")

        tags = cast(list[str], d.pop("tags"))


        owner_kind = check_owner_kind(d.pop("owner_kind"))




        def _parse_owner(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        owner = _parse_owner(d.pop("owner"))


        address = d.pop("address")

        version = d.pop("version")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))




        updated_at = datetime.datetime.fromisoformat(d.pop("updated_at"))




        def _parse_change(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        change = _parse_change(d.pop("change"))


        service = cls(
            id=id,
            network=network,
            name=name,
            port=port,
            protocol=protocol,
            health=health,
            health_at=health_at,
            health_note=health_note,
            tags=tags,
            owner_kind=owner_kind,
            owner=owner,
            address=address,
            version=version,
            created_at=created_at,
            updated_at=updated_at,
            change=change,
        )

        return service

