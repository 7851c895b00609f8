"""Peers: whoever has an address in the network."""

from __future__ import annotations

from enum import StrEnum

from altnet.common.http.schema import Model
from altnet.common.net import AddressPlan
from altnet.registry.api.schemas.common import Time
from altnet.registry.domain.liveness import Health
from altnet.registry.tables import ClientRow, NetworkRow, RelayRow, RelayStatusRow


class PeerKind(StrEnum):
    RELAY = "relay"
    CLIENT = "client"


class Peer(Model):
    """A relay or client, as others find it."""

    id: str
    kind: PeerKind
    network: str
    name: str
    addresses: list[str]
    relay: str | None
    """Of a client: where it attaches."""
    region: str
    labels: dict[str, str]
    health: Health | None
    """Of a relay; a client's is not known here."""
    last_seen: Time | None

    @classmethod
    def of_relay(cls, row: RelayRow, status: RelayStatusRow | None, network: NetworkRow) -> Peer:
        plan = AddressPlan(network.prefix)
        return cls(
            id=row.id,
            kind=PeerKind.RELAY,
            network=row.network_id,
            name=row.name,
            addresses=[str(plan.relay_address(row.slot)), str(plan.access_address(row.slot))],
            relay=None,
            region=row.region,
            labels=row.labels,
            health=Health(status.health) if status else Health.NEW,
            last_seen=status.last_seen if status else None,
        )

    @classmethod
    def of_client(cls, row: ClientRow) -> Peer:
        return cls(
            id=row.id,
            kind=PeerKind.CLIENT,
            network=row.network_id,
            name=row.name,
            addresses=[str(row.address)],
            relay=row.relay_id,
            region="",
            labels=row.labels,
            health=None,
            last_seen=None,
        )
