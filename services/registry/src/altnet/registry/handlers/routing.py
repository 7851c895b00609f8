"""Questions about routing that are answered now: a relay's routes, and the path between two points.

Nothing is stored. A relay with a routing engine is asked over the bus; what one without does is computed from its
documents. A relay that does not answer costs its part of the answer, not the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

import msgspec
from altnet.common.bus import desired, rpc
from altnet.common.bus.connect import Bus
from altnet.common.bus.subjects import MESH_BUCKET, RELAY_BUCKET, mesh_snapshot_key
from altnet.common.contracts.desired import MeshSnapshot, unpack_relay_document, unpack_snapshot
from altnet.common.contracts.routing import ROUTES, Engine, RouteQuery, RouteTable
from altnet.common.errors import AltnetError, Broken, Conflict, Invalid, NotFound, Unavailable
from altnet.common.net import parse_prefix
from altnet.registry.domain.direct_routes import direct_routes
from altnet.registry.domain.paths import Walk, end_at_nobody, walk
from altnet.registry.settings import PathSettings
from altnet.registry.store import networks, places, relays
from altnet.registry.store.places import Place
from altnet.registry.tables import RelayRow
from sqlalchemy.ext.asyncio import AsyncSession

NOBODY: Final = "bus_no_responders"


class Questions:
    """Asks relays. `engines` says what each runs, where a heartbeat said so; the row's word counts else."""

    def __init__(self, bus: Bus, *, timeout: float) -> None:
        self._bus = bus
        self._timeout = timeout
        self._meshes: dict[str, MeshSnapshot] = {}

    async def routes(self, relay: RelayRow, engine: Engine, query: RouteQuery) -> RouteTable:
        """A relay's routes, at most as many as were asked for.

        Raises `Unavailable`, `Invalid` for a query that it does not understand; what else a relay refuses with is its
        own affair and never ours towards whoever asks.
        """
        if engine is Engine.STATIC:
            return await self._computed(relay, query)
        try:
            table = await rpc.ask_relay(self._bus, relay.id, ROUTES, query, RouteTable, timeout=self._timeout)
        except Invalid:
            raise
        except Unavailable as error:
            if error.code != NOBODY:
                raise
            raise Unavailable(
                "relay_silent",
                f"the relay {relay.name} is not on the bus, or its agent does not answer such questions yet.",
                mend="See its health, and upgrade its agent.",
            ) from None
        except AltnetError as error:
            raise Unavailable("relay_refused", f"the relay {relay.name} gives no answer: {error.detail}") from None
        if len(table.routes) <= query.limit:
            return table
        return msgspec.structs.replace(table, routes=table.routes[: query.limit], more=True)

    async def _computed(self, relay: RelayRow, query: RouteQuery) -> RouteTable:
        mesh = self._meshes.get(relay.network_id)
        try:
            if mesh is None:
                data = await self._fetch(MESH_BUCKET, mesh_snapshot_key(relay.network_id))
                mesh = self._meshes[relay.network_id] = unpack_snapshot(data)
            document = unpack_relay_document(await self._fetch(RELAY_BUCKET, relay.id))
        except Broken as error:
            raise Unavailable("bus_fetch", error.reason) from None
        return direct_routes(relay.id, mesh, document, query)

    async def _fetch(self, bucket: str, key: str) -> bytes:
        data = await desired.fetch(self._bus, bucket, key, timeout=self._timeout)
        if data is None:
            raise Unavailable(
                "not_planned_yet", "the relay's documents are not on the bus yet.", mend="Ask again soon."
            )
        return data


@dataclass(frozen=True, kw_only=True)
class Ends:
    """What a path is asked between, and the relays that it may go over."""

    source: Place
    target: Place
    start: str
    address: IPv4Address | IPv6Address
    """Where the packet goes."""
    relays: Mapping[str, RelayRow]


@dataclass(frozen=True, kw_only=True)
class Path:
    """The walk between two ends."""

    walk: Walk
    computed: frozenset[str]
    """Relays without a routing engine, whose routes were computed."""


async def find_ends(session: AsyncSession, *, source: str, target: str, network: str | None) -> Ends:
    """Both ends: relays, clients, services, or addresses; `target` may be any address.

    Raises `NotFound`, `Invalid`, `Conflict` (`no_relay`) where there is nowhere to start.
    """
    home = await (networks.find(session, network) if network else networks.only(session))
    start = await _place(session, source, home.id, field="/from")
    goal = await _place(session, target, home.id, field="/to")
    if start.relay is None:
        raise Conflict(
            "no_relay",
            f"{source} is at no relay of this network, so there is nothing to start from.",
            field="/from",
            mend="Name a relay, or something that is attached to one.",
        )
    first = await relays.find(session, start.relay)
    usable = {row.id: row for row in await relays.usable(session, first.network_id)}
    return Ends(source=start, target=goal, start=first.id, address=goal.address, relays=usable)


async def follow(ends: Ends, questions: Questions, *, engines: Mapping[str, Engine], settings: PathSettings) -> Path:
    """Walk from relay to relay. What does not answer is part of the result, not an error."""
    computed: set[str] = set()
    query = RouteQuery(to=str(ends.address))
    deadline = asyncio.get_running_loop().time() + settings.whole

    async def ask(relay: str) -> RouteTable:
        row = ends.relays.get(relay)
        if row is None:
            raise NotFound("no_such_relay", "there is no such relay in this network any more.")
        engine = engines.get(relay, Engine(row.routing))
        if engine is Engine.STATIC:
            computed.add(relay)
        try:
            async with asyncio.timeout_at(deadline):
                return await questions.routes(row, engine, query)
        except TimeoutError:
            raise Unavailable("path_timeout", f"the whole path took longer than {settings.whole:g} s.") from None

    found = await walk(ends.start, ends.address, ask, most_hops=settings.most_hops, most_relays=settings.most_relays)
    if ends.target.kind == "nobody":
        end_at_nobody(found)
    return Path(walk=found, computed=frozenset(computed))


async def _place(session: AsyncSession, text: str, network: str, *, field: str) -> Place:
    try:
        address = ip_address(text)
    except ValueError:
        return await _by_name(session, text, network, field=field)
    if isinstance(address, IPv6Address) and (address.scope_id or address.ipv4_mapped):
        raise Invalid("bad_address", "a plain address is meant.", field=field, mend="Leave the zone out.")
    return await places.by_address(session, address, network)


async def _by_name(session: AsyncSession, text: str, network: str, *, field: str) -> Place:
    try:
        return await places.by_name(session, text, network)
    except NotFound as error:
        raise NotFound(error.code, error.detail, field=field, mend=error.mend) from None


def check_query(text: str, *, field: str = "/to") -> str:
    """`text` if it is empty, an address or a prefix. Raises `Invalid`."""
    if text:
        parse_prefix(text, field=field)
    return text
