"""Convergence receipts: who has applied which change, and when.

A change is applied on a relay when each document that the change touched for that relay has been applied in its
generation or a newer one, and the digests agree. The tracker keeps only what is open: per relay two queues (mesh,
private document) of change numbers that wait, in order, so that an acknowledgement costs one step per change that it
settles and nothing else. What it brings is one receipt however many changes it settles: a relay that was away and
comes back with a thousand changes at once has said one thing.

Leaves out storage and clocks. Invariant: a change is settled once a relay, and never before the relay said so.
"""

from __future__ import annotations

from bisect import insort
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Receipt:
    """From now on a relay has every change up to these generations of its two documents."""

    relay: str
    at: datetime
    mesh: int
    document: int
    changes: tuple[int, ...] = field(default=(), compare=False)
    """Those that this settled here, in no order; a change of both documents once both are there."""


@dataclass(frozen=True, slots=True)
class Completion:
    """Everybody concerned has applied a change; `p50` and `p99` are seconds since it was accepted."""

    change: int
    at: datetime
    applied: int
    p50: float
    p99: float


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a change has come."""

    change: int
    concerned: int
    applied: int
    complete: bool
    p50: float | None
    p99: float | None
    behind: tuple[str, ...]


@dataclass(slots=True)
class DocumentView:
    """What one relay has said about one of its two documents."""

    generation: int = 0
    digest: str = ""
    agreed: int = 0
    """The newest generation for which we know that it holds what was planned."""


@dataclass(slots=True)
class RelayView:
    """What one relay has said, and what waits for it."""

    mesh: DocumentView = field(default_factory=DocumentView)
    document: DocumentView = field(default_factory=DocumentView)
    waits_mesh: deque[int] = field(default_factory=deque)
    waits_document: deque[int] = field(default_factory=deque)


@dataclass(slots=True)
class _Open:
    accepted: datetime
    outstanding: dict[str, int]
    delays: list[float]


def percentile(ordered: list[float], share: float) -> float:
    """The nearest-rank percentile of a sorted list that is not empty."""
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1))]


class Tracker:
    """The open changes. `keep` bounds how many: the oldest is let go first, and its truth stays in Postgres."""

    def __init__(self, *, keep: int = 10_000) -> None:
        self._keep = keep
        self._open: dict[int, _Open] = {}
        self._relays: defaultdict[str, RelayView] = defaultdict(RelayView)
        self._expected_mesh: dict[str, tuple[int, str]] = {}
        self._expected_document: dict[str, tuple[int, str]] = {}
        self._network_of: dict[str, str] = {}

    def expect_mesh(self, network: str, generation: int, digest: str) -> None:
        """This is what relays of the network should hold from now on."""
        self._expected_mesh[network] = (generation, digest)

    def expect_document(self, relay: str, network: str, generation: int, digest: str) -> None:
        """This is what the relay should hold from now on."""
        self._expected_document[relay] = (generation, digest)
        self._network_of[relay] = network

    def open(
        self,
        change: int,
        accepted: datetime,
        concerned: Mapping[str, int],
        applied: Iterable[float] = (),
        *,
        now: datetime,
    ) -> list[Completion]:
        """Wait for a change. `concerned` says which documents each relay must apply: `MESH`, `DOCUMENT`, or both.

        `applied` are the delays of those who had it before (after a restart). Complete at once if nobody is left.
        """
        waiting = _Open(
            accepted=accepted,
            outstanding={relay: parts.bit_count() for relay, parts in concerned.items()},
            delays=list(applied),
        )
        self._open[change] = waiting
        for relay, parts in concerned.items():
            view = self._relays[relay]
            if parts & MESH:
                _append(view.waits_mesh, change, self._keep)
            if parts & DOCUMENT:
                _append(view.waits_document, change, self._keep)
        while len(self._open) > self._keep:
            del self._open[min(self._open)]
        completions: list[Completion] = []
        self._finish(change, waiting, now, completions)
        return completions

    def acknowledge(
        self,
        relay: str,
        *,
        at: datetime,
        mesh_generation: int,
        mesh_digest: str,
        document_generation: int,
        document_digest: str,
    ) -> tuple[Receipt | None, list[Completion]]:
        """A relay says what it has applied. Saying the same again costs two comparisons, and is no receipt."""
        network = self._network_of.get(relay)
        if network is None:
            return None, []
        view = self._relays[relay]
        before = (view.mesh.agreed, view.document.agreed)
        _agree(view.mesh, mesh_generation, mesh_digest, self._expected_mesh.get(network))
        _agree(view.document, document_generation, document_digest, self._expected_document.get(relay))
        settled: list[int] = []
        completions: list[Completion] = []
        for queue, agreed in ((view.waits_mesh, view.mesh.agreed), (view.waits_document, view.document.agreed)):
            while queue and queue[0] <= agreed:
                self._settle(queue.popleft(), relay, at, settled, completions)
        after = (view.mesh.agreed, view.document.agreed)
        if after == before:
            return None, completions
        return Receipt(relay, at, *after, changes=tuple(settled)), completions

    def forget(self, relay: str, at: datetime) -> list[Completion]:
        """A relay is gone: nobody waits for it any more."""
        view = self._relays.pop(relay, None)
        self._expected_document.pop(relay, None)
        self._network_of.pop(relay, None)
        completions: list[Completion] = []
        if view is not None:
            for change in {*view.waits_mesh, *view.waits_document}:
                waiting = self._open.get(change)
                if waiting is not None and waiting.outstanding.pop(relay, None) is not None:
                    self._finish(change, waiting, at, completions)
        return completions

    def progress(self, change: int) -> Progress | None:
        """How far an open change has come; None if it is not open here."""
        waiting = self._open.get(change)
        if waiting is None:
            return None
        delays = sorted(waiting.delays)
        return Progress(
            change=change,
            concerned=len(delays) + len(waiting.outstanding),
            applied=len(delays),
            complete=False,
            p50=percentile(delays, 0.5) if delays else None,
            p99=percentile(delays, 0.99) if delays else None,
            behind=tuple(waiting.outstanding),
        )

    def view(self, relay: str) -> RelayView | None:
        return self._relays.get(relay)

    def expected(self, relay: str) -> tuple[tuple[int, str] | None, tuple[int, str] | None]:
        """Generation and digest that mesh and private document of a relay should have."""
        network = self._network_of.get(relay, "")
        return self._expected_mesh.get(network), self._expected_document.get(relay)

    def open_changes(self) -> int:
        return len(self._open)

    def _settle(self, change: int, relay: str, at: datetime, settled: list[int], completions: list[Completion]) -> None:
        waiting = self._open.get(change)
        if waiting is None or relay not in waiting.outstanding:
            return
        waiting.outstanding[relay] -= 1
        if waiting.outstanding[relay]:
            return
        del waiting.outstanding[relay]
        waiting.delays.append(max(0.0, (at - waiting.accepted).total_seconds()))
        settled.append(change)
        self._finish(change, waiting, at, completions)

    def _finish(self, change: int, waiting: _Open, at: datetime, completions: list[Completion]) -> None:
        if waiting.outstanding or change not in self._open:
            return
        del self._open[change]
        delays = sorted(waiting.delays) or [0.0]
        completions.append(
            Completion(change, at, len(waiting.delays), percentile(delays, 0.5), percentile(delays, 0.99))
        )


MESH = 1
DOCUMENT = 2


def _append(queue: deque[int], change: int, keep: int) -> None:
    if len(queue) >= keep:  # of a relay that has been away for long
        queue.popleft()
    if queue and queue[-1] > change:
        insort(queue, change)
    else:
        queue.append(change)


def _agree(view: DocumentView, generation: int, digest: str, expected: tuple[int, str] | None) -> None:
    view.generation, view.digest = generation, digest
    if expected is None:
        return
    newest, wanted = expected
    # An older generation was compared when it was the newest; a newer one than ours is not ours to judge.
    if generation < newest or (generation == newest and digest == wanted):
        view.agreed = max(view.agreed, generation)
