"""From the world to the documents that relays follow.

`plan` makes everything from nothing. `replan` brings an existing plan up to date with a world of which one knows what
has changed, at a cost that follows the change; it ends in the same documents and digests as `plan` would (property
test). Which generation a document gets is the caller's business (`stamp`).

Invariant: a document is a function of the world alone; no clock, no history, no order of arrival.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv6Network

import msgspec
from altnet.common.contracts.desired import (
    AccessClient,
    MeshDelta,
    MeshSettings,
    MeshSnapshot,
    RelayDocument,
    RelayEntry,
)
from altnet.common.contracts.digest import EMPTY, Digest, document_digest, entry_hash, item_hash, settings_hash
from altnet.registry.domain.world import Affected, Relay, World


@dataclass
class PlannedMesh:
    """One network's mesh document, kept open so that one entry can change."""

    network: str
    prefix: IPv6Network
    settings: MeshSettings
    digest: Digest
    generation: int = 0
    entries: dict[str, RelayEntry] = field(default_factory=dict)

    def put(self, entry: RelayEntry) -> bool:
        """True if something changed."""
        before = self.entries.get(entry.id)
        if before == entry:
            return False
        if before is not None:
            self.digest = self.digest.without_item(entry_hash(before))
        self.entries[entry.id] = entry
        self.digest = self.digest.with_item(entry_hash(entry))
        return True

    def drop(self, relay: str) -> bool:
        before = self.entries.pop(relay, None)
        if before is None:
            return False
        self.digest = self.digest.without_item(entry_hash(before))
        return True

    def set_settings(self, settings: MeshSettings) -> bool:
        if settings == self.settings:
            return False
        self.digest = self.digest.without_item(settings_hash(self.settings)).with_item(settings_hash(settings))
        self.settings = settings
        return True

    def snapshot(self) -> MeshSnapshot:
        return MeshSnapshot(
            network=self.network,
            prefix=str(self.prefix),
            generation=self.generation,
            settings=self.settings,
            relays=tuple(self.entries[relay] for relay in sorted(self.entries)),
        )


@dataclass
class PlannedDocument:
    """One relay's private document, kept open so that one client can change."""

    head: RelayDocument
    """All but clients and generation."""
    digest: Digest
    generation: int = 0
    clients: dict[str, AccessClient] = field(default_factory=dict)

    def document(self) -> RelayDocument:
        return msgspec.structs.replace(
            self.head,
            generation=self.generation,
            clients=tuple(self.clients[client] for client in sorted(self.clients)),
        )

    def become(self, head: RelayDocument, clients: dict[str, AccessClient]) -> bool:
        """Take over the new content; True if something changed."""
        changed = False
        if head != self.head:
            self.digest = self.digest.without_item(_head_hash(self.head)).with_item(_head_hash(head))
            self.head = head
            changed = True
        for identifier in self.clients.keys() - clients.keys():
            self.digest = self.digest.without_item(item_hash("client", self.clients[identifier]))
            changed = True
        for identifier, client in clients.items():
            before = self.clients.get(identifier)
            if before == client:
                continue
            if before is not None:
                self.digest = self.digest.without_item(item_hash("client", before))
            self.digest = self.digest.with_item(item_hash("client", client))
            changed = True
        self.clients = clients
        return changed


@dataclass
class MeshDifference:
    """What changed in one mesh."""

    settings: bool = False
    changed: set[str] = field(default_factory=set)
    removed: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.settings or self.changed or self.removed)

    def delta(self, mesh: PlannedMesh, *, prev: int) -> MeshDelta:
        """The difference as a message that leads from generation `prev` to the mesh's present one."""
        return MeshDelta(
            network=mesh.network,
            prev=prev,
            generation=mesh.generation,
            settings=mesh.settings if self.settings else None,
            changed=tuple(mesh.entries[relay] for relay in sorted(self.changed)),
            removed=tuple(sorted(self.removed)),
        )


@dataclass
class Difference:
    """What `replan` changed: meshes by network, documents by relay (changed, or gone with their relay)."""

    meshes: dict[str, MeshDifference] = field(default_factory=dict)
    documents: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.meshes or self.documents or self.gone)

    def concerns(self, affected: Affected) -> tuple[set[str], set[str]]:
        """Of these differences the networks and relays whose documents `affected` had a part in."""
        networks = {network for network in affected.networks if self.meshes.get(network, _NOTHING).settings}
        for network, mesh in self.meshes.items():
            if affected.entries & (mesh.changed | mesh.removed):
                networks.add(network)
        return networks, affected.documents & self.documents


_NOTHING = MeshDifference()


@dataclass
class Plan:
    """Every document, with digests kept up to date."""

    meshes: dict[str, PlannedMesh] = field(default_factory=dict)
    documents: dict[str, PlannedDocument] = field(default_factory=dict)


def plan(world: World) -> Plan:
    """The whole plan, from nothing. All generations are 0."""
    made = Plan()
    everything = Affected(networks=set(world.networks), entries=set(world.relays), documents=set(world.relays))
    replan(world, made, everything)
    return made


def replan(world: World, current: Plan, affected: Affected) -> Difference:
    """Bring `current` up to date in everything that is `affected`, and say what that changed."""
    difference = Difference()
    for network in affected.networks:
        _plan_settings(world, current, network, difference)
    for relay in affected.entries:
        _plan_entry(world, current, relay, difference)
    for relay in affected.documents:
        _plan_document(world, current, relay, difference)
    return difference


def stamp(current: Plan, *, meshes: Iterable[str], documents: Iterable[str], generation: int) -> None:
    """Give these documents a generation; it only ever grows."""
    for network in meshes:
        mesh = current.meshes[network]
        mesh.generation = max(mesh.generation, generation)
    for relay in documents:
        document = current.documents[relay]
        document.generation = max(document.generation, generation)


def _plan_settings(world: World, current: Plan, network: str, difference: Difference) -> None:
    wanted = world.networks.get(network)
    if wanted is None:
        return
    mesh = current.meshes.get(network)
    if mesh is None:
        digest = EMPTY.with_item(settings_hash(wanted.settings))
        current.meshes[network] = PlannedMesh(network, wanted.prefix, wanted.settings, digest)
        difference.meshes.setdefault(network, MeshDifference()).settings = True
    elif mesh.set_settings(wanted.settings):
        difference.meshes.setdefault(network, MeshDifference()).settings = True


def _plan_entry(world: World, current: Plan, identifier: str, difference: Difference) -> None:
    relay = world.relays.get(identifier)
    if relay is not None and not relay.revoked:
        mesh = current.meshes.get(relay.network)
        if mesh is not None and mesh.put(_entry(world, relay)):
            difference.meshes.setdefault(relay.network, MeshDifference()).changed.add(identifier)
        return
    for network, mesh in current.meshes.items():
        if mesh.drop(identifier):
            difference.meshes.setdefault(network, MeshDifference()).removed.add(identifier)


def _plan_document(world: World, current: Plan, identifier: str, difference: Difference) -> None:
    relay = world.relays.get(identifier)
    if relay is None or relay.network not in world.networks:
        if current.documents.pop(identifier, None) is not None:
            difference.gone.add(identifier)
        return
    head, clients = _head(world, relay), {} if relay.revoked else world.access(relay)
    document = current.documents.get(identifier)
    if document is None:
        document = PlannedDocument(head, document_digest(head))
        document.become(head, clients)
        current.documents[identifier] = document
        difference.documents.add(identifier)
    elif document.become(head, clients):
        difference.documents.add(identifier)


def _entry(world: World, relay: Relay) -> RelayEntry:
    return RelayEntry(
        id=relay.id,
        name=relay.name,
        slot=relay.slot,
        key=relay.key,
        epoch=relay.epoch,
        port=relay.port,
        next=relay.next,
        endpoints=relay.endpoints,
        state=relay.state,
        region=relay.region,
        encapsulations=relay.encapsulations,
        origins=world.origins(relay),
        learned=world.learned(relay.id),
        roaming=world.roaming(relay),
        routing=relay.routing,
        identity=relay.identity,
    )


def _head(world: World, relay: Relay) -> RelayDocument:
    if relay.revoked:
        return RelayDocument(relay=relay.id, network=relay.network, generation=0, revoked=True, links=())
    return RelayDocument(
        relay=relay.id,
        network=relay.network,
        generation=0,
        links=world.links.of(relay),
        mesh_port=relay.mesh_port,
        access_port=relay.access_port,
        access=relay.access,
        peerings=world.sessions(relay.id),
    )


def _head_hash(head: RelayDocument) -> int:
    return item_hash("document", msgspec.structs.replace(head, clients=(), generation=0))
