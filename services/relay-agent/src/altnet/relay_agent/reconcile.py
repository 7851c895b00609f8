"""The loop that makes the host as wanted, piece by piece, and knows at any time how far it is.

Each piece is Pending, Done or Error. Only what is not done is remembered, so a thousand agents with a thousand
neighbours each fit into one process, and a change costs what it changes. What fails is tried again with growing
waits, alone: one refused route holds up nothing else. A full comparison reads the host back, repairs what somebody
altered and, once both documents are known, takes away what nobody wants.

Leaves out what is wanted (wanted.py) and how it is done (planes/). Invariant: the digests that `applied` gives sum
only what the host is known to hold.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from altnet.common import log
from altnet.common.clock import Clock
from altnet.common.contracts.agent import Applied, Failure
from altnet.common.contracts.digest import EMPTY, Digest
from altnet.common.errors import AltnetError, Unavailable
from altnet.relay_agent.diff import Delete, Operation, Update, compared, describe
from altnet.relay_agent.pieces import DEVICES, LINKS, PLANES, Key, Piece
from altnet.relay_agent.planes import Failures, Plane
from altnet.relay_agent.settings import Timers
from altnet.relay_agent.wanted import Change, Errors, Item, Ledger, Wanted

_log = log.get(__name__)

NAMED_FAILURES: Final = 20
"""Failures spelled out in an acknowledgement; the rest is a number."""

_CARRIERS: Final = frozenset({DEVICES, LINKS})

_ORDER: Final = {name: number for number, name in enumerate(PLANES)}


class Status(StrEnum):
    """Where a piece stands. Done is the absence of a task."""

    PENDING = "pending"
    ERROR = "error"


@dataclass(slots=True)
class Task:
    """One piece that is not as wanted yet."""

    operation: Operation
    owner: str
    due: float = 0.0
    tries: int = 0
    error: AltnetError | None = None

    @property
    def status(self) -> Status:
        return Status.PENDING if self.error is None else Status.ERROR


@dataclass(slots=True)
class _Open:
    """An owner with pieces that are not done: what its digest items were, and what they become."""

    tasks: int = 0
    summed: tuple[Item, ...] = ()
    """In the digests now."""
    becomes: tuple[Item, ...] = ()


class Reconciler:
    """Makes a host as `wanted` says. One task runs it; `notice` may be called from any other."""

    def __init__(
        self,
        wanted: Wanted,
        planes: Iterable[Plane],
        *,
        clock: Clock,
        random: Callable[[], float],
        timers: Timers,
        applied: Callable[[], None] = lambda: None,
        compared: Callable[[Sequence[Piece], Mapping[str, Mapping[Key, Any]]], None] = lambda _pieces, _have: None,
    ) -> None:
        self._wanted = wanted
        self._planes = {plane.name: plane for plane in planes}
        self._clock = clock
        self._random = random
        self._timers = timers
        self._on_applied = applied
        self._on_compared = compared
        self._tasks: dict[tuple[str, Key], Task] = {}
        self._open: dict[str, _Open] = {}
        self._invalid: dict[str, Errors] = {}
        """Owners of whom something, or all, cannot even be computed. They are in no digest."""
        self._digests: dict[Ledger, Digest] = dict.fromkeys(Ledger, EMPTY)
        self._generations: dict[Ledger, int] = dict.fromkeys(Ledger, 0)
        self._wake = asyncio.Event()
        self._moved = asyncio.Condition()
        self._adopted = False
        self._compare_due = 0.0
        self.repaired = 0
        """Pieces that a comparison found other than as wanted, after the first one."""
        self.compared_at: float | None = None

    # -- asking -------------------------------------------------------------------------------------------------

    def notice(self) -> None:
        """The wish may have changed."""
        self._wake.set()

    def compare_soon(self) -> None:
        """Read the whole host back at the next turn."""
        self._compare_due = 0.0
        self._wake.set()

    @property
    def settled(self) -> bool:
        """Whether everything wanted is done."""
        return self._adopted and not self._tasks and not self._invalid and not self._wanted.waiting

    @property
    def tasks(self) -> Mapping[tuple[str, Key], Task]:
        """What is not done."""
        return self._tasks

    def applied(self) -> Applied:
        """What the host holds, as far as we know."""
        failures = [
            Failure(plane="document", object=owner, reason=str(error)[:500])
            for owner, errors in self._invalid.items()
            for error in errors
        ]
        now = self._clock.monotonic()
        for (plane, _), task in self._tasks.items():
            if task.error is not None:
                retry = max(0.0, task.due - now)
                what = describe(task.operation)[:500]
                failures.append(Failure(plane=plane, object=what, reason=str(task.error)[:500], retry_after=retry))
        return Applied(
            mesh_generation=self._generations[Ledger.MESH],
            mesh_digest=self._digests[Ledger.MESH].text,
            document_generation=self._generations[Ledger.DOCUMENT],
            document_digest=self._digests[Ledger.DOCUMENT].text,
            failed=tuple(failures[:NAMED_FAILURES]),
            failed_count=len(failures),
        )

    async def wait_until(self, generation: int) -> None:
        """Return once the mesh of `generation`, or a later one, is on the host without failures."""
        async with self._moved:
            await self._moved.wait_for(lambda: self._generations[Ledger.MESH] >= generation and self.settled)

    # -- working ------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            self._wake.clear()
            await self.step()
            wait = max(0.0, self.next_due() - self._clock.monotonic())
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def next_due(self) -> float:
        """When there is something to do without being told: monotonic seconds."""
        return min(self._compare_due, min((task.due for task in self._tasks.values()), default=self._compare_due))

    async def step(self) -> None:
        """Do everything that is due now."""
        if not self._wanted.complete:
            self._compare_due = self._clock.monotonic() + self._timers.resync
            return
        worked = False
        if not self._adopted:
            # What is on the host already is adopted: a restart changes nothing that is as wanted.
            self._take_all()
            worked = True
            await self.compare()
        elif self._wanted.waiting:
            self._take(self._wanted.changes())
            worked = True
        elif self._compare_due <= self._clock.monotonic():
            worked = await self.compare()
        if await self._work() or worked:
            self._on_applied()
            async with self._moved:
                self._moved.notify_all()

    async def compare(self) -> bool:
        """Read the host back and make a task of each difference; True if there was one."""
        spread = 1 + self._timers.resync_jitter * (2 * self._random() - 1)
        have: dict[str, Mapping[Key, Any]] = {}
        for name, plane in self._planes.items():
            try:
                async with asyncio.timeout(self._timers.kernel_timeout):
                    have[name] = await plane.read()
            except (AltnetError, TimeoutError) as error:
                _log.warning("the host could not be read back", plane=name, reason=str(error) or "no answer in time")
                if not self._adopted:
                    have[name] = {}  # nothing is known to be there, so all of it has to be put
        if self._wanted.waiting:
            self._take(self._wanted.changes())
        wanted = list(self._wanted.pieces())
        owners = {(piece.plane, piece.key): owner for owner, piece in wanted}
        pieces = [piece for _, piece in wanted]
        self._on_compared(pieces, have)
        operations = compared(have, pieces, self._same, prune=True)
        drifted = 0
        for operation in operations:
            place = (operation.plane, operation.key)
            owner = owners.get(place, "")
            if place in self._tasks and (self._adopted or isinstance(operation, Delete)):
                continue  # known already, with its own wait
            drifted += 1
            if self._adopted:
                _log.warning("the host is not as we left it", what=describe(operation), plane=operation.plane)
            self._add(operation, owner)
        self._forget_done(have, operations)
        if self._adopted:
            self.repaired += drifted
        self._adopted = True
        self._compare_due = self._clock.monotonic() + self._timers.resync * spread
        self.compared_at = self._clock.monotonic()
        return drifted > 0

    def _same(self, plane: str, have: Any, want: Any) -> bool:
        return self._planes[plane].same(have, want)

    def _take_all(self) -> None:
        """Everything wanted, as if nothing were on the host; the comparison that follows knows better."""
        self._wanted.begin()
        for owner, items in self._wanted.owners():
            errors = self._wanted.invalid(owner)
            if errors:
                self._invalid[owner] = errors
            else:
                self._sum(items, 1)
        self._generations.update(self._wanted.generations())

    def _take(self, changes: Iterable[Change]) -> None:
        for change in changes:
            self._change(change)
        self._generations.update(self._wanted.generations())

    def _change(self, change: Change) -> None:
        owner = change.owner
        known = self._open.get(owner)
        was_invalid = bool(self._invalid.pop(owner, ()))
        summed = known.summed if known is not None else () if was_invalid else change.before
        if change.errors:
            self._invalid[owner] = change.errors
        becomes = () if change.errors else change.after
        # What goes away counts until it is gone; what changes does not count until it is as wanted.
        if change.after and summed:
            self._sum(summed, -1)
            summed = ()
        entry = known or _Open()
        entry.summed, entry.becomes = summed, becomes
        self._open[owner] = entry
        for operation in change.operations:
            self._add(operation, owner)
        if entry.tasks == 0:
            self._close(owner)

    def _add(self, operation: Operation, owner: str) -> None:
        place = (operation.plane, operation.key)
        old = self._tasks.pop(place, None)
        if old is not None:
            self._release(old)
        self._tasks[place] = Task(operation, owner)
        if not owner:
            return
        entry = self._open.get(owner)
        if entry is None:
            # Found altered by a comparison: its items do not count until it is mended.
            items = () if owner in self._invalid else self._wanted.items(owner)
            self._sum(items, -1)
            entry = self._open[owner] = _Open(becomes=items)
        entry.tasks += 1

    def _release(self, task: Task) -> None:
        entry = self._open.get(task.owner)
        if entry is not None:
            entry.tasks -= 1
            if entry.tasks == 0:
                self._close(task.owner)

    def _close(self, owner: str) -> None:
        entry = self._open.pop(owner)
        self._sum(entry.summed, -1)
        self._sum(entry.becomes, 1)

    def _sum(self, items: Iterable[Item], sign: int) -> None:
        for ledger, number in items:
            digest = self._digests[ledger]
            self._digests[ledger] = digest.with_item(number) if sign > 0 else digest.without_item(number)

    def _forget_done(self, have: Mapping[str, Any], operations: Iterable[Operation]) -> None:
        """Drop tasks for what the comparison found as wanted meanwhile."""
        needed = {(operation.plane, operation.key) for operation in operations}
        for place in [place for place in self._tasks if place[0] in have and place not in needed]:
            self._release(self._tasks.pop(place))

    async def _work(self) -> bool:
        now = self._clock.monotonic()
        due = [task for task in self._tasks.values() if task.due <= now]
        if not due:
            return False
        updates: dict[str, list[Task]] = {}
        deletes: dict[str, list[Task]] = {}
        for task in due:
            kind = updates if isinstance(task.operation, Update) else deletes
            kind.setdefault(task.operation.plane, []).append(task)
        # What is new is made before what is old goes away: a path that moves is never missing.
        for name in sorted(updates, key=_ORDER.__getitem__):
            await self._do(name, updates[name])
        for name in sorted(deletes, key=_ORDER.__getitem__, reverse=True):
            await self._do(name, deletes[name])
        return True

    async def _do(self, name: str, tasks: list[Task]) -> None:
        plane = self._planes[name]
        operations = [task.operation for task in tasks]
        failures: Failures
        try:
            async with asyncio.timeout(self._timers.kernel_timeout):
                if isinstance(operations[0], Update):
                    failures = await plane.update([it for it in operations if isinstance(it, Update)])
                else:
                    failures = await plane.delete([it for it in operations if isinstance(it, Delete)])
        except TimeoutError:
            late = Unavailable("host_slow", f"the host did not answer within {self._timers.kernel_timeout:g} s.")
            failures = {operation.key: late for operation in operations}
        except AltnetError as error:
            failures = {operation.key: error for operation in operations}
        freed = False
        for task in tasks:
            error_ = failures.get(task.operation.key)
            freed = freed or (error_ is None and task.tries > 0 and name in _CARRIERS)
            self._settle(task, error_)
        if freed:
            for task in self._tasks.values():  # what hangs on it can work now
                task.due = 0.0

    def _settle(self, task: Task, error: AltnetError | None) -> None:
        place = (task.operation.plane, task.operation.key)
        if self._tasks.get(place) is not task:
            return  # wanted otherwise meanwhile
        if error is None:
            del self._tasks[place]
            self._release(task)
            return
        if task.error is None or task.error.code != error.code:
            _log.warning("not applied", plane=task.operation.plane, what=describe(task.operation), reason=str(error))
        wait = min(self._timers.retry_most, self._timers.retry_first * 2**task.tries)
        task.tries += 1
        task.error = error
        task.due = self._clock.monotonic() + wait * (1 + 0.2 * self._random())
        carrier = self._carrier(task.operation)
        if carrier is not None and carrier.error is not None:
            task.due = carrier.due  # not before what it hangs on, and right after it

    def _carrier(self, operation: Operation) -> Task | None:
        """The open task of the link or device that a piece hangs on."""
        device = getattr(operation.want, "device", None) if isinstance(operation, Update) else None
        if device is None:
            return None
        return self._tasks.get((LINKS, device)) or self._tasks.get((DEVICES, device))
