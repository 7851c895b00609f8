"""Everything that a plan depends on, in memory, with the indexes that tell what a change touches.

`World.put` and `World.remove` take the new truth about one object and answer what has to be planned again because
of it, by looking at the object before and after. They may come in any order: an object that refers to something
unknown waits until that arrives.

Leaves out names, labels, tokens, health: whatever no desired document contains.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Network
from socket import AF_INET6, inet_ntop

from altnet.common.contracts import routing
from altnet.common.contracts.desired import (
    AccessClient,
    AccessKeys,
    Encapsulation,
    IdentityKeys,
    MeshSettings,
    NextKey,
    RelayState,
)
from altnet.common.contracts.routing import Engine, PrefixRule
from altnet.common.net import AddressPlan
from altnet.registry.domain.linkindex import Link, LinkIndex, links_as

Ref = tuple[str, str]
"""Kind (`network`, `relay`, `client`, `service`, `site`, `peering`, `link`) and identifier."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    id: str
    prefix: IPv6Network
    settings: MeshSettings = field(default_factory=MeshSettings)


@dataclass(frozen=True, kw_only=True, slots=True)
class Relay:
    id: str
    network: str
    name: str
    slot: int
    key: str
    epoch: int = 0
    port: int = 0
    next: NextKey | None = None
    endpoints: tuple[str, ...] = ()
    state: RelayState = RelayState.ACTIVE
    region: str = ""
    encapsulations: tuple[Encapsulation, ...] = (Encapsulation.VXLAN,)
    routing: Engine = Engine.STATIC
    mesh_port: int = 51820
    access_port: int = 51830
    access: AccessKeys | None = None
    revoked: bool = False
    identity: IdentityKeys | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Client:
    id: str
    network: str
    relay: str | None
    key: str
    address: IPv6Address
    standby: str | None = None
    """The relay that it may attach to when its own is away."""
    movable: bool = False
    """It says itself where it is attached; else it is at `relay`."""
    door: int = 0
    next_key: str = ""
    """Taken beside `key`, at the other door."""
    wished: bool = False

    @property
    def at(self) -> tuple[str, ...]:
        """The relays that let it in."""
        return tuple(relay for relay in (self.relay, self.standby) if relay is not None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    id: str
    network: str
    address: IPv6Address | None
    """None where the service lives under an address that is not ours to route."""
    owner: str | None
    """The relay or client that answers under the address."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    id: str
    network: str
    prefixes: tuple[str, ...]
    relays: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Peering:
    id: str
    network: str
    relay: str
    told: routing.Peering
    """As its relay is told."""


Item = Network | Relay | Client | Service | Site | Peering | Link
KINDS: dict[str, type[Item]] = {
    "network": Network,
    "relay": Relay,
    "client": Client,
    "service": Service,
    "site": Site,
    "peering": Peering,
    "link": Link,
}


@dataclass
class Affected:
    """What has to be planned again."""

    networks: set[str] = field(default_factory=set)
    """Settings of these meshes."""
    entries: set[str] = field(default_factory=set)
    """Mesh entries of these relays."""
    documents: set[str] = field(default_factory=set)
    """Private documents of these relays."""

    def update(self, other: Affected) -> None:
        self.networks |= other.networks
        self.entries |= other.entries
        self.documents |= other.documents


class World:
    """The objects and their indexes. `full_mesh_up_to` is the largest network whose links are not spelled out."""

    def __init__(self, *, full_mesh_up_to: int = 64, items: Iterable[Item] = ()) -> None:
        self.full_mesh_up_to = full_mesh_up_to
        self.networks: dict[str, Network] = {}
        self.relays: dict[str, Relay] = {}
        self.clients: dict[str, Client] = {}
        self.services: dict[str, Service] = {}
        self.sites: dict[str, Site] = {}
        self.peerings: dict[str, Peering] = {}
        self.links = LinkIndex(self.relays, full_mesh_up_to=full_mesh_up_to)
        self.clients_of: defaultdict[str, set[str]] = defaultdict(set)
        self.services_of: defaultdict[str, set[str]] = defaultdict(set)
        self.sites_of: defaultdict[str, set[str]] = defaultdict(set)
        self.peerings_of: defaultdict[str, set[str]] = defaultdict(set)
        self.roamers_of: defaultdict[str, set[str]] = defaultdict(set)
        self.serving_clients_of: defaultdict[str, set[str]] = defaultdict(set)
        self._access: dict[tuple[str, bool], AccessClient] = {}
        self._homes: dict[tuple[str, int], int] = {}
        for item in items:
            self.put(item)

    def put(self, item: Item) -> Affected:
        """Take in an object, new or changed."""
        match item:
            case Network():
                return self._put_network(item)
            case Relay():
                return self._replace_relay(item.id, item)
            case Client():
                return self._replace_client(item.id, item)
            case Service():
                return self._replace_service(item.id, item)
            case Site():
                return self._replace_site(item.id, item)
            case Link():
                return Affected(documents=self.links.replace(item.id, item))
            case Peering():
                return self._replace_peering(item.id, item)

    def remove(self, ref: Ref) -> Affected:
        """Forget an object; forgetting an unknown one affects nothing. Networks are never forgotten."""
        kind, identifier = ref
        match kind:
            case "relay":
                return self._replace_relay(identifier, None)
            case "client":
                return self._replace_client(identifier, None)
            case "service":
                return self._replace_service(identifier, None)
            case "site":
                return self._replace_site(identifier, None)
            case "link":
                return Affected(documents=self.links.replace(identifier, None))
            case "peering":
                return self._replace_peering(identifier, None)
            case _:
                return Affected()

    def origins(self, relay: Relay) -> tuple[str, ...]:
        """The prefixes that a relay originates beyond its own address and client /64, sorted.

        Those of a movable client are not among them: it is announced from where it is attached. Only a relay without
        routing engine, which could not announce it, keeps the clients that belong to it.
        """
        found = set(map(_host, self.service_addresses(relay.id)))
        for client in self._from_elsewhere(relay):
            if client.relay == relay.id and not (client.movable and relay.routing is not Engine.STATIC):
                found.update(self._foreign_addresses(relay, client))
        for site in self.sites_of[relay.id]:
            found.update(self.sites[site].prefixes)
        return tuple(sorted(found))

    def sessions(self, relay: str) -> tuple[routing.Peering, ...]:
        """The peerings of a relay, sorted by id."""
        return tuple(self.peerings[peering].told for peering in sorted(self.peerings_of[relay]))

    def learned(self, relay: str) -> tuple[PrefixRule, ...]:
        """What a relay's peerings may bring in, each rule once, sorted."""
        rules = {rule for told in self.sessions(relay) if told.enabled for rule in told.imports}
        return tuple(sorted(rules, key=lambda rule: (rule.prefix, rule.shortest, rule.longest)))

    def roaming(self, relay: Relay) -> tuple[str, ...]:
        """The /128s that a relay may announce while their client is attached to it, sorted."""
        if relay.routing is Engine.STATIC:
            return ()
        movable = (client for client in self._from_elsewhere(relay) if client.movable)
        return tuple(sorted(prefix for client in movable for prefix in self._foreign_addresses(relay, client)))

    def _from_elsewhere(self, relay: Relay) -> list[Client]:
        """The relay's clients with addresses outside its /64."""
        return [self.clients[it] for it in self.roamers_of[relay.id] | self.serving_clients_of[relay.id]]

    def _foreign_addresses(self, relay: Relay, client: Client) -> list[str]:
        own = [client.address] if client.id in self.roamers_of[relay.id] else []
        return list(map(_host, (*own, *self.service_addresses(client.id))))

    def service_addresses(self, owner: str) -> list[IPv6Address]:
        """The addresses of the services of a relay or client."""
        addresses = (self.services[service].address for service in self.services_of[owner])
        return sorted(address for address in addresses if address is not None)

    def access(self, relay: Relay) -> dict[str, AccessClient]:
        """The clients that may attach to a relay. Made once each, since a relay's document is planned as a whole."""
        found = {}
        for identifier in self.clients_of[relay.id]:
            client = self.clients[identifier]
            standby = client.relay != relay.id
            access = self._access.get((identifier, standby))
            if access is None:
                addresses = (client.address, *self.service_addresses(identifier))
                access = AccessClient(
                    id=identifier,
                    key=client.key,
                    addresses=tuple(map(_host, addresses)),
                    standby=standby,
                    movable=client.movable,
                    door=client.door,
                    next_key=client.next_key,
                    wished=client.wished,
                    other=(client.relay if standby else client.standby) or "",
                )
                self._access[identifier, standby] = access
            found[identifier] = access
        return found

    def _put_network(self, item: Network) -> Affected:
        before = self.networks.get(item.id)
        self.networks[item.id] = item
        affected = Affected()
        if before != item:
            affected.networks.add(item.id)
        if before is None:  # relays and clients may have come first
            members = [relay for relay in self.relays.values() if relay.network == item.id]
            for client in self.clients.values():
                if client.network == item.id:
                    self._index_roaming(client)
            affected.entries.update(relay.id for relay in members)
            affected.documents.update(relay.id for relay in members)
        return affected

    def _replace_relay(self, identifier: str, item: Relay | None) -> Affected:
        before = self.relays.get(identifier)
        affected = Affected()
        if before == item:
            return affected
        relinked = before is None or item is None or links_as(before) != links_as(item)
        if relinked and before is not None and not before.revoked:
            affected.documents |= self.links.leave(before)
        if item is None:
            self.relays.pop(identifier, None)
        else:
            self.relays[identifier] = item
            if relinked and not item.revoked:
                affected.documents |= self.links.enter(item)
        if before is None or item is None or before.slot != item.slot or before.network != item.network:
            for client in self.clients_of[identifier]:
                self._index_roaming_at(self.clients[client], identifier)
        affected.entries.add(identifier)
        affected.documents.add(identifier)
        return affected

    def _replace_client(self, identifier: str, item: Client | None) -> Affected:
        before = self.clients.get(identifier)
        affected = Affected()
        if before == item:
            return affected
        self._forget_access(identifier)
        if before is not None:
            affected.update(self._touched_by_client(before))
            self._unindex_client(before)
            del self.clients[identifier]
        if item is not None:
            self.clients[identifier] = item
            for relay in item.at:
                self.clients_of[relay].add(identifier)
                if self.services_of[identifier]:
                    self.serving_clients_of[relay].add(identifier)
            self._index_roaming(item)
            affected.update(self._touched_by_client(item))
        return affected

    def _touched_by_client(self, client: Client) -> Affected:
        affected = Affected(documents=set(client.at))
        for relay in client.at:
            if client.id in self.roamers_of[relay] or self.services_of[client.id]:
                affected.entries.add(relay)
        return affected

    def _unindex_client(self, client: Client) -> None:
        for relay in client.at:
            for index in (self.clients_of, self.roamers_of, self.serving_clients_of):
                index[relay].discard(client.id)

    def _forget_access(self, client: str) -> None:
        for standby in (False, True):
            self._access.pop((client, standby), None)

    def _index_roaming(self, client: Client) -> None:
        for relay in client.at:
            self._index_roaming_at(client, relay)

    def _index_roaming_at(self, client: Client, at: str) -> None:
        relay = self.relays.get(at)
        network = self.networks.get(client.network)
        if relay is None or network is None:
            return
        home = self._homes.get((network.id, relay.slot))
        if home is None:  # the upper 64 bits of the relay's client /64; a network's prefix never changes
            home = int(AddressPlan(network.prefix).client_prefix(relay.slot).network_address) >> 64
            self._homes[network.id, relay.slot] = home
        if int(client.address) >> 64 == home:
            self.roamers_of[relay.id].discard(client.id)
        else:
            self.roamers_of[relay.id].add(client.id)

    def _replace_service(self, identifier: str, item: Service | None) -> Affected:
        before = self.services.get(identifier)
        affected = Affected()
        if before == item:
            return affected
        if before is not None:
            affected.update(self._touched_by_service(before))
            del self.services[identifier]
            if before.owner is not None:
                self.services_of[before.owner].discard(identifier)
        if item is not None:
            self.services[identifier] = item
            if item.owner is not None:
                self.services_of[item.owner].add(identifier)
            affected.update(self._touched_by_service(item))
        for service in (before, item):
            if service is not None and service.owner in self.clients:
                self._forget_access(service.owner)
                client = self.clients[service.owner]
                for relay in client.at:
                    serving = self.serving_clients_of[relay]
                    (serving.add if self.services_of[client.id] else serving.discard)(client.id)
        return affected

    def _touched_by_service(self, service: Service) -> Affected:
        affected = Affected()
        if service.owner in self.clients:
            at = self.clients[service.owner].at
            affected.entries.update(at)
            affected.documents.update(at)
        elif service.owner is not None:
            affected.entries.add(service.owner)
        return affected

    def _replace_site(self, identifier: str, item: Site | None) -> Affected:
        before = self.sites.get(identifier)
        affected = Affected()
        if before == item:
            return affected
        if before is not None:
            del self.sites[identifier]
            for relay in before.relays:
                self.sites_of[relay].discard(identifier)
                affected.entries.add(relay)
        if item is not None:
            self.sites[identifier] = item
            for relay in item.relays:
                self.sites_of[relay].add(identifier)
                affected.entries.add(relay)
        return affected

    def _replace_peering(self, identifier: str, item: Peering | None) -> Affected:
        before = self.peerings.get(identifier)
        affected = Affected()
        if before == item:
            return affected
        if before is not None:
            del self.peerings[identifier]
            self.peerings_of[before.relay].discard(identifier)
        if item is not None:
            self.peerings[identifier] = item
            self.peerings_of[item.relay].add(identifier)
        for one in (before, item):
            if one is not None:
                affected.documents.add(one.relay)
                affected.entries.add(one.relay)
        return affected


def _host(address: IPv6Address) -> str:
    """The address as a prefix. inet_ntop writes RFC 5952 as `ipaddress` does, at a tenth of the time."""
    return f"{inet_ntop(AF_INET6, address.packed)}/128"
