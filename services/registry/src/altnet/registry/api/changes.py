"""Changes: listed, looked at, waited for, followed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Annotated

from altnet.common.http import sse
from altnet.common.http.auth import RequireAuditor
from altnet.common.http.paging import Page, Paging
from altnet.common.http.problems import responses
from altnet.common.http.routes import resource
from altnet.registry.api.deps import Parts, Registry
from altnet.registry.api.lists import page_of
from altnet.registry.api.schemas.changes import Change
from altnet.registry.handlers.changes import receipt, receipt_of
from altnet.registry.store import changes
from altnet.registry.tables import ChangeRow
from fastapi import Path, Query
from sqlalchemy import select
from sqlmodel import col

router = resource("changes")

LARGEST = 2**62
LOOK_AGAIN = 0.5
"""Seconds between two looks at Postgres, where the leader is another replica."""
STREAM_BATCH = 100
MOST_FOLLOWED = 1000
"""Open changes that one stream waits for; older ones are told once, when they were accepted."""


class WaitFor(StrEnum):
    """What to wait for."""

    APPLIED = "applied"


Number = Annotated[int, Path(ge=1, le=LARGEST, description="The number of a change.")]


@router.get("/v1/changes", responses=responses(401, 403, 422, 503))
async def list_changes(
    registry: Registry,
    _: RequireAuditor,
    paging: Paging,
    complete: Annotated[bool | None, Query(description="Only complete ones, or only open ones.")] = None,
    actor: Annotated[str | None, Query(max_length=128)] = None,
    kind: Annotated[str | None, Query(max_length=128, examples=["registry.client.created"])] = None,
    network: Annotated[str | None, Query(max_length=64)] = None,
) -> Page[Change]:
    """List changes, newest first."""
    query = select(ChangeRow)
    if complete is not None:
        finished = col(ChangeRow.completed_at)
        query = query.where(finished.is_not(None) if complete else finished.is_(None))
    for column, value in ((ChangeRow.actor, actor), (ChangeRow.kind, kind), (ChangeRow.network_id, network)):
        if value is not None:
            query = query.where(col(column) == value)
    async with registry.db.read() as session:
        rows, cursor = await page_of(
            session,
            query,
            by=ChangeRow.number,
            params=paging,
            name=f"changes:{complete}:{actor}:{kind}:{network}",
            descending=True,
        )
        items = [Change.of(await receipt(session, registry.convergence, row[0], name_behind=False)) for row in rows]
    return Page[Change](items=items, next_cursor=cursor)


@router.get(
    "/v1/changes/stream",
    response_class=sse.EventStreamResponse,
    responses=sse.responses(Change) | responses(401, 403, 422, 503),
)
async def stream_changes(
    registry: Registry, _: RequireAuditor, last_event_id: sse.LastEventId = None
) -> sse.EventStreamResponse:
    """Follow changes: `accepted` with the number as id, and `applied` when everybody concerned has it.

    With Last-Event-ID the stream goes on behind that change.
    """
    after = sse.sequence_after(last_event_id)
    async with registry.db.read() as session:
        newest = await changes.newest(session)
    return sse.event_stream(
        _follow(registry, newest if after is None else min(after, newest)),
        heartbeat=registry.http.heartbeat,
        write_timeout=registry.http.write_timeout,
    )


@router.get("/v1/changes/{number}", responses=responses(401, 403, 404, 422, 503))
async def get_change(
    registry: Registry,
    _: RequireAuditor,
    number: Number,
    wait: Annotated[WaitFor | None, Query(description="Answer when it is applied everywhere, or time is over.")] = None,
    timeout: Annotated[float, Query(ge=0, le=300, description="Seconds to wait at most.")] = 30.0,
) -> Change:
    """Show a change: applied on how many of how many relays, how fast, and who is behind, and why."""
    loop = asyncio.get_running_loop()
    until = loop.time() + (min(timeout, registry.settings.api.longest_wait) if wait else 0)
    while True:
        left = until - loop.time()
        async with registry.db.read() as session:
            # Who is behind, and why, is a hundred rows: only the last look needs it.
            found = await receipt_of(session, registry.convergence, number, name_behind=left <= 0)
        if found.complete or left <= 0:
            return Change.of(found)
        await registry.convergence.wait(number, min(left, LOOK_AGAIN))


async def _follow(registry: Parts, last: int) -> AsyncIterator[sse.SseEvent]:
    open_changes: dict[int, None] = {}
    while True:
        events: list[
            tuple[int | None, Change]
        ] = []  # sent outside of the session: a slow reader must not hold a transaction open
        async with registry.db.read() as session:
            rows = await changes.after(session, last, limit=STREAM_BATCH)
            for number in open_changes:
                told = await receipt_of(session, registry.convergence, number)
                if told.complete:
                    events.append((None, Change.of(told)))
            for row in rows:
                told = await receipt(session, registry.convergence, row, name_behind=False)
                last = row.number
                events.append((last, Change.of(told)))
        for identifier, change in events:
            if change.complete:
                open_changes.pop(change.number, None)
            else:
                open_changes[change.number] = None
            yield _event(change, id=identifier)
        for old in list(open_changes)[:-MOST_FOLLOWED]:
            del open_changes[old]
        if len(rows) < STREAM_BATCH:
            await _news(registry)


async def _news(registry: Parts) -> None:
    try:
        async with asyncio.timeout(LOOK_AGAIN), registry.convergence.news:
            await registry.convergence.news.wait()
    except TimeoutError:
        return


def _event(change: Change, *, id: int | None) -> sse.SseEvent:
    return sse.SseEvent(
        data=change.model_dump_json(),
        event="applied" if change.complete else "accepted",
        id=None if id is None else str(id),
    )
