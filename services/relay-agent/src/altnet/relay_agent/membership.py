"""The relay's membership: its keys, what the registry said of it, and a pass to the bus that is renewed in time.

A pass is renewed at half of its life, so that hours of an unreachable registry do no harm. When the bus refuses us,
the registry is asked at once, and may say that this relay is out: then its tunnels go, and stay away over restarts.

Leaves out HTTP (enrol.py). Invariant: no failure here touches the data plane, but for that one answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol

import msgspec
from altnet.common import log
from altnet.common.bus.credentials import Credentials
from altnet.common.clock import Clock
from altnet.common.contracts.agent import Versions
from altnet.common.errors import AltnetError, Forbidden, Unauthenticated
from altnet.relay_agent.enrol import REVOKED, Registry
from altnet.relay_agent.settings import Timers
from altnet.relay_agent.state import Enrolment, Identity, State

_log = log.get(__name__)


class Refusing(Protocol):
    """Of the bus, what renewal needs."""

    last_failure: AltnetError | None

    def reconnect(self) -> None: ...


class Membership:
    """Holds identity and enrolment; `credentials` is what the bus asks for at each connect."""

    def __init__(self, state: State, enrolment: Enrolment, *, clock: Clock) -> None:
        self.identity: Identity = state.identity()
        self.enrolment = enrolment
        self._state = state
        self._clock = clock
        self._hurried = False

    def hurry(self) -> None:
        """Renew soon: the registry has to know what changed here."""
        self._hurried = True

    def credentials(self) -> Credentials:
        return Credentials(self.enrolment.bus.jwt, self.identity.nkey_seed.encode())

    def half_life(self) -> float:
        """Seconds until half of the pass's life is over; 0 or less when it is."""
        bus = self.enrolment.bus
        now = self._clock.now()
        expires = _instant(bus.expires_at)
        issued = _instant(bus.issued_at) if bus.issued_at else now
        return (issued + (expires - issued) / 2 - now).total_seconds()

    async def renew(self, registry: Registry, *, endpoints: tuple[str, ...], versions: Versions) -> None:
        """Get a new pass and keep it. Raises what the registry says."""
        bus = await registry.renew(self.identity, self.enrolment.relay.id, endpoints=endpoints, versions=versions)
        self.enrolment = msgspec.structs.replace(self.enrolment, bus=bus)
        await self._state.save_enrolment(self.enrolment)

    async def ask(self, registry: Registry, *, endpoints: tuple[str, ...], versions: Versions) -> bool:
        """True if the registry says that this relay is out; else its pass is renewed, or nothing could be heard."""
        try:
            await self.renew(registry, endpoints=endpoints, versions=versions)
        except AltnetError as error:
            _log.warning("the pass to the bus is refused, and not renewed", reason=str(error))
            return isinstance(error, Forbidden) and error.code == REVOKED
        return False

    async def run(
        self,
        registry: Registry,
        bus: Refusing,
        *,
        endpoints: tuple[str, ...],
        versions: Callable[[], Versions],
        timers: Timers,
        random: Callable[[], float],
        revoked: Callable[[], bool],
        revoke: Callable[[], Awaitable[None]],
    ) -> None:
        """Renew in time, until cancelled."""
        asked_because_refused = False
        while True:
            refused = isinstance(bus.last_failure, Unauthenticated)
            if not (refused and not asked_because_refused) and not self._hurried and self.half_life() > 0:
                asked_because_refused = asked_because_refused and refused
                await asyncio.sleep(timers.refusal_check * (0.8 + 0.4 * random()))
                continue
            asked_because_refused, self._hurried = refused, False
            wait = timers.credentials_retry
            try:
                await self.renew(registry, endpoints=endpoints, versions=versions())
                bus.reconnect()
                wait = timers.refusal_check
                _log.info("the pass to the bus is renewed", expires=self.enrolment.bus.expires_at)
            except Forbidden as error:
                _log.error("the registry refuses this relay", reason=str(error))
                if error.code == REVOKED:
                    wait = timers.revoked_retry
                    if not revoked():
                        await revoke()
                asked_because_refused = False
            except AltnetError as error:
                _log.warning("the pass to the bus is not renewed", reason=str(error))
                asked_because_refused = False
            await asyncio.sleep(wait * (0.8 + 0.4 * random()))


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
