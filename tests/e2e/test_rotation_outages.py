"""Everything but the agents dies at every step of a rotation of relays' keys, and it ends as if nothing had been.

One swarm for all blows: it rotates again and again, one blow each.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio
from altnet.common.keys import PrivateKey
from e2e.test_outages import run
from integration.registry.running import eventually
from support.control_plane import ControlPlane, Operator, held_down
from support.rotation_steps import STEPS, Steps, begin, ended, unlike
from support.swarm import Swarm

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.asyncio(loop_scope="module"),
]

RELAYS = 7
PLAN = {"canary": 1, "wave": 3, "drain": 0.2, "prepare_timeout": 30, "wave_timeout": 30}
BACK = 40.0
"""Seconds in which everything must be as before."""
SHORT = {**PLAN, "wave_timeout": 8}
"""Seconds: enough for agents to find the way back, which takes them five at most."""
LONG = 9.0
"""Seconds: an outage that is longer than a wave has time, by the plan above."""

Blow = Callable[[ControlPlane], Awaitable[None]]


async def up_dies(control: ControlPlane) -> None:
    await control.kill()
    await control.start()


async def postgres_dies(control: ControlPlane) -> None:
    assert control.kill_postgres()


async def nats_dies(control: ControlPlane) -> None:
    assert control.kill_nats()


async def nats_loses_everything(control: ControlPlane) -> None:
    control.delete_jetstream()
    assert control.kill_nats()


async def up_is_away(control: ControlPlane) -> None:
    await control.kill()
    await asyncio.sleep(LONG)
    await control.start()


async def postgres_is_away(control: ControlPlane) -> None:
    async with held_down(control.postgres_pid):
        await asyncio.sleep(LONG)


async def nats_is_away(control: ControlPlane) -> None:
    async with held_down(control.nats_pid):
        await asyncio.sleep(LONG)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def swarm(control: ControlPlane, root: Path) -> AsyncIterator[Swarm]:
    """Relays that are proven; they go through all tests."""
    async with Swarm(control, size=RELAYS, workers=1, log=root / "swarm") as swarm:
        await swarm.enrol(talk=True)
        await swarm.start()
        await swarm.wait_settled()
        async with control.client() as operator:

            async def proven() -> bool:
                found = await operator.all_of("/v1/identities")
                return sum(one["state"] == "active" for one in found) == RELAYS

            await eventually(proven, timeout=BACK)
        yield swarm
        assert await swarm.faults() == []


def now_and_then(*values: Any) -> Any:
    """A case of the long runs (`make soak`): each of these takes seconds of a processor."""
    return pytest.param(*values, marks=pytest.mark.soak)


BLOWS = (up_dies, postgres_dies, nats_loses_everything)


@pytest.mark.parametrize(
    ("step", "blow"),
    [
        *((step, BLOWS[number % len(BLOWS)]) for number, step in enumerate(STEPS)),
        ("canary", nats_dies),
        *(
            now_and_then(step, blow)
            for number, step in enumerate(STEPS)
            for blow in BLOWS
            if blow is not BLOWS[number % len(BLOWS)]
        ),
        now_and_then("keep", nats_dies),
    ],
)
async def test_a_rotation_is_done_whatever_of_the_control_plane_is_killed_at_whatever_step(
    control: ControlPlane, swarm: Swarm, step: str, blow: Blow
) -> None:
    before = {one["mesh"] for one in (await swarm.keys()).values()}
    done = await struck(control, swarm, step, blow, PLAN)
    assert (done["phase"], left(done)) == ("done", []), f"{done} {control.log()}"
    assert not before & {one["mesh"] for one in (await swarm.keys()).values()}


@pytest.mark.parametrize("blow", [nats_is_away, now_and_then(postgres_is_away), now_and_then(up_is_away)])
async def test_an_outage_longer_than_relays_have_time_is_not_held_against_them(
    control: ControlPlane, swarm: Swarm, blow: Blow
) -> None:
    done = await struck(control, swarm, "canary", blow, SHORT)
    assert (done["phase"], left(done)) == ("done", []), f"{done} {control.log()}"


@pytest.mark.parametrize("step", ["drain", now_and_then("canary"), now_and_then("kept")])
async def test_a_rotation_of_access_keys_is_done_too_and_a_client_with_a_file_gets_in_by_the_new_key(
    control: ControlPlane, swarm: Swarm, step: str
) -> None:
    relay = min(swarm.relays.values())
    async with control.client() as operator:
        body = {"name": f"phone-{step}", "relay": relay, "key": PrivateKey.generate().public().base64}
        answer = await operator.http.post("/v1/clients", json=body)
        assert answer.status_code == 201, answer.text
    client, before = answer.json(), await swarm.keys()
    done = await struck(control, swarm, step, up_dies, {**PLAN, "grace": 2}, kind="access")
    assert (done["phase"], left(done)) == ("done", []), f"{done} {control.log()}"
    now = await swarm.keys()
    assert not {one["access"] for one in before.values()} & {one["access"] for one in now.values()}
    assert {one["mesh"] for one in before.values()} == {one["mesh"] for one in now.values()}
    letting_in = [it["key"] for it in now[relay]["devices"].values() if client["key"] in it["peers"]]
    assert letting_in == [now[relay]["access"]]


async def test_events_of_rotations_came_once_each_and_none_is_missing(control: ControlPlane, swarm: Swarm) -> None:
    sql = await control.sql()
    try:
        rotations = await sql.fetch("SELECT id, phase FROM keyd.rotations")
        kinds = await sql.fetch(
            "SELECT kind, payload->>'rotation' AS id FROM keyd.outbox"
            " WHERE kind IN ('keyd.rotation.started', 'keyd.rotation.completed', 'keyd.rotation.rolled_back')"
        )
    finally:
        await sql.close()
    end = {"done": "keyd.rotation.completed", "rolled_back": "keyd.rotation.rolled_back"}
    wanted = [(row["id"], kind) for row in rotations for kind in ("keyd.rotation.started", end[row["phase"]])]
    assert sorted(wanted) == sorted((row["id"], row["kind"]) for row in kinds)
    looked = await run("admin", "security-gaps", "--json", "--data-dir", str(control.data))
    assert (looked.returncode, json.loads(looked.stdout)["missing"]) == (0, 0), looked.stderr


async def struck(
    control: ControlPlane, swarm: Swarm, step: str, blow: Blow, plan: dict[str, Any], *, kind: str = "mesh"
) -> dict[str, Any]:
    """A rotation with a blow at a step, to its end, once all is alike and clean again."""
    async with control.client() as operator:
        id = await begin(operator, kind=kind, **plan)
        with contextlib.suppress(OSError, asyncpg.PostgresError):
            async with Steps(control.sql, id, kind=kind).at(step):
                await blow(control)
        deadline = time.monotonic() + BACK
        while not (done := await over(operator, id)):
            assert time.monotonic() < deadline, f"it does not end: {control.log()}"
            await asyncio.sleep(0.1)
        while found := await unlike(control, operator, swarm):
            assert time.monotonic() < deadline, f"{found}; {done}; {control.log()}"
            await asyncio.sleep(0.2)
    return done


async def over(operator: Operator, id: str) -> dict[str, Any]:
    with contextlib.suppress(httpx.HTTPError):
        return await ended(operator, id)
    return {}


def left(done: dict[str, Any]) -> list[str]:
    return [part["left"] for part in done["relays"] if part["left"]]
