"""Which links exist in large networks: latencies in from heartbeats, the choice made, and written down as a change.

Chosen links are rows, so desired state stays a function of Postgres: the plan reads them as it reads relays. The leader
chooses when relays came, went or changed, and looks every few minutes whether links should move. The choice itself
(`domain.choosing`) runs in a thread, since a thousand relays take it a second.

Invariant: rows change only together with a numbered change and its event, and only against what is planned already.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import structlog
from altnet.common.clock import Clock
from altnet.common.contracts.agent import Heartbeat
from altnet.common.contracts.desired import RelayState
from altnet.common.contracts.registry import ChosenLink, LinksChanged
from altnet.common.db.engine import Database
from altnet.registry.domain.choosing import choose_links
from altnet.registry.domain.latency import Latencies, LatencyBook, LatencyRule, Pair
from altnet.registry.domain.linkindex import link_id
from altnet.registry.domain.links import Choice, LinkKind, Member
from altnet.registry.jobs.planning import Planning
from altnet.registry.settings import LinkSettings
from altnet.registry.store import changes as change_rows
from altnet.registry.store import links as link_rows

_log = structlog.get_logger("altnet.registry.linking")

ACTOR = "registry"
MOST_NAMED = 1000
"""Links in one event: keeps it below 256 KiB, where the bus takes 1 MiB."""


@dataclass(frozen=True)
class _Known:
    """Latencies as they were prepared, and from what."""

    version: int
    regions: Mapping[str, str]
    latencies: Latencies


class Linking:
    """The choice of links on the leading replica."""

    def __init__(self, db: Database, clock: Clock, *, planning: Planning, settings: LinkSettings) -> None:
        self._db = db
        self._clock = clock
        self._planning = planning
        self._settings = settings
        self._book = self._empty_book({})
        self._version = 0
        """Counts the changes of `_book.known`."""
        self._woken = asyncio.Event()
        self._considered: dict[str, tuple[Member, ...]] = {}
        self._reviewed: dict[str, int] = {}
        self._prepared: dict[str, _Known] = {}
        self._written = 0
        """Number of the last change made here."""

    async def begin(self) -> None:
        """This replica leads from now on: load what is measured, and choose what is missing."""
        self._book = self._empty_book(await link_rows.load_latencies(self._db))
        self._version += 1
        self._considered.clear()
        self._prepared.clear()
        self._written = 0
        await self.consider()

    def wake(self) -> None:
        """Something was planned: relays may have come or gone."""
        self._woken.set()

    def heard(self, relay: str, heartbeat: Heartbeat) -> None:
        """Take in the round trips that a relay measured to others of its network."""
        relays = self._planning.world.relays
        network = relays[relay].network
        now = self._clock.monotonic()
        for link in heartbeat.links:
            other = relays.get(link.neighbour)
            if link.up and link.rtt is not None and other is not None and other.network == network:
                self._book.observe(relay, link.neighbour, link.rtt * 1000, at=now)

    async def flush(self) -> None:
        """Write the latencies that changed for good since the last time."""
        changed = self._book.changed()
        if changed:
            await link_rows.write_latencies(self._db, changed, at=self._clock.now())
            self._book.told(changed)
            self._version += 1

    async def run(self) -> None:
        """Choose whenever relays change, and review in between, until cancelled."""
        loop = asyncio.get_running_loop()
        review_at = loop.time() + self._settings.review_every
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(review_at):
                    await self._woken.wait()
                    await asyncio.sleep(self._settings.settle)
            self._woken.clear()
            review = loop.time() >= review_at  # also when we are woken all the time
            if review:
                review_at = loop.time() + self._settings.review_every
                await self._forget()
            await self.consider(review=review)

    async def _forget(self) -> None:
        """Let go of latencies of pairs that have had no link for long: they may be wrong by now."""
        before = self._clock.now() - timedelta(seconds=self._settings.latency_kept)
        gone = await link_rows.forget_latencies(self._db, before=before)
        if gone:
            self._book.drop(gone)
            self._version += 1

    async def consider(self, *, review: bool = False) -> int:
        """Choose anew in every network whose relays changed, or with `review` where latencies did; answers how many
        links that changed.
        """
        if self._planning.newest < self._written:
            return 0  # our own last change is not planned yet; we are woken when it is
        count = 0
        for network in sorted(self._planning.world.networks):
            count += await self._consider(network, review=review)
        return count

    async def _consider(self, network: str, *, review: bool) -> int:
        members = self._members(network)
        current = self._planning.world.links.chosen(network)
        measured_anew = review and self._reviewed.get(network) != self._version
        before = self._considered.get(network, ())
        if members == before and not measured_anew:
            return 0
        bound = self._planning.world.full_mesh_up_to
        if len(members) <= (bound * self._settings.back_to_full_mesh if current else bound):
            choice = Choice()
        else:
            moves = max(self._settings.moved_at_least, int(len(current) * self._settings.share_moved)) if review else 0
            version = self._version
            choice = await asyncio.to_thread(
                choose_links, members, await self._latencies(network, members), current, moves=moves
            )
            if review:
                self._reviewed[network] = version
        for relay in {one.id for one in before} - {one.id for one in members}:
            self._book.forget(relay)
        if choice.short and members != before:
            _log.warning("relays_with_less_than_two_links", network=network, relays=choice.short[:20])
        self._considered[network] = members
        if review and choice.links != current:
            self._reviewed.pop(network, None)  # there may be more to move the next time
        return await self._write(network, current, choice, reason="latencies" if members == before else "relays")

    async def _latencies(self, network: str, members: tuple[Member, ...]) -> Latencies:
        regions = {member.id: member.region for member in members}
        measured = {end for pair in self._book.known for end in pair}
        placed = {relay: region for relay, region in regions.items() if relay in measured}
        known = self._prepared.get(network)
        if known is None or known.version != self._version or known.regions != placed:
            latencies = await asyncio.to_thread(Latencies, dict(self._book.known), placed)
            known = self._prepared[network] = _Known(self._version, placed, latencies)
        return known.latencies

    async def _write(self, network: str, current: Mapping[Pair, LinkKind], choice: Choice, *, reason: str) -> int:
        removed = {pair: kind for pair, kind in current.items() if pair not in choice.links}
        put = {pair: kind for pair, kind in choice.links.items() if current.get(pair) is not kind}
        if not removed and not put:
            return 0
        added = {pair: kind for pair, kind in put.items() if pair not in current}
        async with self._db.transaction(actor=ACTOR) as uow:
            await link_rows.write_links(uow, network=network, removed=removed, put=put)
            self._written = await change_rows.record(
                uow,
                lambda number: LinksChanged(
                    network=network,
                    reason=reason,
                    added=_named(added),
                    removed=_named(removed),
                    added_count=len(added),
                    removed_count=len(removed),
                    change=number,
                ),
                touched=[("link", link_id(pair)) for pair in sorted({*removed, *put})],
                summary=f"links: {len(added)} more, {len(removed)} less",
                network=network,
            )
        _log.info("links_chosen", network=network, added=len(added), removed=len(removed), reason=reason)
        return len(added) + len(removed)

    def _members(self, network: str) -> tuple[Member, ...]:
        world = self._planning.world
        relays = [world.relays[relay] for relay in sorted(world.links.members(network))]
        return tuple(
            Member(
                id=relay.id,
                region=relay.region,
                active=relay.state is RelayState.ACTIVE,
                reachable=bool(relay.endpoints),
                encapsulations=frozenset(relay.encapsulations),
            )
            for relay in relays
        )

    def _empty_book(self, known: Mapping[Pair, float]) -> LatencyBook:
        rule = LatencyRule(
            window=self._settings.latency_window,
            share=self._settings.latency_share,
            least=self._settings.latency_least,
        )
        return LatencyBook(rule, known)


def _named(links: Mapping[Pair, LinkKind]) -> tuple[ChosenLink, ...]:
    return tuple(ChosenLink(relays=pair, kind=str(kind)) for pair, kind in sorted(links.items())[:MOST_NAMED])
