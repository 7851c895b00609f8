"""Which security events are missing: the stream is read once, and each emitter's numbers are counted along.

What the services' own counters say is told as well: numbers that were given and are not in the stream. Leaves out why
they are missing: a lost stream is filled again by `altnet admin replay`, what a restore left out on purpose or somebody
can account for is not named (`known_gaps`), and anything else means that somebody took them out. Services say by
themselves that their own are missing (`altnet.common.db.security_gaps`). Invariant: it changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from altnet.common.bus.connect import Bus
from altnet.common.bus.reading import read_events
from altnet.common.contracts.security import Gap, Reader, SecurityEvent
from altnet.common.db import names, numbers
from altnet.common.db.engine import Database
from altnet.common.errors import Broken, Unavailable
from altnet.host.admin.repair import opened

ON_THE_WAY: Final = 2.0
"""Seconds for what is committed to get into the stream, before it counts as missing."""
WAIT: Final = 10.0


@dataclass(frozen=True, kw_only=True)
class Heard:
    """Of one emitter: the first and the last number in the stream, and what is missing."""

    first: int
    last: int
    missing: tuple[Gap, ...]

    @property
    def count(self) -> int:
        return sum(gap.last - gap.first + 1 for gap in self.missing)

    def without(self, known: Iterable[Gap]) -> Heard:
        """The same, and nothing missing that somebody can account for."""
        others = tuple(known)
        return replace(self, missing=tuple(part for gap in self.missing for part in gap.without(others)))


async def security_gaps(data_dir: Path | None) -> dict[str, Heard]:
    """By emitter. Raises `Unavailable` where the control plane does not run."""
    async with opened(data_dir) as hosted:
        admin = hosted[0].context.admin_bus
        if admin is None:
            raise Unavailable("bus_down", "there is no connection to the bus.", mend="Start `altnet up`.")
        await admin.wait_connected(WAIT)
        given: dict[str, int] = {}
        known: dict[str, tuple[Gap, ...]] = {}
        for item in hosted:
            given |= await given_numbers(item.context.database)
            async with item.context.database.raw() as connection:
                known |= await numbers.known_gaps(connection, item.context.database.schema)
        heard = await heard_numbers(admin, given)
        return {emitter: one.without(known.get(emitter, ())) for emitter, one in heard.items()}


async def given_numbers(db: Database) -> dict[str, int]:
    """Emitter → the last number that a service gave, or passed on."""
    async with db.raw() as connection:
        rows = await connection.fetch(f"SELECT emitter, number FROM {names.name(db.schema)}.emitters")  # noqa: S608 - checked
    return {row["emitter"]: row["number"] for row in rows if row["number"] > 0}


async def heard_numbers(bus: Bus, given: Mapping[str, int], *, on_the_way: float = ON_THE_WAY) -> dict[str, Heard]:
    """Count the stream's security events along; `given` are the last numbers that there should be.

    An emitter of which the stream has nothing at all is left out: it was silent for longer than events are kept.
    """
    reader, first = Reader(), dict[str, int]()
    after = await _count(bus, reader, first, 0)
    if any(reader.last[emitter] < number for emitter, number in given.items() if emitter in first):
        await asyncio.sleep(on_the_way)
        await _count(bus, reader, first, after)
    last = dict(reader.last)
    for emitter, number in given.items():
        if emitter in first and last[emitter] < number:
            reader.take(emitter, number + 1)  # as if the next one had come: what is before it is missing
    return {
        emitter: Heard(first=one, last=last[emitter], missing=reader.gaps.get(emitter, ()))
        for emitter, one in sorted(first.items())
    }


async def _count(bus: Bus, reader: Reader, first: dict[str, int], after: int) -> int:
    async for delivery in read_events(bus, after=after):
        after = delivery.sequence
        try:
            event = delivery.envelope.event
        except Broken:
            continue  # of another version: its number shows as missing, which is right
        if isinstance(event, SecurityEvent) and event.number > 0:
            first[event.emitter] = min(first.get(event.emitter, event.number), event.number)  # replayed ones come late
            reader.take(event.emitter, event.number)
    return after
