"""From the documents to owners, their pieces and their digest items, one change at a time.

The reconciler asks for everything once and for changes from then on. A change of one relay's entry concerns that
relay's pieces; only what all of them share (own slot, MTU, link list) makes it look at more. Nothing is kept for each
neighbour but its entry: old pieces are computed again from the old entry, because computing is cheap and a million
stored objects are not.

Invariant: `changes()` leads from what was last told to the present documents, whatever happened in between.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv6Address

import msgspec
from altnet.common.contracts.desired import (
    AccessClient,
    Encapsulation,
    PresharedPolicy,
    RelayDocument,
    RelayEntry,
    RelayState,
)
from altnet.common.contracts.digest import entry_hash, item_hash, settings_hash
from altnet.common.contracts.routing import Engine
from altnet.common.errors import AltnetError, Invalid
from altnet.common.kernel.wireguard import PresharedKey
from altnet.common.keys import PublicKey
from altnet.common.net import AddressPlan, Prefix
from altnet.relay_agent.access_epochs import doors
from altnet.relay_agent.desired import Wish
from altnet.relay_agent.diff import Operation, changed
from altnet.relay_agent.epochs import KeySet, roles
from altnet.relay_agent.pieces import HOST, Names, Piece, Ruleset
from altnet.relay_agent.planes.firewall import render
from altnet.relay_agent.psk.secrets import NO_SECRETS, Secrets
from altnet.relay_agent.rights import endpoint_addresses, outside_origins, rights_of
from altnet.relay_agent.view import (
    Context,
    Originated,
    client_pieces,
    host_pieces,
    relay_pieces,
    routing_piece,
    vxlan_pair,
)


class Ledger(Enum):
    """Which document a digest is of."""

    MESH = "mesh"
    DOCUMENT = "document"


_NOBODY: Mapping[str, int] = {}

Errors = tuple[AltnetError, ...]

Item = tuple[Ledger, int]
"""A number of altnet.common.contracts.digest."""


@dataclass(frozen=True, kw_only=True)
class Self:
    """What this relay knows of itself without any document."""

    slot: int
    """From the enrolment; the mesh's word counts more."""
    mesh_key: PublicKey
    access_key: PublicKey
    names: Names
    second_mesh_port: int
    link_port: int
    probe_port: int
    attach_port: int
    firewall: bool
    encapsulations: tuple[Encapsulation, ...]
    engine: Engine = Engine.STATIC
    """What can decide paths here."""
    origin_table: int = 0


@dataclass(frozen=True, kw_only=True)
class Change:
    """What one owner wants differently."""

    owner: str
    operations: list[Operation]
    before: tuple[Item, ...]
    after: tuple[Item, ...]
    errors: Errors = ()
    """Why some of the owner's pieces, or all of them, cannot be had."""


@dataclass(frozen=True, kw_only=True)
class _Basis:
    """What was last told to the reconciler, beside the entries."""

    context: Context
    document: RelayDocument
    links: frozenset[str] | None
    pairs: tuple[tuple[IPv6Address, int], ...]
    ruleset: Ruleset | None
    own: RelayEntry | None
    originated: Originated | None
    generation: int
    clients: Mapping[str, AccessClient] = field(compare=False)
    attached: frozenset[str] = frozenset()
    """The clients that are here by their own word."""
    fresh: frozenset[str] = frozenset()
    """Those of them that have come lately."""
    switched: frozenset[str] = frozenset()
    """The relays whose links the next keys carry."""
    preshared: Secrets = NO_SECRETS
    held: KeySet | None = None
    access: KeySet | None = None
    carried: Mapping[str, int] = field(default_factory=dict)
    """The access devices that clients with several ways use."""

    @property
    def revoked(self) -> bool:
        return self.document.revoked


class Wanted:
    """The owners of one relay."""

    def __init__(
        self,
        desired: Wish,
        me: Self,
        *,
        attached: Callable[[], frozenset[str]] = lambda: frozenset(),
        fresh: Callable[[], frozenset[str]] = lambda: frozenset(),
        switched: Callable[[], frozenset[str]] = lambda: frozenset(),
        keys: Callable[[], KeySet] | None = None,
        preshared: Callable[[], Secrets] = lambda: NO_SECRETS,
        access: Callable[[], KeySet] | None = None,
        carried: Callable[[], Mapping[str, int]] = lambda: _NOBODY,
    ) -> None:
        """`attached` gives the clients that say that they are here, `fresh` those of them that have come lately,
        `switched` those with whom the session of the next keys is seen to work, `keys` and `access`
        the keys that are here, `preshared` the pairs' pre-shared keys, `carried` the access devices that clients use,
        where they have a choice."""
        self._desired = desired
        self._me = me
        self._engine = me.engine
        self._attached = attached
        self._fresh = fresh
        self._switched = switched
        self._keys = keys or (lambda: KeySet(key=me.mesh_key))
        self._preshared = preshared
        self._access = access or (lambda: KeySet(key=me.access_key))
        self._carried = carried
        self._plan = AddressPlan(desired.prefix)
        self._basis: _Basis | None = None
        self._outside: Counter[Prefix] = Counter()
        self._outside_changed = True
        self._pairs_changed = True
        self._outside4 = False
        """Whether IPv4 is among them."""
        self._errors: dict[str, Errors] = {}

    @property
    def complete(self) -> bool:
        """Whether both documents are here."""
        return self._desired.complete

    @property
    def waiting(self) -> bool:
        """Whether there is something that `changes` has not told."""
        basis, desired = self._basis, self._desired
        if basis is None:
            return desired.complete
        told = basis.generation == desired.generation and basis.document is desired.document and not desired.touched
        if not told or (basis.attached, basis.fresh) != (self._attached(), self._fresh()):
            return True
        if basis.switched != self._switched() or basis.held != self._keys():
            return True
        if basis.preshared is not self._preshared():
            return True
        if basis.access != self._access() or basis.carried is not self._carried():
            return True
        return basis.context.bird != (self._engine is Engine.BIRD)

    def set_engine(self, engine: Engine) -> None:
        """Another engine decides paths from now on: BIRD failed for good, or is back."""
        self._engine = engine

    @property
    def context(self) -> Context | None:
        """What was last told; None before `begin`."""
        return None if self._basis is None else self._basis.context

    @property
    def switched(self) -> frozenset[str]:
        """As last told."""
        return frozenset() if self._basis is None else self._basis.switched

    def preshared_of(self, relay: str) -> PresharedKey | None:
        """A pair's pre-shared key, as last told."""
        return None if self._basis is None else _preshared(self._basis, relay)

    def begin(self) -> None:
        """Start from the present documents, which must be complete."""
        self._desired.take()
        self._outside = Counter(
            prefix for entry in self._desired.entries.values() for prefix in outside_origins(self._plan, entry)
        )
        self._outside_changed = True
        self._pairs_changed = True
        self._outside4 = any(prefix.version == 4 for prefix in self._outside)
        self._basis = self._make_basis()

    def owners(self) -> Iterator[tuple[str, tuple[Item, ...]]]:
        """Every owner with its items."""
        basis = self._now()
        yield HOST, self._host_items(basis)
        if basis.revoked:
            return
        for relay, entry in self._desired.entries.items():
            if relay != basis.document.relay:
                yield relay, _relay_items(basis, entry)
        for client in basis.clients.values():
            yield client.id, _client_items(basis, client)

    def pieces(self) -> Iterator[tuple[str, Piece]]:
        """Everything wanted that can be had, with its owner."""
        basis = self._now()
        for piece in self._host_pieces(basis):
            yield HOST, piece
        for relay, entry in self._desired.entries.items():
            for piece in self._relay(basis, entry)[0]:
                yield relay, piece
        for client in basis.clients.values():
            for piece in self._client(basis, client)[0]:
                yield client.id, piece

    def invalid(self, owner: str) -> Errors:
        """Why some of the owner's pieces, or all of them, cannot be had; empty if all can."""
        basis = self._now()
        errors: Errors = ()
        if (entry := self._desired.entries.get(owner)) is not None:
            errors = self._relay(basis, entry)[1]
        elif (client := basis.clients.get(owner)) is not None:
            errors = self._client(basis, client)[1]
        if errors:
            self._errors[owner] = errors  # told, so their end will be told too
        return errors

    def items(self, owner: str) -> tuple[Item, ...]:
        """The owner's present digest items."""
        basis = self._now()
        if owner == HOST:
            return self._host_items(basis)
        if (entry := self._desired.entries.get(owner)) is not None:
            return _relay_items(basis, entry)
        if (client := basis.clients.get(owner)) is not None:
            return _client_items(basis, client)
        return ()

    def generations(self) -> dict[Ledger, int]:
        """The generations of what was last told."""
        basis = self._now()
        return {Ledger.MESH: basis.generation, Ledger.DOCUMENT: basis.document.generation}

    def changes(self) -> list[Change]:
        """What is different from what was last told."""
        old = self._now()
        touched = self._desired.take()
        self._count_outside(touched)
        self._pairs_changed = any(
            _other_link(before, self._desired.entries.get(relay))
            for relay, before in touched.items()
            if old.links is None or relay in old.links
        )
        new = self._basis = self._make_basis()
        found: list[Change] = []
        if (old.context, old.document, old.ruleset, old.own) != (new.context, new.document, new.ruleset, new.own):
            operations = changed(self._host_pieces(old), self._host_pieces(new))
            self._note(found, HOST, operations, self._host_items(old), self._host_items(new))
        for relay in self._affected(old, new, touched):
            after = self._desired.entries.get(relay)
            before = touched.get(relay, after)
            self._relay_change(found, relay, old=old, before=before, new=new, after=after)
        if old.document is not new.document or old.context != new.context:
            for client in {**old.clients, **new.clients}:
                self._client_change(found, client, old, new)
        else:
            for client in _moved(old, new) & new.clients.keys():
                self._client_change(found, client, old, new)
        return found

    def _affected(self, old: _Basis, new: _Basis, touched: Mapping[str, RelayEntry | None]) -> set[str]:
        entries = self._desired.entries
        affected = set(touched)
        affected.update(relay for relay in old.switched ^ new.switched if relay in entries)
        affected.update(relay for relay in old.preshared.different(new.preshared) if relay in entries)
        if old.revoked != new.revoked:
            affected.update(entries)
        elif old.context != new.context:
            # Without a link to it a relay is an item of the digest and nothing else, whatever we are ourselves; unless
            # BIRD has to know what it may originate.
            if old.links is None or new.links is None or old.context.bird or new.context.bird:
                affected.update(entries)
            else:
                affected.update(relay for relay in old.links | new.links if relay in entries)
        elif old.links != new.links:
            if old.links is None or new.links is None:
                affected.update(entries)
            else:
                affected.update(relay for relay in old.links ^ new.links if relay in entries)
        affected.discard(new.document.relay)
        return affected

    def _relay_change(
        self,
        found: list[Change],
        relay: str,
        *,
        old: _Basis,
        before: RelayEntry | None,
        new: _Basis,
        after: RelayEntry | None,
    ) -> None:
        had = self._relay(old, before)[0] if before is not None else []
        want, errors = self._relay(new, after) if after is not None else ([], ())
        was = _relay_items(old, before) if before is not None else ()
        now = _relay_items(new, after) if after is not None else ()
        self._note(found, relay, changed(had, want), was, now, errors)

    def _client_change(self, found: list[Change], client: str, old: _Basis, new: _Basis) -> None:
        was, now = old.clients.get(client), new.clients.get(client)
        moved = client in old.attached ^ new.attached or client in old.fresh ^ new.fresh
        moved = moved or old.carried.get(client) != new.carried.get(client)
        if was == now and old.context == new.context and old.revoked == new.revoked and not moved:
            return
        had = self._client(old, was)[0] if was is not None else []
        want, errors = self._client(new, now) if now is not None else ([], ())
        before = _client_items(old, was) if was is not None else ()
        after = _client_items(new, now) if now is not None else ()
        self._note(found, client, changed(had, want), before, after, errors)

    def _note(
        self,
        found: list[Change],
        owner: str,
        operations: list[Operation],
        before: tuple[Item, ...],
        after: tuple[Item, ...],
        errors: Errors = (),
    ) -> None:
        known = self._errors.pop(owner, ())
        if errors:
            self._errors[owner] = errors
        if operations or before != after or errors or known:
            found.append(Change(owner=owner, operations=operations, before=before, after=after, errors=errors))

    def _host_pieces(self, basis: _Basis) -> list[Piece]:
        return [] if basis.revoked else host_pieces(basis.context, basis.ruleset, basis.originated)

    def _host_items(self, basis: _Basis) -> tuple[Item, ...]:
        rest = msgspec.structs.replace(basis.document, clients=(), generation=0)
        document = (Ledger.DOCUMENT, item_hash("document", rest))
        if basis.revoked:
            return (document,)
        settings = (Ledger.MESH, settings_hash(basis.context.settings))
        if basis.own is None:
            return document, settings
        return document, settings, (Ledger.MESH, entry_hash(basis.own))

    def _relay(self, basis: _Basis, entry: RelayEntry) -> tuple[list[Piece], Errors]:
        """What can be had, and why the rest cannot: a prefix that is refused costs neither peer nor link."""
        context, linked = basis.context, basis.links is None or entry.id in basis.links
        if basis.revoked or entry.id == basis.document.relay or not (linked or context.bird):
            return [], ()
        rights = rights_of(context.plan, entry)
        try:
            routing = [routing_piece(context, entry, linked=linked, rights=rights)] if context.bird else []
            switched, psk = entry.id in basis.switched, _preshared(basis, entry.id)
            pieces = relay_pieces(context, entry, switched=switched, psk=psk, rights=rights) if linked else []
            return [*pieces, *routing], rights.refused
        except Invalid as error:
            return [], (error, *rights.refused)

    def _client(self, basis: _Basis, client: AccessClient) -> tuple[list[Piece], Errors]:
        if basis.revoked:
            return [], ()
        try:
            attached, fresh = client.id in basis.attached, client.id in basis.fresh
            carried = basis.carried.get(client.id)
            return client_pieces(basis.context, client, attached=attached, fresh=fresh, carried=carried), ()
        except Invalid as error:
            return [], (error,)

    def _count_outside(self, touched: Mapping[str, RelayEntry | None]) -> None:
        counted = False
        for relay, before in touched.items():
            after = self._desired.entries.get(relay)
            if before is not None and (before.origins or before.learned):
                self._outside_changed = counted = True
                self._outside.subtract(outside_origins(self._plan, before))
            if after is not None and (after.origins or after.learned):
                self._outside_changed = counted = True
                self._outside.update(outside_origins(self._plan, after))
        if not counted:
            return
        for prefix in [prefix for prefix, count in self._outside.items() if count <= 0]:
            del self._outside[prefix]
        self._outside4 = any(prefix.version == 4 for prefix in self._outside)

    def _make_basis(self) -> _Basis:
        desired, me, old = self._desired, self._me, self._basis
        document = desired.document
        assert document is not None, "complete"
        same_document, held, access = old is not None and old.document is document, self._keys(), self._access()
        own = desired.entries.get(desired.relay)
        context = Context(
            plan=self._plan,
            relay=desired.relay,
            slot=own.slot if own is not None else me.slot,
            keys=roles(held, own),
            reachable=bool(own.endpoints) if own is not None else True,
            encapsulations=own.encapsulations if own is not None else me.encapsulations,
            ipv4_site=self._forwards_ipv4(own),
            settings=desired.settings,
            names=me.names,
            mesh_ports=(document.mesh_port, me.second_mesh_port),
            access=roles(access, document.access),
            access_port=document.access_port,
            doors=old.context.doors if old is not None and same_document else doors(document.clients),
            link_port=me.link_port,
            engine=self._engine if own is not None and own.routing is Engine.BIRD else Engine.STATIC,
            bird=self._engine is Engine.BIRD,
            origin_table=me.origin_table,
        )
        links = old.links if old is not None and same_document else _links(document)
        pairs = self._vxlan_pairs(context, links, old)
        return _Basis(
            context=context,
            document=document,
            links=links,
            pairs=pairs,
            ruleset=self._ruleset(context, own, document, pairs, old),
            own=own,
            originated=_originated(context, own, document),
            generation=desired.generation,
            clients=old.clients if old is not None and same_document else {c.id: c for c in document.clients},
            attached=self._attached(),
            fresh=self._fresh(),
            switched=self._switched(),
            preshared=self._preshared(),
            held=held,
            access=access,
            carried=self._carried(),
        )

    def _vxlan_pairs(
        self, context: Context, links: frozenset[str] | None, old: _Basis | None
    ) -> tuple[tuple[IPv6Address, int], ...]:
        if old is not None and not self._pairs_changed and (old.context, old.links) == (context, links):
            return old.pairs
        entries = self._desired.entries
        linked = entries.values() if links is None else [entries[relay] for relay in links if relay in entries]
        pairs = (vxlan_pair(context, entry) for entry in linked if entry.id != context.relay)
        return tuple(sorted(pair for pair in pairs if pair is not None))

    def _forwards_ipv4(self, own: RelayEntry | None) -> bool:
        """Its own, or with BIRD that of others: any relay may be on the way."""
        if self._engine is Engine.BIRD:
            return self._outside4
        return own is not None and any(prefix.version == 4 for prefix in _own_prefixes(self._plan, own))

    def _ruleset(
        self,
        context: Context,
        own: RelayEntry | None,
        document: RelayDocument,
        pairs: tuple[tuple[IPv6Address, int], ...],
        old: _Basis | None,
    ) -> Ruleset | None:
        if not self._me.firewall:
            return None
        now = (context, own, document.peerings, pairs)
        same = old is not None and (old.context, old.own, old.document.peerings, old.pairs) == now
        if old is not None and same and not self._outside_changed:
            return old.ruleset  # a thousand changes of others need no new text
        self._outside_changed = False
        mine = _own_prefixes(self._plan, own) if own is not None else ()
        return render(
            context,
            probe_port=self._me.probe_port,
            attach_port=self._me.attach_port,
            outside=self._outside,
            own=mine,
            pairs=pairs,
            peerings=document.peerings,
        )

    def _now(self) -> _Basis:
        assert self._basis is not None, "begin() comes first"
        return self._basis


def _preshared(basis: _Basis, relay: str) -> PresharedKey | None:
    required = basis.context.settings.preshared_keys is PresharedPolicy.REQUIRED
    return basis.preshared.of(relay, required=required)


def _moved(old: _Basis, new: _Basis) -> set[str]:
    """The clients that are here, or not, or use another way, than before."""
    found = set((old.attached ^ new.attached) | (old.fresh ^ new.fresh))
    if old.carried is not new.carried:
        found |= {client for client, _ in old.carried.items() ^ new.carried.items()}
    return found


def _links(document: RelayDocument) -> frozenset[str] | None:
    return None if document.links is None else frozenset(document.links)


def _originated(context: Context, own: RelayEntry | None, document: RelayDocument) -> Originated | None:
    """What the routing engine announces, but for clients that say themselves where they are."""
    if not context.bird:
        return Originated(peerings=document.peerings) if document.peerings else None
    if own is None:
        return Originated(peerings=document.peerings)
    return Originated(
        prefixes=_own_prefixes(context.plan, own),
        draining=own.state is RelayState.DRAINING,
        endpoints=endpoint_addresses(own),
        peerings=document.peerings,
    )


def _other_link(before: RelayEntry | None, after: RelayEntry | None) -> bool:
    """Whether a change of a relay may change the form of the link to it."""
    if before is None or after is None:
        return before is not after
    return (before.slot, before.encapsulations) != (after.slot, after.encapsulations)


def _own_prefixes(plan: AddressPlan, entry: RelayEntry) -> tuple[Prefix, ...]:
    return rights_of(plan, entry).origins  # what is refused is said by every neighbour, which refuses it too


def _relay_items(basis: _Basis, entry: RelayEntry) -> tuple[Item, ...]:
    return () if basis.revoked else ((Ledger.MESH, entry_hash(entry)),)


def _client_items(basis: _Basis, client: AccessClient) -> tuple[Item, ...]:
    return () if basis.revoked else ((Ledger.DOCUMENT, item_hash("client", client)),)
