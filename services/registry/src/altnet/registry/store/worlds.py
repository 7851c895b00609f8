"""Loading what the plan depends on: all of it at a start, afterwards only what changes touched.

Both read one state of the database (a repeatable-read snapshot), so that the objects are as of the newest change read
and no other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from altnet.common.contracts.desired import (
    AccessKeys,
    Encapsulation,
    IdentityKeys,
    KeyStage,
    MeshSettings,
    NextKey,
    RelayState,
)
from altnet.common.contracts.routing import Engine
from altnet.common.db.engine import Database, RawConnection
from altnet.common.db.uow import UnitOfWork
from altnet.registry.domain.linkindex import Link
from altnet.registry.domain.links import LinkKind
from altnet.registry.domain.world import Client, Item, Network, Peering, Ref, Relay, Service, Site
from altnet.registry.store import peerings
from sqlalchemy import text


@dataclass(frozen=True, slots=True)
class Unplanned:
    """An accepted change that no document contains yet."""

    number: int
    at: datetime
    touched: tuple[Ref, ...]


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """What is recorded of a document: its generation, and the digest of its content."""

    generation: int
    digest: str


@dataclass
class Loaded:
    """One state of the database. `items` has None for what is gone."""

    newest: int
    changes: list[Unplanned] = field(default_factory=list)
    items: dict[Ref, Item | None] = field(default_factory=dict)
    documents: dict[tuple[str, str], StoredDocument] = field(default_factory=dict)


_CHANGES = """
SELECT number, at, touched FROM registry.changes WHERE planned_at IS NULL ORDER BY number LIMIT $1
"""
_NETWORKS = "SELECT id, prefix, settings FROM registry.networks"
_RELAYS = """
SELECT id, network_id, name, slot, key, key_epoch, key_port, next_epoch, next_stage, next_key, next_port,
       endpoints, state, region, encapsulations, routing, mesh_port, access_port, proven_static, proven_signing,
       access_key, access_epoch, access_next_epoch, access_next_stage, access_next_key,
       revoked_at IS NOT NULL AS revoked FROM registry.relays
"""
_CLIENTS = """
SELECT id, network_id, relay_id, standby_id, movable, key, address, door, next_key, wish_epoch IS NOT NULL AS wished
FROM registry.clients
"""
_SERVICES = "SELECT id, network_id, owner_kind, owner_id, address FROM registry.services"
_SITES = """
SELECT id, network_id,
       ARRAY(SELECT text(prefix) FROM registry.site_prefixes WHERE site_id = sites.id ORDER BY prefix) AS prefixes,
       ARRAY(SELECT relay_id FROM registry.site_relays WHERE site_id = sites.id ORDER BY relay_id) AS relays
FROM registry.sites
"""
_LINKS = "SELECT id, network_id, one, other, kind FROM registry.links"

_PEERINGS = "SELECT * FROM registry.peerings"


async def load_all(db: Database) -> Loaded:
    """Everything: all objects, the recorded documents, and the changes that wait."""
    async with _snapshot(db) as connection:
        loaded = Loaded(newest=await connection.fetchval("SELECT number FROM registry.change_counter"))
        loaded.changes = _changes(await connection.fetch(_CHANGES, 2**31))
        for kind, query in _QUERIES.items():
            for row in await connection.fetch(query):
                loaded.items[kind, row["id"]] = _MAKERS[kind](row)
        for row in await connection.fetch("SELECT kind, owner, generation, digest FROM registry.documents"):
            loaded.documents[row["kind"], row["owner"]] = StoredDocument(row["generation"], row["digest"])
        return loaded


async def load_changes(db: Database, *, limit: int) -> Loaded:
    """The changes that wait, at most `limit` of the oldest, and the objects that they touched, as they are now."""
    async with _snapshot(db) as connection:
        changes = _changes(await connection.fetch(_CHANGES, limit))
        loaded = Loaded(newest=changes[-1].number if changes else 0, changes=changes)
        wanted: dict[str, list[str]] = {}
        for change in changes:
            for kind, identifier in change.touched:
                if (kind, identifier) not in loaded.items:
                    loaded.items[kind, identifier] = None
                    wanted.setdefault(kind, []).append(identifier)
        for kind, identifiers in wanted.items():
            for row in await connection.fetch(f"{_QUERIES[kind]} WHERE id = ANY($1)", identifiers):
                loaded.items[kind, row["id"]] = _MAKERS[kind](row)
        return loaded


@asynccontextmanager
async def _snapshot(db: Database) -> AsyncIterator[RawConnection]:
    async with db.raw() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        yield connection


def _changes(rows: Iterable[Any]) -> list[Unplanned]:
    return [Unplanned(row["number"], row["at"], tuple(_ref(told) for told in row["touched"])) for row in rows]


def _ref(told: str) -> Ref:
    kind, _, identifier = told.partition(":")
    return kind, identifier


def _network(row: Any) -> Network:
    return Network(id=row["id"], prefix=row["prefix"], settings=msgspec.json.decode(row["settings"], type=MeshSettings))


def _relay(row: Any) -> Relay:
    return Relay(
        id=row["id"],
        network=row["network_id"],
        name=row["name"],
        slot=row["slot"],
        key=row["key"],
        epoch=row["key_epoch"],
        port=row["key_port"],
        next=_next_key(row),
        endpoints=tuple(row["endpoints"]),
        state=RelayState(row["state"]),
        region=row["region"],
        encapsulations=tuple(Encapsulation(name) for name in row["encapsulations"]),
        routing=Engine(row["routing"]),
        mesh_port=row["mesh_port"],
        access_port=row["access_port"],
        access=_access(row),
        revoked=row["revoked"],
        identity=_identity(row),
    )


def _identity(row: Any) -> IdentityKeys | None:
    if not row["proven_static"]:
        return None
    return IdentityKeys(static=row["proven_static"], signing=row["proven_signing"])


def _next_key(row: Any) -> NextKey | None:
    if row["next_epoch"] is None:
        return None
    stage = KeyStage(row["next_stage"])
    return NextKey(epoch=row["next_epoch"], stage=stage, key=row["next_key"], port=row["next_port"])


def _access(row: Any) -> AccessKeys:
    following = None
    if row["access_next_epoch"] is not None:
        stage, key = KeyStage(row["access_next_stage"]), row["access_next_key"]
        following = NextKey(epoch=row["access_next_epoch"], stage=stage, key=key)
    return AccessKeys(key=row["access_key"], epoch=row["access_epoch"], next=following)


def _client(row: Any) -> Client:
    return Client(
        id=row["id"],
        network=row["network_id"],
        relay=row["relay_id"],
        key=row["key"],
        address=row["address"],
        standby=row["standby_id"],
        movable=row["movable"],
        door=row["door"],
        next_key=row["next_key"],
        wished=row["wished"],
    )


def _service(row: Any) -> Service:
    ours = row["owner_kind"] != "address"
    return Service(
        id=row["id"],
        network=row["network_id"],
        address=row["address"] if ours else None,
        owner=row["owner_id"],
    )


def _site(row: Any) -> Site:
    return Site(id=row["id"], network=row["network_id"], prefixes=tuple(row["prefixes"]), relays=tuple(row["relays"]))


def _link(row: Any) -> Link:
    return Link(id=row["id"], network=row["network_id"], pair=(row["one"], row["other"]), kind=LinkKind(row["kind"]))


def _peering(row: Any) -> Peering:
    told = peerings.of_row(dict(row))
    return Peering(id=row["id"], network=row["network_id"], relay=row["relay_id"], told=told)


_QUERIES = {
    "network": _NETWORKS,
    "relay": _RELAYS,
    "client": _CLIENTS,
    "service": _SERVICES,
    "site": _SITES,
    "link": _LINKS,
    "peering": _PEERINGS,
}
_MAKERS: dict[str, Any] = {
    "network": _network,
    "relay": _relay,
    "client": _client,
    "service": _service,
    "site": _site,
    "link": _link,
    "peering": _peering,
}


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """What planning found out about a change: which documents it is in, and how many relays those concern."""

    number: int
    mesh: bool
    documents: tuple[str, ...]
    concerned: int


async def record_plan(
    db: Database,
    *,
    at: datetime,
    changes: Sequence[PlannedChange],
    documents: Iterable[tuple[str, str, int, str]],
    gone: Iterable[str],
) -> None:
    """Write down, in one transaction, new generations and digests (kind, owner, generation, digest), documents that are
    gone, and the changes they contain. A change that concerns nobody is complete at once.
    """
    rows = list(documents)
    async with db.raw() as connection, connection.transaction():
        if rows:
            await connection.execute(
                "INSERT INTO registry.documents (kind, owner, generation, digest)"
                " SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[])"
                " ON CONFLICT (kind, owner) DO UPDATE SET generation = excluded.generation, digest = excluded.digest"
                " WHERE documents.generation <= excluded.generation",
                *(list(column) for column in zip(*rows, strict=True)),
            )
        if removed := list(gone):
            await connection.execute("DELETE FROM registry.documents WHERE kind = 'relay' AND owner = ANY($1)", removed)
        if changes:
            # Arrays of different lengths do not fit into one array, so they travel as JSON.
            await connection.execute(
                "UPDATE registry.changes SET planned_at = $1::timestamptz, mesh = plan.mesh,"
                " documents = plan.documents,"
                " concerned = plan.concerned,"
                " completed_at = CASE WHEN plan.concerned = 0 THEN $1::timestamptz END,"
                " applied = CASE WHEN plan.concerned = 0 THEN 0 END"
                " FROM (SELECT number, mesh, concerned, ARRAY(SELECT json_array_elements_text(list)) AS documents"
                "   FROM unnest($2::bigint[], $3::boolean[], $4::integer[], $5::json[])"
                "   AS told (number, mesh, concerned, list)) AS plan"
                " WHERE changes.number = plan.number",
                at,
                [change.number for change in changes],
                [change.mesh for change in changes],
                [change.concerned for change in changes],
                [msgspec.json.encode(change.documents).decode() for change in changes],
            )


REBUILD = "registry_rebuild"
"""The channel on which the leader hears that it shall put everything again."""


async def ask_for_rebuild(uow: UnitOfWork) -> None:
    await uow.connection.execute(text("SELECT pg_notify(:channel, '')"), {"channel": REBUILD})


async def count_documents(uow: UnitOfWork) -> int:
    return int((await uow.connection.execute(text("SELECT count(*) FROM registry.documents"))).scalar_one())


async def forget_documents(uow: UnitOfWork) -> None:
    """The next leader gives every document a new generation."""
    await uow.connection.execute(text("DELETE FROM registry.documents"))
