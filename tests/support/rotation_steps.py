"""Where a rotation is, by the rows of keyd and of the registry: waited for, and held where it would pass by.

For tests that break something at a step. Two steps are between two commits: `keep` is noted and not ordered yet, `kept`
is ordered and not noted yet; a lock that an administrator's session has keeps a rotation there.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import asyncpg

from support.control_plane import ControlPlane, Operator
from support.swarm import Swarm
from support.truth import read_truth

LOOK: Final = 0.004
"""Seconds between two looks: a step of a small swarm may be over after some twenty milliseconds."""
STEPS: Final = {
    "asked": "r.phase = 'prepare' AND EXISTS (SELECT FROM keyd.rotation_relays p WHERE p.rotation = r.id"
    " AND p.stage = 'asked')",
    "canary": "r.phase = 'connect' AND r.wave = 0",
    "wave": "r.phase = 'connect' AND r.wave > 0",
    "drain": "r.phase = 'drain'",
    "keep": "r.phase = 'keep'",
    "kept": "r.phase = 'keep' AND NOT EXISTS (SELECT FROM registry.relays WHERE {next} IS NOT NULL)",
}
NEXT: Final = {"mesh": "next_epoch", "access": "access_next_epoch"}
"""By kind of keys: the registry's column of a key that a relay changes to."""


Session = Callable[[], Awaitable[asyncpg.Connection]]


class Steps:
    """Of one rotation. `sql` opens a session of an administrator."""

    def __init__(self, sql: Session, id: str, *, kind: str = "mesh", patience: float = 40.0) -> None:
        self._sql = sql
        self._id = id
        self._kind = kind
        self._patience = patience

    @contextlib.asynccontextmanager
    async def at(self, step: str) -> AsyncIterator[None]:
        """Once the rotation is there. The two last steps are held until the end of the context, or of Postgres."""
        async with contextlib.AsyncExitStack() as stack:
            looks = await stack.enter_async_context(_session(self._sql))
            if step not in ("keep", "kept"):
                await self._until(looks, STEPS[step])
                yield
                return
            await self._until(looks, STEPS["drain"])
            registry = await stack.enter_async_context(_session(self._sql))
            await registry.execute("BEGIN; LOCK TABLE registry.relays IN EXCLUSIVE MODE")
            await self._until(looks, STEPS["keep"])
            if step == "kept":
                keyd = await stack.enter_async_context(_session(self._sql))
                await keyd.execute("BEGIN; SELECT FROM keyd.emitters FOR UPDATE")
                await registry.execute("COMMIT")
                await self._until(looks, STEPS["kept"])
            yield

    async def _until(self, sql: asyncpg.Connection, condition: str) -> None:
        where = condition.format(next=NEXT[self._kind])
        question = f"SELECT r.ended_at IS NOT NULL AS over, ({where}) AS there FROM keyd.rotations r WHERE r.id = $1"
        async with asyncio.timeout(self._patience):
            while True:
                row = await sql.fetchrow(question, self._id)
                assert row is not None
                if row["there"]:
                    return
                assert not row["over"], f"it was over before anybody saw: {condition}"
                await asyncio.sleep(LOOK)


@contextlib.asynccontextmanager
async def _session(sql: Session) -> AsyncIterator[asyncpg.Connection]:
    connection = await sql()
    try:
        yield connection
    finally:
        with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            connection.terminate()  # an open transaction, and its locks, go with it; Postgres may be gone already


async def begin(operator: Operator, *, kind: str = "mesh", **plan: Any) -> str:
    """Start a rotation; its id."""
    answer = await operator.http.post("/v1/rotations", json={"kind": kind, "reason": "drill", "plan": plan})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def ended(operator: Operator, id: str) -> dict[str, Any]:
    """The rotation, if it is over; an API that does not answer is asked again by whoever waits."""
    answer = await operator.http.get(f"/v1/rotations/{id}")
    if answer.status_code == 503:
        return {}
    assert answer.status_code == 200, answer.text
    found = dict(answer.json())
    return found if found["ended_at"] is not None else {}


def leftovers(held: dict[str, dict[str, Any]], *, prefix: str = "alt") -> list[str]:
    """What a rotation that is over should not have left on hosts; empty if all is clean.

    `held`: what `Swarm.keys` found. Each relay has one mesh key, one device with it, and there the others' keys and no
    more; and one access key, which all its access devices have.
    """
    keys = {relay: one["mesh"] for relay, one in held.items()}
    found = []
    for relay, one in held.items():
        access = {name: it["key"] for name, it in one["devices"].items() if name.startswith(f"{prefix}a")}
        if one["next_access"]:
            found.append(f"{relay} holds two access keys")
        if set(access.values()) != {one["access"]}:
            found.append(f"{relay} has the access devices {access}, its key is {one['access']}")
        devices = {name: it for name, it in one["devices"].items() if name.startswith(f"{prefix}m")}
        if one["next_mesh"]:
            found.append(f"{relay} holds two mesh keys")
        if [it["key"] for it in devices.values()] != [one["mesh"]]:
            found.append(f"{relay} has the mesh devices {devices}, its key is {one['mesh']}")
        others = sorted(key for other, key in keys.items() if other != relay)
        for name, it in devices.items():
            if it["peers"] != others:
                found.append(f"{relay}: {name} has the peers {it['peers']}, not {others}")
    return found


async def unlike(control: ControlPlane, operator: Operator, swarm: Swarm) -> list[str]:
    """What is not as a rotation that is over should leave it; empty if all is equal, clean and in sync."""
    held = await swarm.digests()
    found = leftovers(await swarm.keys())
    if len({one["mesh"][1] for one in held.values() if one.get("running")}) > 1:
        found.append("digests of the mesh differ")
    answer = await operator.http.get("/v1/mesh", params={"limit": 500})
    if answer.status_code != 200:
        return [*found, f"GET /v1/mesh: {answer.status_code}"]
    found += [f"{one['name']} is not in sync: {one['reasons']}" for one in answer.json()["items"] if not one["in_sync"]]
    if found:  # it takes longest to plan everything anew
        return found
    sql = await control.sql()
    try:
        two = await sql.fetch("SELECT name FROM registry.relays WHERE num_nonnulls(next_epoch, access_next_epoch) > 0")
    finally:
        await sql.close()
    found = (await read_truth(control)).differing(held)
    return [*found, *(f"the registry knows two keys of {row['name']}" for row in two)]
