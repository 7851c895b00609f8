"""What works without Postgres, without NATS, and with a NATS that lost everything; and how the rest comes back."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from pathlib import Path

import httpx
import pytest
from altnet.common.keys import PrivateKey
from support.control_plane import COMMAND, ControlPlane, Operator, environment, held_down
from support.events import ledger_ids, stored_ids
from support.swarm import Swarm
from support.truth import read_truth

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

BACK = 20.0
"""Seconds in which everything must be as before."""


def client_body(name: str) -> dict[str, str]:
    return {"name": name, "key": PrivateKey.generate().public().base64}


def swarm_of(control: ControlPlane, root: Path, prefix: str) -> Swarm:
    return Swarm(control, size=3, workers=1, log=root / prefix, prefix=prefix)


async def until_equal(control: ControlPlane, swarm: Swarm) -> None:
    """Wait until every relay holds what Postgres says."""
    deadline = time.monotonic() + BACK
    while differing := (await read_truth(control)).differing(await swarm.digests()):
        assert time.monotonic() < deadline, (differing, control.log())
        await asyncio.sleep(0.2)


async def until_stored(control: ControlPlane) -> None:
    """Wait until the stream has every event of the ledger, each once."""
    deadline = time.monotonic() + BACK
    while (stored := await stored_ids(control)) != (written := await ledger_ids(control)):
        if sorted(stored) == sorted(written):
            return
        assert time.monotonic() < deadline, (len(stored), len(written), control.log())
        await asyncio.sleep(0.2)


async def test_without_postgres_the_api_answers_503_and_is_back_by_itself(control: ControlPlane) -> None:
    async with control.client() as operator:
        async with held_down(control.postgres_pid):
            answer = await until(operator, 503)
            ready = await operator.http.get("/readyz")
            alive = await operator.http.get("/livez")
            refused = await operator.http.post("/v1/clients", json=client_body("never"))
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["retry-after"].isdigit()
        assert (ready.status_code, alive.status_code, refused.status_code) == (503, 200, 503)
        assert answer.json()["code"] in ("database_unavailable", "database_busy")
        await until(operator, 200)
        assert (await operator.http.get("/v1/clients", params={"name": "never"})).json()["items"] == []


async def test_without_nats_writes_are_accepted_and_reach_relays_and_the_stream_later(
    control: ControlPlane, root: Path
) -> None:
    async with (
        Swarm(control, size=3, workers=1, log=root / "dark", prefix="dark") as swarm,
        control.client() as operator,
    ):
        await swarm.enrol()
        await swarm.start()
        await swarm.wait_settled()
        async with held_down(control.nats_pid):
            changes = [
                await operator.send("POST", "/v1/clients", client_body(f"client-{number}") | {"relay": relay})
                for number, relay in enumerate(swarm.relays.values())
            ]
            early = await operator.applied(changes[-1].number, timeout=0.5)
        assert early["applied"] == 0
        receipts = [await operator.applied(change.number, timeout=BACK) for change in changes]
        assert [(one["complete"], one["applied"]) for one in receipts] == [(True, 1)] * 3
        await until_equal(control, swarm)
    await until_stored(control)


async def test_every_event_of_the_ledger_is_in_the_stream_once(control: ControlPlane) -> None:
    async with control.client() as operator:
        await asyncio.gather(
            *(operator.send("POST", "/v1/clients", client_body(f"event-{number}")) for number in range(20))
        )
    await until_stored(control)
    stored = await stored_ids(control)
    assert len(set(stored)) == len(stored)


async def test_a_nats_that_lost_everything_is_filled_again_from_postgres(control: ControlPlane, root: Path) -> None:
    async with (
        Swarm(control, size=3, workers=1, log=root / "wiped", prefix="wiped") as swarm,
        control.client() as operator,
    ):
        await swarm.enrol()
        await swarm.start()
        await swarm.wait_settled()
        control.delete_jetstream()
        control.kill_nats()
        change = await operator.send(
            "POST", "/v1/clients", client_body("client-wiped") | {"relay": next(iter(swarm.relays.values()))}
        )
        assert (await operator.applied(change.number, timeout=BACK))["complete"]
        await swarm.crash(swarm.names, reboot=True)
        await swarm.start()
        await until_equal(control, swarm)
    replayed = await run("admin", "replay", "--since", "24h", "--data-dir", str(control.data))
    assert replayed.returncode == 0, replayed.stderr
    await until_stored(control)
    looked = await run("admin", "security-gaps", "--json", "--data-dir", str(control.data))
    found = json.loads(looked.stdout)
    assert (looked.returncode, found["missing"]) == (0, 0), looked.stderr
    assert found["emitters"]["registry"]["last"] > found["emitters"]["registry"]["first"]
    sql = await control.sql()
    try:  # as if two events had been taken out: their numbers were given
        await sql.execute("UPDATE registry.emitters SET number = number + 2 WHERE emitter = 'registry'")
    finally:
        await sql.close()
    looked = await run("admin", "security-gaps", "--json", "--data-dir", str(control.data))
    assert (looked.returncode, json.loads(looked.stdout)["missing"]) == (1, 2), looked.stderr


async def test_a_second_control_plane_on_the_same_folder_is_refused(control: ControlPlane) -> None:
    second = await run("up", "--data-dir", str(control.data), "--listen", "127.0.0.1:0", "--json")
    assert second.returncode == 6
    assert "another `altnet up` runs" in second.stderr
    async with control.client() as operator:
        assert (await operator.http.get("/readyz")).status_code == 200


async def test_secrets_lie_in_files_of_the_owner_alone(control: ControlPlane) -> None:
    private = [control.data / "owner.token", control.data / "ready.json", control.data / "postgres.password"]
    private += [path for path in (control.data / "secrets").rglob("*") if path.is_file()]
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in private} == {path.name: "0o600" for path in private}
    folders = [control.data / "secrets", control.data / "nats"]
    assert {oct(path.stat().st_mode & 0o777) for path in folders} == {"0o700"}


async def until(operator: Operator, status: int) -> httpx.Response:
    """Ask for the networks until they are answered so."""
    deadline = time.monotonic() + BACK
    while True:
        answer = await operator.http.get("/v1/networks")
        if answer.status_code == status:
            return answer
        assert time.monotonic() < deadline, f"{answer.status_code} {answer.text}"
        await asyncio.sleep(0.1)


async def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The `altnet` command, to its end."""
    return await asyncio.to_thread(
        subprocess.run,
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
        check=False,
    )
