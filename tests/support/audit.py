"""Calls every write of a service's API document, and holds each to the event that must tell of it.

Where the document says that a write can be tried, it is tried first, and must change nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import httpx
from altnet.common.db.engine import Database
from fastapi import FastAPI

JOBS_WRITE = (
    "outbox", "documents", "changes", "relay_status", "emitters", "rotations", "rotation_relays",
    "rotation_policies", "lock_networks",
)  # fmt: skip
"""Starts of the names of tables that change by themselves: what is planned, heard, published and driven. What a request
writes there has an event in the same transaction, and those of the actor are compared."""
WRITES = ("post", "put", "patch", "delete")


class Told(StrEnum):
    """What the event of a write must have besides its actor."""

    MADE = "after"
    CHANGED = "before and after"
    GONE = "before"
    HAPPENED = "the thing itself"
    """A step of something that has no state of its own to compare: the event's fields are all of it."""


@dataclass
class Audit:
    """One service. `actor` is who asks unless a call says otherwise."""

    app: FastAPI
    api: httpx.AsyncClient
    db: Database
    actor: str
    done: set[str] = field(default_factory=set)
    tried: set[str] = field(default_factory=set)

    def writes(self) -> set[str]:
        """Every operation that may write."""
        paths = self.app.openapi()["paths"].values()
        return {operations[verb]["operationId"] for operations in paths for verb in WRITES if verb in operations}

    async def write(
        self,
        operation: str,
        told: Told,
        /,
        *,
        actor: str | None = None,
        api: httpx.AsyncClient | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        **names: str,
    ) -> Any:
        """Send it, and see that an event tells of it: by whom, and what was before and after."""
        verb, path = self._place(operation)
        if operation in self.can_be_tried():
            await self._try(operation, verb, path.format(**names), body)
        newest = await self._newest()
        answer = await (api or self.api).request(
            verb, path.format(**names), json=body, content=content, headers={"If-Match": "*", **(headers or {})}
        )
        assert answer.status_code < 300, f"{operation}: {answer.text}"
        events = await self._since(newest, actor or self.actor)
        assert events, f"{operation} leaves no event of {actor or self.actor}"
        if told is not Told.HAPPENED:
            shapes = [(one.get("before") is not None, one.get("after") is not None) for one in events]
            wanted = (told is not Told.MADE, told is not Told.GONE)
            assert wanted in shapes, f"{operation} tells {events}, and not {told}"
        if told is Told.CHANGED:
            assert any(one.get("before") != one.get("after") for one in events), operation
        self.done.add(operation)
        return answer.json() if answer.content else None

    def can_be_tried(self) -> set[str]:
        """Every operation whose document has `dry_run`."""
        return {
            operation["operationId"]
            for operations in self.app.openapi()["paths"].values()
            for operation in operations.values()
            if any(one["name"] == "dry_run" for one in operation.get("parameters", ()))
        }

    async def _try(self, operation: str, verb: str, path: str, body: Any) -> None:
        before = await self._everything()
        key = {"Idempotency-Key": f"try-{operation}"} if verb == "POST" else {}
        answer = await self.api.request(
            verb, path, params={"dry_run": "true"}, json=body, headers={"If-Match": "*", **key}
        )
        assert answer.status_code < 300, f"{operation}: {answer.text}"
        assert answer.headers["Dry-Run"] == "true", operation
        after = await self._everything()
        assert after == before, f"{operation} is tried and changes {[it for it in after if after[it] != before[it]]}"
        self.tried.add(operation)

    async def _everything(self) -> dict[str, str]:
        """A digest of the rows of each table, but for those that jobs write while nobody asks anything."""
        async with self.db.raw() as sql:
            tables = await sql.fetch("SELECT tablename FROM pg_tables WHERE schemaname = $1", self.db.schema)
            kept = {}
            for table in sorted(row[0] for row in tables if not row[0].startswith(JOBS_WRITE)):
                digest = "md5(coalesce(string_agg(row::text, '|' ORDER BY row::text), ''))"
                kept[table] = await sql.fetchval(f"SELECT {digest} FROM {self.db.schema}.{table} AS row")
            mine = f"SELECT count(*)::text FROM {self.db.schema}.outbox WHERE actor = $1"
            return {**kept, "events": await sql.fetchval(mine, self.actor)}

    def _place(self, operation: str) -> tuple[str, str]:
        for path, operations in self.app.openapi()["paths"].items():
            for verb in WRITES:
                if operations.get(verb, {}).get("operationId") == operation:
                    return verb.upper(), path
        raise AssertionError(f"no operation {operation}")

    async def _newest(self) -> int:
        async with self.db.raw() as sql:
            return int(await sql.fetchval(f"SELECT coalesce(max(ordinal), 0) FROM {self.db.schema}.outbox"))

    async def _since(self, ordinal: int, actor: str) -> list[dict[str, Any]]:
        async with self.db.raw() as sql:
            rows = await sql.fetch(
                f"SELECT payload::text FROM {self.db.schema}.outbox WHERE ordinal > $1 AND actor = $2", ordinal, actor
            )
        return [json.loads(row[0]) for row in rows]
