"""Which clients are attached to this relay, by their own word. Pure.

A client that can move says with each hello whether it is attached here, as of a counter that grows with its moves.
The newest word counts. One that falls silent is let go after a while: it may have gone where its word does not
reach us. Relays need not speak with each other about it.

Who has come is *fresh* for a while: somebody may hold on to a route to where it was before, and the relay there may be
dead. Meanwhile it is announced by its own address, even where a /64 covers that (view.client_pieces).

Leaves out packets (access.py) and what follows on the host (view.client_pieces). Invariants: whatever is lost,
repeated or reordered, a client that says its newest word to each of its relays ends up attached to exactly the one it
means; memory is bounded by the clients of the document.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from altnet.common.contracts.attach import Answer, Hello
from altnet.relay_agent.state import Attachment


@dataclass(slots=True)
class _Known:
    counter: int = 0
    attached: bool = False
    until: float = 0.0
    """Monotonic: when an attached client is let go."""
    fresh_until: float | None = None
    """Monotonic; None: it has not come lately."""
    rtt: float | None = None


class Attachments:
    """The attachments of one relay's clients. `lifetime` is how many seconds of silence end one, `fresh_for` says for
    how many one is fresh."""

    def __init__(
        self,
        *,
        lifetime: float,
        fresh_for: Callable[[], float] = lambda: 0.0,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        """`changed` is called whenever another set of clients is attached, or fresh."""
        self._lifetime = lifetime
        self._fresh_for = fresh_for
        self._changed = changed
        self._known: dict[str, _Known] = {}
        self._attached: frozenset[str] = frozenset()
        self._fresh: frozenset[str] = frozenset()

    @property
    def attached(self) -> frozenset[str]:
        """Identifiers of the clients that are attached here."""
        return self._attached

    @property
    def fresh(self) -> frozenset[str]:
        """Those of them that have come lately."""
        return self._fresh

    def rtt(self, client: str) -> float | None:
        """Seconds between the client and this relay, as it told."""
        known = self._known.get(client)
        return known.rtt if known is not None else None

    def adopt(self, told: Mapping[str, Attachment], *, now: float) -> None:
        """Go on from what another run of the agent knew, on a host that has kept its tunnels since."""
        for client, one in told.items():
            known = self._known[client] = _Known(one.counter, one.attached, now + self._lifetime)
            known.fresh_until = self._fresh_until(now) if one.fresh else None
        self._tell()

    def keep(self, clients: Collection[str]) -> None:
        """Forget everybody else."""
        gone = [client for client in self._known if client not in clients]
        for client in gone:
            del self._known[client]
        if gone:
            self._tell()

    def hear(self, client: str, hello: Hello, *, now: float) -> Answer:
        """Take in a client's word; what to answer. The caller has made sure who speaks."""
        known = self._known.setdefault(client, _Known())
        if hello.rtt is not None:
            known.rtt = hello.rtt
        had = known.attached
        if hello.counter > known.counter:
            known.counter, known.attached = hello.counter, hello.attached
        elif hello.counter == known.counter and not hello.attached:
            known.attached = False  # of two words at the same count, to be gone is the last
        if known.attached and hello.counter == known.counter:
            known.until = now + self._lifetime
        if known.attached != had:
            known.fresh_until = self._fresh_until(now) if known.attached else None
            self._tell()
        return Answer(number=hello.number, counter=known.counter, attached=known.attached)

    def expire(self, *, now: float) -> None:
        """Let go of those that have been silent for too long. They come back with a higher counter."""
        for known in self._known.values():
            if known.attached and known.until <= now:
                known.attached = False
            if known.fresh_until is not None and known.fresh_until <= now:
                known.fresh_until = None
        self._tell()

    def dump(self) -> dict[str, Attachment]:
        """What another run needs to go on."""
        return {
            client: Attachment(counter=known.counter, attached=known.attached, fresh=client in self._fresh)
            for client, known in self._known.items()
            if known.counter
        }

    def _fresh_until(self, now: float) -> float | None:
        span = self._fresh_for()
        return now + span if span > 0 else None

    def _tell(self) -> None:
        attached = frozenset(client for client, known in self._known.items() if known.attached)
        fresh = frozenset(client for client in attached if self._known[client].fresh_until is not None)
        if (attached, fresh) != (self._attached, self._fresh):
            self._attached, self._fresh = attached, fresh
            self._changed()
