"""What only one replica does at a time, and in which order: plan, publish, track, judge, tidy up.

The leader's life: load, plan and publish what differs, then follow the changes. If Postgres or the lead is lost it
ends, and whoever leads next loads anew; nothing is carried over but what Postgres has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog
from altnet.common.bus import jwt
from altnet.common.bus.connect import Bus
from altnet.common.bus.jwt import BusIdentity
from altnet.common.clock import Clock
from altnet.common.db.advisory import leader
from altnet.common.db.engine import Database
from altnet.common.errors import AltnetError, Forbidden, Unavailable
from altnet.common.ids import Randomness
from altnet.registry.handlers import client_keys, clients, networks
from altnet.registry.handlers.signing_key import note_signing_key
from altnet.registry.jobs.balancing import Balancing
from altnet.registry.jobs.client_sessions import ClientSessions
from altnet.registry.jobs.convergence import Convergence
from altnet.registry.jobs.learning import Learning
from altnet.registry.jobs.linking import Linking
from altnet.registry.jobs.planning import Planning
from altnet.registry.jobs.pulse import Pulse
from altnet.registry.jobs.sessions import Sessions
from altnet.registry.settings import RegistrySettings
from altnet.registry.store import progress, relays, worlds

_log = structlog.get_logger("altnet.registry.director")

ACTOR = "registry"
SOON = 1.0
"""Seconds until another try where the bus or the database did not take something."""


class Director:
    """Runs the leader's work on this replica while it leads."""

    def __init__(
        self,
        *,
        db: Database,
        bus: Bus,
        sys_bus: Bus | None,
        identity: BusIdentity | None,
        clock: Clock,
        randomness: Randomness,
        settings: RegistrySettings,
        convergence: Convergence,
        pulse: Pulse,
        sessions: Sessions,
        learning: Learning,
        client_sessions: ClientSessions,
        signing_key: Callable[[], str] | None = None,
    ) -> None:
        """`signing_key` names the key of access tokens that is in use; None where this process has none."""
        self._db = db
        self._signing_key = signing_key
        self._bus = bus
        self._sys_bus = sys_bus
        self._identity = identity
        self._clock = clock
        self._randomness = randomness
        self._settings = settings
        self._convergence = convergence
        self._pulse = pulse
        self._sessions = sessions
        self._learning = learning
        self._client_sessions = client_sessions
        self.planning = Planning(db, bus, clock, settings=settings.planning, convergence=convergence)
        self.linking = Linking(db, clock, planning=self.planning, settings=settings.links)
        self._balancing = Balancing(db, clock, settings=settings.balancing)
        self._changed = asyncio.Event()
        self._verify = asyncio.Event()
        self._rebuild = False
        self._revoke = asyncio.Event()
        self.unpushed = 0
        """Relays that are revoked and that the bus still lets in, as of the last look."""
        self._writing = asyncio.Lock()
        """Held by whoever writes many rows of relay_status: two that do it at once, each in its order, deadlock."""
        self.ready = asyncio.Event()
        """Set while this replica leads and has published once what it loaded."""
        bus.on_connect(self._on_connect)

    async def run(self) -> None:
        """Lead whenever this replica may, until cancelled."""
        while True:
            try:
                await leader(self._db, "director", self._lead)
            except Unavailable as error:
                _log.warning("the_lead_is_lost", reason=error.detail)
                await asyncio.sleep(SOON)

    def rebuild(self) -> None:
        """Put every document again, whatever the buckets seem to hold."""
        self._rebuild = True
        self._verify.set()

    async def _on_connect(self) -> None:
        self._pulse.pardon()
        self._verify.set()

    async def _lead(self) -> None:
        try:
            async with self._db.transaction(actor=ACTOR) as uow:
                wanted = self._settings.network
                await networks.make_first_network(
                    uow, name=wanted.name, prefix=wanted.prefix, randomness=self._randomness
                )
            async with self._db.dedicated() as connection:

                def on_notice(*_: object) -> None:
                    self._changed.set()

                # Every change emits an event, so the outbox's own wake-up is ours too. Listen first, load after.
                await connection.add_listener(f"{self._db.schema}_outbox", on_notice)
                await connection.add_listener(worlds.REBUILD, lambda *_: self.rebuild())
                await self.planning.begin()
                await self.linking.begin()  # before anything is published: nobody sees what a network begins with
                await self._pulse.begin(self.planning.known, self.linking.heard)
                self._balancing.begin()
                await self._sessions.begin(self.planning.peerings)
                await self._learning.begin(lambda relay: self.planning.known(relay) is not None)
                self._verify.set()
                self._revoke.set()
                await self._work()
        finally:
            self.ready.clear()
            self._convergence.end()
            self._pulse.end()
            self._sessions.end()
            self._learning.end()

    async def _work(self) -> None:
        tracking, liveness = self._settings.tracking, self._settings.liveness
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow(), name="registry plan")
                group.create_task(self._every(tracking.flush_receipts, self._flush_receipts), name="registry receipts")
                group.create_task(self._every(tracking.flush_status, self._flush_status), name="registry status")
                group.create_task(self._every(liveness.check_every, self._judge), name="registry liveness")
                group.create_task(self._every(self._settings.housekeeping.every, self._tidy), name="registry tidy")
                group.create_task(self._every(self._settings.balancing.every, self._balance), name="registry balance")
                group.create_task(self.linking.run(), name="registry links")
                group.create_task(
                    self._every(self._settings.links.flush_latencies, self.linking.flush), name="registry latencies"
                )
                group.create_task(self._push_revocations(), name="registry revocations")
                group.create_task(self._learning.run(), name="registry learned routes")
        except ExceptionGroup as errors:
            matching, rest = errors.split(Unavailable)
            if rest is None and matching is not None:
                raise Unavailable(
                    "database_unavailable", f"the leader's work ended: {matching.exceptions[0]}"
                ) from errors
            raise

    async def _follow(self) -> None:
        """Plan and publish whatever is accepted, as soon as it is."""
        loop = asyncio.get_running_loop()
        verify_at = loop.time()
        while True:
            self._changed.clear()
            planned = False
            while await self.planning.step():
                planned = True
                await self._publish()
            if planned:
                self._revoke.set()
                self.linking.wake()
            if self._verify.is_set() or loop.time() >= verify_at:
                self._verify.clear()
                verify_at = loop.time() + self._settings.planning.verify_every
                await self._verify_buckets()
            if self.planning.behind or not self.ready.is_set():
                await self._publish()
            await self._wait(self._settings.planning.poll)

    async def _wait(self, timeout: float) -> None:
        waits = [asyncio.create_task(event.wait()) for event in (self._changed, self._verify)]
        try:
            await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()

    async def _publish(self) -> None:
        if not self._bus.connected:
            return
        try:
            await self.planning.publish()
            self.ready.set()
        except (Unavailable, Forbidden) as error:
            _log.warning("desired_state_waits", documents=self.planning.behind, reason=error.detail)
            self._verify_soon(error)

    async def _verify_buckets(self) -> None:
        if not self._bus.connected:
            return  # the next connect asks again
        everything, self._rebuild = self._rebuild, False
        try:
            await self.planning.verify(everything=everything)
        except (Unavailable, Forbidden) as error:
            self._rebuild = self._rebuild or everything
            _log.warning("desired_state_not_verified", reason=error.detail)
            self._verify_soon(error)

    def _verify_soon(self, _: AltnetError) -> None:
        """A refused write may mean that streams are gone: look at them again, after a moment."""
        asyncio.get_running_loop().call_later(SOON, self._verify.set)

    async def _flush_receipts(self) -> None:
        async with self._writing:
            await self._convergence.flush()
        if self._convergence.take_news():
            await self._convergence.announce()

    async def _flush_status(self) -> None:
        async with self._writing:
            await self._pulse.flush()
        await self._client_sessions.flush()

    async def _judge(self) -> None:
        if self._bus.connected:
            self._pulse.judge()
        async with self._writing:
            await self._pulse.tell()
        await self._sessions.tell()

    async def _balance(self) -> None:
        if self._bus.connected:  # without the bus nobody knows who is alive
            await self._balancing.step()

    async def _tidy(self) -> None:
        now = self._clock.now()
        await progress.forget_receipts(self._db, before=now - timedelta(seconds=self._settings.tracking.receipts_kept))
        async with self._db.transaction(actor=ACTOR) as uow:
            await clients.remove_expired(uow)
            if self._signing_key is not None:
                await note_signing_key(uow, self._signing_key())
        ended = client_keys.DUE_AT_ONCE
        while ended == client_keys.DUE_AT_ONCE:
            async with self._db.transaction(actor=ACTOR) as uow:
                ended = await client_keys.keep_due(uow)

    async def _push_revocations(self) -> None:
        """Have the bus refuse and drop the relays that were revoked, after their last document is out."""
        while True:
            await self._revoke.wait()
            self._revoke.clear()
            if self._identity is None or self._sys_bus is None:
                return  # another process has the identity
            try:
                await self._push_once(self._identity, self._sys_bus)
            except Unavailable as error:
                _log.warning("revocations_wait", reason=error.detail)
                await asyncio.sleep(SOON)
                self._revoke.set()

    async def _push_once(self, identity: BusIdentity, sys_bus: Bus) -> None:
        async with self._db.read() as session:
            waiting = await relays.to_revoke_on_bus(session)
        self.unpushed = len(waiting)
        if not waiting:
            return
        self._revoke.set()  # there may be more than are told at a time
        revoked = {row.nkey: row.revoked_at for row in waiting if row.revoked_at is not None}
        await jwt.revoke_users(sys_bus, identity, revoked)
        async with self._db.transaction(actor=ACTOR) as uow:
            await relays.mark_revoked_on_bus(uow, [row.id for row in waiting])
        self.unpushed = 0
        for row in waiting:
            self._pulse.forget(row.id)
            self._client_sessions.forget(row.id)

    async def _every(self, seconds: float, action: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            await action()
