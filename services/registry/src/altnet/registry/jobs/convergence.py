"""Receipts while they happen: the tracker, what it found since the last write, and who waits for it.

Every replica hears acknowledgements; only the leader tracks, since only it knows what is planned. Receipts are written
every quarter of a second, in transactions of a bounded size: what an outage has piled up must not be one statement that
runs into its timeout, again and again, and takes the lead along.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime

from altnet.common.clock import Clock
from altnet.common.contracts.agent import Applied
from altnet.common.db.engine import Database
from altnet.registry.domain.receipts import DOCUMENT, MESH, Completion, Progress, Receipt, Tracker
from altnet.registry.store import progress
from altnet.registry.store.progress import AppliedReport

LARGEST_WRITE = 2_000
"""Rows of a kind in one transaction."""
BREATH = 64
"""Changes taken up before others may run."""


class Convergence:
    """The open changes of this replica while it leads; empty otherwise."""

    def __init__(self, db: Database, clock: Clock, *, keep: int) -> None:
        self._db = db
        self._clock = clock
        self._keep = keep
        self._tracker: Tracker | None = None
        self._reports: dict[str, AppliedReport] = {}
        self._receipts: list[Receipt] = []
        self._completions: list[Completion] = []
        self._finished: dict[int, Completion] = {}
        self._waiters: defaultdict[int, set[asyncio.Event]] = defaultdict(set)
        self._has_news = False
        self.news = asyncio.Condition()
        """Notified when changes were planned or completed."""

    @property
    def leading(self) -> bool:
        return self._tracker is not None

    @property
    def tracker(self) -> Tracker:
        """Only while leading."""
        assert self._tracker is not None
        return self._tracker

    def begin(self) -> Tracker:
        """This replica leads from now on."""
        self._tracker = Tracker(keep=self._keep)
        self._reports.clear()
        self._receipts.clear()
        self._completions.clear()
        self._finished.clear()
        return self._tracker

    def end(self) -> None:
        """Another replica may lead."""
        self._tracker = None

    async def restore(self, concerned_by_mesh: Mapping[str, frozenset[str]], known: frozenset[str]) -> None:
        """Take up the open changes that Postgres has. `concerned_by_mesh`: relays by network; `known`: all of them."""
        changes = await progress.open_changes(self._db, limit=self._keep)
        log = await progress.receipts_since(self._db, min((change.number for change in changes), default=None))
        for count, change in enumerate(changes):
            if count % BREATH == BREATH - 1:
                await asyncio.sleep(0)
            parts = dict.fromkeys(concerned_by_mesh.get(change.network or "", frozenset()) if change.mesh else (), MESH)
            for relay in change.documents:
                if relay in known:
                    parts[relay] = parts.get(relay, 0) | DOCUMENT
            applied = log.applied(
                change.number, {relay: (bool(part & MESH), bool(part & DOCUMENT)) for relay, part in parts.items()}
            )
            done = [max(0.0, (at - change.at).total_seconds()) for at in applied.values()]
            waiting = {relay: part for relay, part in parts.items() if relay not in applied}
            self._note(None, self.tracker.open(change.number, change.at, waiting, done, now=self._clock.now()))
        for report in await progress.last_reports(self._db):
            self.heard(report.relay, report.applied, at=report.at)
        self._reports.clear()

    def heard(self, relay: str, applied: Applied, *, at: datetime | None = None) -> None:
        """A relay says what it has applied."""
        if self._tracker is None:
            return
        at = at or self._clock.now()
        found = self._tracker.acknowledge(
            relay,
            at=at,
            mesh_generation=applied.mesh_generation,
            mesh_digest=applied.mesh_digest,
            document_generation=applied.document_generation,
            document_digest=applied.document_digest,
        )
        last = self._reports.get(relay)
        if last is None or last.applied != applied:
            self._reports[relay] = AppliedReport(relay, at, applied)
        self._note(*found)

    def forget(self, relay: str) -> None:
        """A relay is gone."""
        self._reports.pop(relay, None)
        self._note(None, self.tracker.forget(relay, self._clock.now()))

    def progress(self, change: int) -> Progress | None:
        """How far a change is, as this replica knows it without asking Postgres."""
        if self._tracker is None:
            return None
        done = self._finished.get(change)
        if done is not None:
            return Progress(change, done.applied, done.applied, True, done.p50, done.p99, ())
        return self._tracker.progress(change)

    async def flush(self) -> None:
        """Write what came in since the last time. What fails to be written is written with the next."""
        while self._receipts or self._completions or self._reports:
            await self._flush_some()

    async def _flush_some(self) -> None:
        receipts, self._receipts = self._receipts[:LARGEST_WRITE], self._receipts[LARGEST_WRITE:]
        completions, self._completions = self._completions[:LARGEST_WRITE], self._completions[LARGEST_WRITE:]
        reports = list(self._reports.values())[:LARGEST_WRITE]
        for report in reports:
            del self._reports[report.relay]
        try:
            await progress.write(self._db, receipts=receipts, completions=completions, reports=reports)
        except BaseException:
            self._receipts = receipts + self._receipts
            self._completions = completions + self._completions
            self._reports = {report.relay: report for report in reports} | self._reports
            raise
        for completion in completions:
            self._finished.pop(completion.change, None)

    def take_news(self) -> bool:
        """Whether changes were completed since this was last asked."""
        had, self._has_news = self._has_news, False
        return had

    async def announce(self) -> None:
        """Wake whoever follows the changes."""
        async with self.news:
            self.news.notify_all()

    def opened(self, change: int, accepted: datetime, parts: Mapping[str, int]) -> None:
        """A change was planned."""
        self._note(None, self.tracker.open(change, accepted, parts, now=self._clock.now()))

    async def wait(self, change: int, timeout: float) -> None:
        """Return when the change is complete, as far as this replica knows, or after `timeout` seconds."""
        done = asyncio.Event()
        self._waiters[change].add(done)
        try:
            async with asyncio.timeout(timeout):
                await done.wait()
        except TimeoutError:
            return
        finally:
            self._waiters[change].discard(done)
            if not self._waiters[change]:
                del self._waiters[change]

    def _note(self, receipt: Receipt | None, completions: list[Completion]) -> None:
        if receipt is not None:
            self._receipts.append(receipt)
        self._completions.extend(completions)
        self._has_news = self._has_news or bool(completions)
        for completion in completions:
            self._finished[completion.change] = completion
            for waiter in self._waiters.get(completion.change, ()):
                waiter.set()
