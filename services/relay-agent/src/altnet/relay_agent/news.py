"""What is new is heard before anything is brought back, as far as it can be heard within a bound.

An agent that was off while a relay or a client was revoked, or lost the signature that the network lock wants, still
has it in its cache. So a start listens and fetches first; where the bus is away, or slower than the bound, the cache
has to do, since the data plane never waits for the control plane longer than that. It waits less where nobody listens
at NATS's port: the control plane is down then, and a host that comes back should forward at once. A pass that the bus
refuses is asked about in person: it may be this very relay that is out. Whatever is not heard here is heard later, and
undone then.

Leaves out what documents mean. Invariant: it ends within the bound, and changes nothing on the host.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from altnet.common import log
from altnet.common.errors import AltnetError, Invalid, Unauthenticated

_log = log.get(__name__)

LOOK: Final = 0.05
"""Seconds between two looks whether the bus refuses us: it tells nobody."""

DOWN: Final = 0.3
"""Seconds after which a bus at whose port nobody listens counts as down: some attempts, for one just starting."""


class Reachable(Protocol):
    """Of the bus, what a start needs."""

    last_failure: AltnetError | None

    @property
    def connected(self) -> bool: ...

    @property
    def nobody_listens(self) -> bool: ...

    async def wait_connected(self, timeout: float | None = None) -> None: ...


async def hear_first(
    bus: Reachable, *, within: float, fetch: Callable[[], Awaitable[bool]], ask: Callable[[], Awaitable[bool]] | None
) -> bool:
    """Fetch once, if the bus is there within `within` seconds; True if what the registry wants now is known.

    `ask` asks the registry itself why the bus refuses us: True says that there is nothing more to hear.
    """
    asked = False
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        async with asyncio.timeout(within):
            while not bus.connected:
                if ask is not None and not asked and isinstance(bus.last_failure, Unauthenticated):
                    asked = True
                    if await ask():
                        return True
                hopeless = bus.nobody_listens or isinstance(bus.last_failure, Invalid)  # of a pass that cannot be read
                if hopeless and loop.time() - began >= DOWN:
                    raise TimeoutError
                try:
                    await bus.wait_connected(LOOK)
                except AltnetError:
                    continue  # why is in `last_failure`
            return await fetch()
    except TimeoutError:
        _log.warning(
            "the cache has to do for what is not heard by now",
            connected=bus.connected,
            waited=round(loop.time() - began, 3),
        )
        return False
