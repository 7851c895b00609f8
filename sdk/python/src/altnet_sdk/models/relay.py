from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.engine import check_engine
from ..models.engine import Engine
from ..models.health import check_health
from ..models.health import Health
from ..models.relay_state import check_relay_state
from ..models.relay_state import RelayState
from typing import cast
import datetime

if TYPE_CHECKING:
  from ..models.relay_labels import RelayLabels
  from ..models.relay_routing import RelayRouting
  from ..models.relay_versions import RelayVersions





T = TypeVar("T", bound="Relay")



@_attrs_define
class Relay:
    """ A relay, and how it is.

     """

    id: str
    network: str
    name: str
    slot: int
    address: str
    """ Its overlay address. """
    locator: str
    client_prefix: str
    """ The /64 that its clients' addresses come from. """
    access_address: str
    """ Its own address in there: the clients' gateway. """
    asn: int
    key: str
    access_key: str
    identity_key: str
    """ What texts for this relay alone are sealed for; empty: an agent of before there was one. """
    nkey: str
    routing: Engine
    """ What decides a relay's paths. """
    endpoints: list[str]
    mesh_port: int
    access_port: int
    region: str
    labels: RelayLabels
    encapsulations: list[str]
    state: RelayState
    """ What the operator wants of a relay. """
    weight: float
    revoked: bool
    health: Health
    """ How a relay stands. """
    health_since: datetime.datetime
    last_seen: datetime.datetime | None
    note: str
    """ What the relay itself says is wrong. """
    load: float
    routing_status: None | RelayRouting
    """ What it last said of its routing, in short; null: nothing yet. """
    versions: RelayVersions
    version: int
    created_at: datetime.datetime
    updated_at: datetime.datetime
    change: int | None
    """ Number of the change that this request was. """





    def to_dict(self) -> dict[str, Any]:
        from ..models.relay_labels import RelayLabels # noqa: PLC0415
        from ..models.relay_routing import RelayRouting # noqa: PLC0415
        from ..models.relay_versions import RelayVersions # noqa: PLC0415
        id = self.id

        network = self.network

        name = self.name

        slot = self.slot

        address = self.address

        locator = self.locator

        client_prefix = self.client_prefix

        access_address = self.access_address

        asn = self.asn

        key = self.key

        access_key = self.access_key

        identity_key = self.identity_key

        nkey = self.nkey

        routing: str = self.routing

        endpoints = self.endpoints



        mesh_port = self.mesh_port

        access_port = self.access_port

        region = self.region

        labels = self.labels.to_dict()

        encapsulations = self.encapsulations



        state: str = self.state

        weight = self.weight

        revoked = self.revoked

        health: str = self.health

        health_since = self.health_since.isoformat()

        last_seen: None | str
        if isinstance(self.last_seen, datetime.datetime):
            last_seen = self.last_seen.isoformat()
        else:
            last_seen = self.last_seen

        note = self.note

        load = self.load

        routing_status: dict[str, Any] | None
        if isinstance(self.routing_status, RelayRouting):
            routing_status = self.routing_status.to_dict()
        else:
            routing_status = self.routing_status

        versions = self.versions.to_dict()

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
            "slot": slot,
            "address": address,
            "locator": locator,
            "client_prefix": client_prefix,
            "access_address": access_address,
            "asn": asn,
            "key": key,
            "access_key": access_key,
            "identity_key": identity_key,
            "nkey": nkey,
            "routing": routing,
            "endpoints": endpoints,
            "mesh_port": mesh_port,
            "access_port": access_port,
            "region": region,
            "labels": labels,
            "encapsulations": encapsulations,
            "state": state,
            "weight": weight,
            "revoked": revoked,
            "health": health,
            "health_since": health_since,
            "last_seen": last_seen,
            "note": note,
            "load": load,
            "routing_status": routing_status,
            "versions": versions,
            "version": version,
            "created_at": created_at,
            "updated_at": updated_at,
            "change": change,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.relay_labels import RelayLabels # noqa: PLC0415
        from ..models.relay_routing import RelayRouting # noqa: PLC0415
        from ..models.relay_versions import RelayVersions # noqa: PLC0415
        d = dict(src_dict)
        id = d.pop("id")

        network = d.pop("network")

        name = d.pop("name")

        slot = d.pop("slot")

        address = d.pop("address")

        locator = d.pop("locator")

        client_prefix = d.pop("client_prefix")

        access_address = d.pop("access_address")

        asn = d.pop("asn")

        key = d.pop("key")

        access_key = d.pop("access_key")

        identity_key = d.pop("identity_key")

        nkey = d.pop("nkey")

        routing = check_engine(d.pop("routing"))




        endpoints = cast(list[str], d.pop("endpoints"))


        mesh_port = d.pop("mesh_port")

        access_port = d.pop("access_port")

        region = d.pop("region")

        labels = RelayLabels.from_dict(d.pop("labels"))




        encapsulations = cast(list[str], d.pop("encapsulations"))


        state = check_relay_state(d.pop("state"))




        weight = d.pop("weight")

        revoked = d.pop("revoked")

        health = check_health(d.pop("health"))




        health_since = datetime.datetime.fromisoformat(d.pop("health_since"))




        def _parse_last_seen(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                last_seen_type_0 = datetime.datetime.fromisoformat(data)



                return last_seen_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        last_seen = _parse_last_seen(d.pop("last_seen"))


        note = d.pop("note")

        load = d.pop("load")

        def _parse_routing_status(data: object) -> None | RelayRouting:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                routing_status_type_0 = RelayRouting.from_dict(data)



                return routing_status_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | RelayRouting, data)

        routing_status = _parse_routing_status(d.pop("routing_status"))


        versions = RelayVersions.from_dict(d.pop("versions"))




        version = d.pop("version")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))




        updated_at = datetime.datetime.fromisoformat(d.pop("updated_at"))




        def _parse_change(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        change = _parse_change(d.pop("change"))


        relay = cls(
            id=id,
            network=network,
            name=name,
            slot=slot,
            address=address,
            locator=locator,
            client_prefix=client_prefix,
            access_address=access_address,
            asn=asn,
            key=key,
            access_key=access_key,
            identity_key=identity_key,
            nkey=nkey,
            routing=routing,
            endpoints=endpoints,
            mesh_port=mesh_port,
            access_port=access_port,
            region=region,
            labels=labels,
            encapsulations=encapsulations,
            state=state,
            weight=weight,
            revoked=revoked,
            health=health,
            health_since=health_since,
            last_seen=last_seen,
            note=note,
            load=load,
            routing_status=routing_status,
            versions=versions,
            version=version,
            created_at=created_at,
            updated_at=updated_at,
            change=change,
        )

        return relay

