"""Writers and killers at the same time, and what must hold when both have stopped.

Writers keep histories: a write counts as accepted when the API said so, and then its effect must be in Postgres and on
every relay concerned. A write whose answer got lost is asked again, with the same Idempotency-Key or against the
version that is there now, until an answer comes. Killers use `kill -9` and delete files, at random, from a seed.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
from altnet.common.keys import PrivateKey

from support.control_plane import ControlPlane, Operator
from support.swarm import Swarm
from support.truth import read_truth

PATIENCE: Final = 120.0
"""Seconds in which a write must get an answer: longer than any outage here."""
AGAIN: Final = 0.2
WRITERS: Final = 4
MOST_AT_ONCE: Final = 50
"""Agents that fall together: all of them share one machine's processors, and each works through the whole mesh."""
CALM: Final = (0.3, 2.0)
"""Seconds between two blows, at random."""
MOST_FALLING: Final = 3
"""Groups that fall or come back at a time: more than the machine can bring back would only wait in line."""
DOWN: Final = (0.0, 1.5)
"""Seconds for which a crashed agent stays away."""


@dataclass
class History:
    """What writers were told, and what was broken meanwhile."""

    changes: list[int] = field(default_factory=list)
    """Numbers of accepted changes."""
    clients: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Client to key and relay, as last accepted."""
    removed: set[str] = field(default_factory=set)
    endpoints: dict[str, str] = field(default_factory=dict)
    """Relay to its endpoint, as last accepted."""
    blows: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    """Requests that had to be sent again."""


@dataclass
class Verdict:
    """How it ended. All lists empty, and `equal` as large as the swarm, is as it must be."""

    accepted: int
    lost: list[str]
    """Accepted writes whose effect is missing, or which not everybody concerned has applied."""
    unequal: list[str]
    doubles: list[str]
    equal: int
    rest: float
    """Seconds from the last blow until all was equal."""
    history: History

    def problems(self) -> list[str]:
        return [*self.lost, *self.unequal, *self.doubles]


async def storm(
    control: ControlPlane,
    swarm: Swarm,
    *,
    seconds: float,
    seed: int,
    rest: float,
    say: Callable[[str], None] = lambda _text: None,
) -> Verdict:
    """Write and break for `seconds`, then give everything up to `rest` seconds to come to rest, and judge."""
    history, dice = History(), random.Random(seed)
    stop = asyncio.Event()
    token = control.token
    async with asyncio.TaskGroup() as group:
        for number in range(WRITERS):
            group.create_task(_write(control, swarm, history, random.Random(f"{seed} {number}"), stop, number, token))
        await _break(control, swarm, history, dice, seconds, say)
        stop.set()
    calm = time.monotonic()
    if not control.running:
        await control.start()
    await swarm.start()
    say(f"   {len(history.changes)} changes accepted, {history.repeated} requests repeated, {dict(history.blows)}")
    return await _judge(control, swarm, history, since=calm, rest=rest)


# -- writers -------------------------------------------------------------------------------------------------------


async def _write(
    control: ControlPlane, swarm: Swarm, history: History, dice: random.Random, stop: asyncio.Event, me: int, token: str
) -> None:
    """One writer. It alone touches its clients and its share of the relays, so that it knows what to expect."""
    relays = [relay for at, relay in enumerate(sorted(swarm.relays.values())) if at % WRITERS == me]
    mine: list[str] = []
    headers = {"Authorization": f"Bearer {token}"}
    count = 0
    async with httpx.AsyncClient(base_url=control.url, headers=headers, timeout=10, trust_env=False) as http:
        asker = _Asker(Operator(http), history)
        while not stop.is_set():
            count += 1
            kind = dice.choices(("make", "change", "remove", "endpoint"), weights=(4, 3, 1, 3))[0]
            key = PrivateKey.generate(dice.randbytes).public().base64
            relay = dice.choice(relays)
            if kind == "endpoint":
                endpoint = f"203.0.113.{dice.randrange(1, 250)}:{10000 + count}"
                await asker.patch(f"/v1/relays/{relay}", {"endpoints": [endpoint]})
                history.endpoints[relay] = endpoint
            elif kind == "make" or not mine:
                body = {"name": f"chaos-{me}-{count}", "key": key, "relay": relay}
                client = await asker.create("/v1/clients", body, key=f"chaos-{me}-{count}-{dice.getrandbits(64)}")
                history.clients[client] = (key, relay)
                mine.append(client)
            elif kind == "change":
                client = dice.choice(mine)
                await asker.patch(f"/v1/clients/{client}", {"key": key, "relay": relay})
                history.clients[client] = (key, relay)
            else:
                client = mine.pop(dice.randrange(len(mine)))
                await asker.remove(f"/v1/clients/{client}")
                del history.clients[client]
                history.removed.add(client)
            await asyncio.sleep(dice.uniform(0.0, 0.1))


class _Asker:
    """Asks until there is an answer."""

    def __init__(self, operator: Operator, history: History) -> None:
        self._http = operator.http
        self._history = history

    async def create(self, path: str, body: dict[str, Any], *, key: str) -> str:
        """Make a thing; the id of the one that was made, by whichever of the repeated requests."""
        answer = await self._ask("POST", path, body, {"Idempotency-Key": key})
        if answer.status_code == 409 and answer.json()["code"] == "name_taken":
            # The process died between its commit and keeping the answer: the write is there, its answer is not.
            found = await self._ask("GET", f"{path}?name={body['name']}")
            return str(found.json()["items"][0]["id"])
        assert answer.status_code == 201, f"POST {path}: {answer.status_code} {answer.text}"
        self._note(answer)
        return str(answer.json()["id"])

    async def patch(self, path: str, body: dict[str, Any]) -> None:
        while True:
            found = await self._ask("GET", path)
            assert found.status_code == 200, f"GET {path}: {found.status_code} {found.text}"
            answer = await self._ask("PATCH", path, body, {"If-Match": found.headers["ETag"]}, once=True)
            if answer.status_code == 200:
                self._note(answer)
                return
            # Stale, or no answer: it may have been taken, and the same values again are no change.
            assert answer.status_code in (0, 409, 412, 503), f"PATCH {path}: {answer.status_code} {answer.text}"
            self._history.repeated += 1
            await asyncio.sleep(AGAIN)

    async def remove(self, path: str) -> None:
        while True:
            found = await self._ask("GET", path)
            if found.status_code == 404:
                return
            answer = await self._ask("DELETE", path, None, {"If-Match": found.headers["ETag"]}, once=True)
            if answer.status_code == 200:
                self._note(answer)
                return
            assert answer.status_code in (0, 404, 412, 503), f"DELETE {path}: {answer.status_code} {answer.text}"
            self._history.repeated += 1
            await asyncio.sleep(AGAIN)

    async def _ask(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        *,
        once: bool = False,
    ) -> httpx.Response:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                answer = await self._http.request(method, path, json=body, headers=headers)
            except httpx.HTTPError:
                answer = httpx.Response(0)
            retry = answer.status_code in (0, 503) or answer.json().get("code") == "idempotency_in_flight"
            if once or not retry:
                return answer
            assert time.monotonic() < deadline, f"no answer to {method} {path} in {PATIENCE} s: {answer.status_code}"
            self._history.repeated += 1
            await asyncio.sleep(AGAIN)

    def _note(self, answer: httpx.Response) -> None:
        change = answer.headers.get("Altnet-Change")
        if change is not None:
            self._history.changes.append(int(change))


# -- killers -------------------------------------------------------------------------------------------------------


async def _break(
    control: ControlPlane,
    swarm: Swarm,
    history: History,
    dice: random.Random,
    seconds: float,
    say: Callable[[str], None],
) -> None:
    """Blow after blow. Each kind comes before any comes twice; then they come at random."""
    end = time.monotonic() + seconds
    kinds = ["nats", "agents", "postgres", "jetstream", "reboot", "up"]
    first = dice.sample(kinds, len(kinds))
    told = time.monotonic()
    async with asyncio.TaskGroup() as group:
        returning: set[asyncio.Task[None]] = set()
        while time.monotonic() < end:
            await asyncio.sleep(dice.uniform(*CALM))
            blow = first.pop() if first else dice.choices(kinds, weights=(4, 6, 3, 2, 3, 1))[0]
            if blow in ("agents", "reboot") and len(returning) >= MOST_FALLING:
                continue
            history.blows[blow] += 1
            if blow == "nats":
                control.kill_nats()
            elif blow == "postgres":
                control.kill_postgres()
            elif blow == "jetstream":
                control.delete_jetstream()
                if dice.random() < 0.5:
                    control.kill_nats()
            elif blow == "up":
                await control.kill()
                await asyncio.sleep(dice.uniform(0, 0.5))
                await control.start(timeout=120)
            else:
                fallen = min(MOST_AT_ONCE, max(1, swarm.size // dice.choice((3, 10))))
                names = dice.sample(swarm.names, fallen)
                fell = group.create_task(_fell(swarm, names, reboot=blow == "reboot", down=dice.uniform(*DOWN)))
                returning.add(fell)
                fell.add_done_callback(returning.discard)
            if time.monotonic() - told > 30:
                told = time.monotonic()
                say(f"   {end - told:.0f} s left, {len(history.changes)} changes accepted, {dict(history.blows)}")


async def _fell(swarm: Swarm, names: list[str], *, reboot: bool, down: float) -> None:
    await swarm.crash(names, reboot=reboot)
    await asyncio.sleep(down)
    await swarm.start(names)


# -- the verdict ---------------------------------------------------------------------------------------------------


async def _judge(control: ControlPlane, swarm: Swarm, history: History, *, since: float, rest: float) -> Verdict:
    lost, unequal = ["nobody looked"], ["nobody looked"]
    ended = since
    while lost or unequal:
        truth = await read_truth(control)
        unequal = truth.differing(await swarm.digests())
        lost = await _lost(control, history)
        ended = time.monotonic()
        if ended - since > rest:
            break
        if lost or unequal:
            await asyncio.sleep(0.25)
    lost += await swarm.faults()
    return Verdict(
        accepted=len(history.changes),
        lost=lost,
        unequal=unequal,
        doubles=await _doubles(control),
        equal=swarm.size - len(unequal),
        rest=ended - since,
        history=history,
    )


async def _lost(control: ControlPlane, history: History) -> list[str]:
    """Accepted writes without effect, by what Postgres holds."""
    sql = await control.sql()
    try:
        clients = {
            row["id"]: (row["key"], row["relay_id"])
            for row in await sql.fetch("SELECT id, key, relay_id FROM registry.clients")
        }
        endpoints = {
            row["id"]: row["endpoints"] for row in await sql.fetch("SELECT id, endpoints FROM registry.relays")
        }
        waiting = await sql.fetch(
            "SELECT number, planned_at, summary FROM registry.changes WHERE completed_at IS NULL ORDER BY number"
        )
        known = {row["number"] for row in await sql.fetch("SELECT number FROM registry.changes")}
        unpublished = await sql.fetchval("SELECT count(*) FROM registry.outbox WHERE published_at IS NULL")
    finally:
        await sql.close()
    lost = [
        f"client {client} is {clients.get(client)}"
        for client, as_told in history.clients.items()
        if clients.get(client) != as_told
    ]
    lost += [f"client {client} is not removed" for client in history.removed if client in clients]
    lost += [
        f"relay {relay} has {endpoints.get(relay)}"
        for relay, endpoint in history.endpoints.items()
        if endpoints.get(relay) != [endpoint]
    ]
    lost += [f"change {number} is unknown" for number in history.changes if number not in known]
    lost += [f"change {row['number']} ({row['summary']}) is not applied" for row in waiting]
    if unpublished:
        lost.append(f"{unpublished} events are not published")
    return lost


async def _doubles(control: ControlPlane) -> list[str]:
    """What must be there once and is there twice."""
    questions = {
        "slot": "SELECT slot::text AS it FROM registry.relays WHERE revoked_at IS NULL GROUP BY network_id, slot"
        " HAVING count(*) > 1",
        "key": "SELECT key AS it FROM (SELECT key FROM registry.relays WHERE revoked_at IS NULL"
        " UNION ALL SELECT key FROM registry.clients) AS keys GROUP BY key HAVING count(*) > 1",
        "address": "SELECT address::text AS it FROM registry.clients GROUP BY address HAVING count(*) > 1",
        "allocation": "SELECT prefix::text AS it FROM registry.allocations WHERE released_at IS NULL"
        " GROUP BY network_id, prefix HAVING count(*) > 1",
        "event": "SELECT id::text AS it FROM registry.outbox GROUP BY id HAVING count(*) > 1",
    }
    sql = await control.sql()
    try:
        return [
            f"{what} {row['it']} is there twice"
            for what, question in questions.items()
            for row in await sql.fetch(question)
        ]
    finally:
        await sql.close()
