"""One control plane and 1,000 simulated relays: enrolment, changes, heartbeats, the return after a broker's death.

Real: `altnet up` as a process with its Postgres and nats-server, HTTP, a connection and a pass per agent, the agents'
own code. In memory: what is below the agents (WireGuard, links, routes, disk). All of it shares one machine's
processors, the simulated agents too, so an installation whose relays bring their own is faster.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg
from altnet.common.keys import PrivateKey
from support.control_plane import Change, ControlPlane, Operator
from support.swarm import Swarm

from bench.report import Measure

Say = Callable[[str], None]

AT_ONCE: Final = 16
"""Enrolments in flight: a rack that comes up."""
CHANGES_TO_ALL: Final = 30
CHANGES_OF_SETTINGS: Final = 10
CHANGES_TO_ONE: Final = 60
PAUSE: Final = 0.2
"""Seconds between two changes whose latency is measured: each is alone on its way."""
REST: Final = 3.0
"""Seconds of idleness measured beside a series of changes, so that heartbeats are not counted as its cost."""
BEAT_STEPS: Final = (500, 1000, 2000, 4000, 6000, 8000, 12000, 16000)
BEAT_SECONDS: Final = 4.0
WRITES_ALONE: Final = 400


@dataclass
class Series:
    """Some changes of one kind: how long until applied, as agents and as the registry say."""

    delays: list[float]
    """Of each change and agent, by the agents' clocks."""
    told: list[float]
    """Until the API said that a change is applied everywhere; one per change."""
    receipts_p99: list[float]
    missing: int
    answered: list[float]
    """Until the API had answered the write itself."""


async def run(say: Say, *, scale: int = 1000) -> dict[str, Measure]:
    small = [size for size in (10, 100) if size < scale]
    found: dict[str, Measure] = {}
    with tempfile.TemporaryDirectory(prefix="altnet-bench-") as folder:
        root = Path(folder)
        root.chmod(0o711)
        async with ControlPlane(root / "data") as control, Swarm(control, size=scale, log=root / "swarm") as swarm:
            say(f"   ready after {control.seconds:.1f} s")
            costs: dict[int, Cost] = {}
            done = 0
            for size in [*small, scale]:
                begin = time.monotonic()
                names = swarm.names[done:size]
                seconds, delays = await swarm.enrol(at_once=AT_ONCE, names=names)
                rate = len(names) / seconds
                p99 = _percentile(delays, 0.99)
                say(f"   {len(names)} relays enrolled in {seconds:.1f} s: {rate:.0f}/s, p99 {p99:.2f} s")
                if size == scale:
                    alone = await _rows_alone(control, AT_ONCE)
                    found["enrol_rate"] = Measure(
                        value=rate,
                        unit="1/s",
                        ratio=rate / alone,
                        against="asyncpg INSERT of one row per enrolment",
                        note=f"p99 {p99:.2f} s with {AT_ONCE} in flight",
                    )
                await swarm.start(names)
                await swarm.wait_settled(timeout=180)
                async with control.client() as operator:
                    await operator.applied(await _newest(control), timeout=60)
                say(
                    f"   {size} agents run and have settled, {time.monotonic() - begin:.1f} s after the first enrolment"
                )
                done = size
                costs[size] = await _one_relay(control, swarm, size)
                say(f"   one client's change, {size} agents: {costs[size]}")
            found |= _cost_measures(costs, scale)
            found |= await _all_relays(control, swarm, scale, say)
            found |= await _settings(control, swarm, scale, say)
            found |= await _heartbeats(control, swarm, say)
            found |= await _return(control, swarm, scale, say)
            faults = await swarm.faults()
            assert not faults, faults
    return found


# -- one change ----------------------------------------------------------------------------------------------------


async def _series(
    control: ControlPlane,
    swarm: Swarm,
    *,
    count: int,
    make: Callable[[Operator, int], Any],
    concerned: Callable[[Change, int], Sequence[str] | None],
    pause: float = PAUSE,
) -> Series:
    series = Series([], [], [], 0, [])
    async with control.client() as operator:
        for number in range(count):
            change: Change = await make(operator, number)
            receipt = await operator.applied(change.number, timeout=30)
            told = time.monotonic() - change.asked
            names = concerned(change, number)
            seen = await swarm.wait_seen(change.number, names, timeout=5)
            series.delays += [at - change.asked for at in seen.values() if at is not None]
            series.missing += sum(at is None for at in seen.values()) + receipt["behind_count"]
            series.told.append(told)
            series.answered.append(change.answered - change.asked)
            if receipt["p99"] is not None:
                series.receipts_p99.append(receipt["p99"])
            await asyncio.sleep(pause)
    return series


@dataclass(frozen=True)
class Cost:
    """Of one change that concerns one relay."""

    p50: float
    p99: float
    woken: float
    """Agents that had something to do."""
    cpu: float
    """Seconds of the control plane."""
    missing: int

    def __str__(self) -> str:
        return (
            f"p50 {self.p50 * 1000:.0f} ms, p99 {self.p99 * 1000:.0f} ms, {self.woken:.1f} agents had to act,"
            f" {self.cpu * 1000:.0f} ms of CPU in the control plane"
        )


async def _one_relay(control: ControlPlane, swarm: Swarm, size: int) -> Cost:
    """Clients made one after the other, each on one relay."""
    names = swarm.names[:size]

    async def make(operator: Operator, number: int) -> Change:
        name = names[number % size]
        key = PrivateKey.generate().public().base64
        body = {"name": f"client-{size}-{number}", "key": key, "relay": swarm.relays[name]}
        return await operator.send("POST", "/v1/clients", body)

    async with _metered(control, swarm) as idle:
        await asyncio.sleep(REST)
    async with _metered(control, swarm) as busy:
        series = await _series(
            control, swarm, count=CHANGES_TO_ONE, make=make, concerned=lambda _, n: [names[n % size]], pause=0.0
        )
    share = busy["seconds"] / idle["seconds"]
    return Cost(
        p50=statistics.median(series.delays),
        p99=_percentile(series.delays, 0.99),
        woken=busy["acknowledged"] / CHANGES_TO_ONE,
        cpu=max(0.0, busy["cpu"] - idle["cpu"] * share) / CHANGES_TO_ONE,
        missing=series.missing,
    )


def _cost_measures(costs: Mapping[int, Cost], scale: int) -> dict[str, Measure]:
    large, first = costs[scale], min(costs)
    small = costs[first]
    against = f"the same among {first} agents" if first != scale else ""

    def measure(value: float, unit: str, other: float, note: str = "") -> Measure:
        ratio = value / other if against and other > 0 else None
        return Measure(value=value, unit=unit, ratio=ratio, against=against if ratio is not None else "", note=note)

    sizes = ", ".join(f"{size}: {one.woken:.1f}" for size, one in costs.items())
    cpus = ", ".join(f"{size}: {one.cpu * 1000:.0f} ms" for size, one in costs.items())
    return {
        f"change_one_relay_{scale}_agents": measure(
            large.p99, "s", small.p99, f"p99 of a change that concerns one relay; p50 {large.p50 * 1000:.0f} ms"
        ),
        f"change_one_relay_woken_{scale}_agents": measure(large.woken, "agents", small.woken, sizes),
        f"change_one_relay_cpu_{scale}_agents": measure(large.cpu, "s", small.cpu, cpus),
    }


async def _all_relays(control: ControlPlane, swarm: Swarm, scale: int, say: Say) -> dict[str, Measure]:
    """A relay's endpoint, which every relay of the network is told."""

    async def make(operator: Operator, number: int) -> Change:
        relay = swarm.relays[swarm.names[number * 7 % scale]]
        return await operator.patch(f"/v1/relays/{relay}", {"endpoints": [f"203.0.113.{number + 1}:51820"]})

    series = await _series(control, swarm, count=CHANGES_TO_ALL, make=make, concerned=lambda *_: None)
    p50, p99 = statistics.median(series.delays), _percentile(series.delays, 0.99)
    told = statistics.median(series.told)
    say(
        f"   a relay's endpoint, told to {scale}: p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms, missing"
        f" {series.missing}; the API answers after {statistics.median(series.answered) * 1000:.0f} ms, says applied"
        f" on all after {told * 1000:.0f} ms (median), receipts' own p99 {max(series.receipts_p99):.3f} s at worst"
    )
    samples = f"{CHANGES_TO_ALL} changes, one endpoint each"
    return {
        f"change_p50_{scale}_agents": Measure(value=p50, unit="s", note=samples),
        f"change_p99_{scale}_agents": Measure(
            value=p99,
            unit="s",
            note=f"all applied by receipts after {told:.2f} s (median), {max(series.told):.2f} s (max)",
        ),
        f"change_missing_{scale}_agents": Measure(
            value=series.missing, unit="agents", note=f"of {CHANGES_TO_ALL * scale:,} receipts"
        ),
    }


async def _settings(control: ControlPlane, swarm: Swarm, scale: int, say: Say) -> dict[str, Measure]:
    """The network's MTU: not only told to everybody, but work for everybody on all of their links."""
    async with control.client() as operator:
        network = (await operator.all_of("/v1/networks"))[0]["id"]

    async def make(operator: Operator, number: int) -> Change:
        return await operator.patch(f"/v1/networks/{network}", {"settings": {"mtu": 1400 - number}})

    series = await _series(control, swarm, count=CHANGES_OF_SETTINGS, make=make, concerned=lambda *_: None)
    p50, p99 = statistics.median(series.delays), _percentile(series.delays, 0.99)
    say(f"   the network's MTU, on {scale}: p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms, missing {series.missing}")
    note = f"every link of every relay is set anew; p50 {p50:.2f} s, missing {series.missing}"
    return {f"change_settings_p99_{scale}_agents": Measure(value=p99, unit="s", note=note)}


# -- heartbeats ----------------------------------------------------------------------------------------------------


async def _heartbeats(control: ControlPlane, swarm: Swarm, say: Say) -> dict[str, Measure]:
    """The highest rate of which all arrive in time, and what it costs the database."""
    held = writes = cpu = postgres = 0.0
    own = 0.2 * swarm.size
    for rate in BEAT_STEPS:
        before, transactions = await _heard(control), await _transactions(control)
        used = control.cpu()
        sent, reached = await swarm.beat(rate=rate, seconds=BEAT_SECONDS)
        lag = await _wait_heard(control, before + sent, timeout=5)
        now = control.cpu()
        seconds = sent / reached
        tps = (await _transactions(control) - transactions) / seconds
        say(
            f"   {reached:,.0f} heartbeats/s beside {own:.0f}/s of the agents' own: the last heard {lag:.2f} s late,"
            f" {tps:.1f} database transactions/s"
        )
        if lag > 1.0 or reached < rate * 0.9:
            break
        held, writes = reached + own, tps
        cpu = sum(now.values()) / seconds - sum(used.values()) / seconds
        postgres = (now.get("postgres", 0.0) - used.get("postgres", 0.0)) / seconds
    alone = await _updates_alone(control)
    return {
        "heartbeats_held": Measure(
            value=held,
            unit="1/s",
            ratio=held / alone,
            against="one UPDATE per heartbeat (asyncpg, one connection)",
            note=f"{cpu:.2f} processors of the control plane, of which Postgres {postgres:.2f}",
        ),
        "heartbeats_database_writes": Measure(
            value=writes, unit="1/s", ratio=writes / held if held else None, against="heartbeats", note="transactions"
        ),
    }


async def _heard(control: ControlPlane) -> float:
    return await _metric(control, "heard")


async def _metric(control: ControlPlane, what: str) -> float:
    """The reports that the registry has heard so far."""
    async with control.client() as operator:
        text = (await operator.http.get("/metrics")).text
    found = [line for line in text.splitlines() if line.startswith("altnet_registry_") and what in line.split("{")[0]]
    assert found, f"no metric of {what}"
    return sum(float(line.rpartition(" ")[2]) for line in found if "_created" not in line)


async def _wait_heard(control: ControlPlane, until: float, *, timeout: float) -> float:
    begin = time.monotonic()
    while await _heard(control) < until:
        if time.monotonic() - begin > timeout:
            return float("inf")
        await asyncio.sleep(0.1)
    return time.monotonic() - begin


async def _transactions(control: ControlPlane) -> int:
    connection = await control.sql()
    try:
        return int(await connection.fetchval("SELECT xact_commit FROM pg_stat_database WHERE datname = 'altnet'"))
    finally:
        await connection.close()


# -- the broker dies -----------------------------------------------------------------------------------------------


async def _return(control: ControlPlane, swarm: Swarm, scale: int, say: Say) -> dict[str, Measure]:
    """nats-server is killed; time until every agent has told what it holds, after fetching what is wanted."""
    times = []
    for _ in range(3):
        await swarm.wait_settled(timeout=60)
        killed = time.monotonic()
        assert control.kill_nats()
        deadline = killed + 60
        while True:
            said = await swarm.last_said()
            behind = [relay for relay, at in said.items() if at is None or at < killed]
            if not behind:
                break
            assert time.monotonic() < deadline, f"{len(behind)} agents are not back: {control.log()}"
            await asyncio.sleep(0.1)
        times.append(max(at for at in said.values() if at is not None) - killed)
        say(f"   nats-server killed: {scale} agents back and acknowledged after {times[-1]:.2f} s")
        await asyncio.sleep(1)
    note = f"of 3 kills, worst {max(times):.2f} s; from kill -9 to the last acknowledgement"
    return {f"resync_{scale}_agents": Measure(value=statistics.median(times), unit="s", note=note)}


# -- what is measured beside ---------------------------------------------------------------------------------------


async def _rows_alone(control: ControlPlane, at_once: int) -> float:
    """Rows a second on the same Postgres without anything around them: one INSERT, one transaction per enrolment."""
    return await _statements(
        control,
        "CREATE TABLE IF NOT EXISTS bench_rows (id text PRIMARY KEY, name text, key text, nkey text, slot integer)",
        "INSERT INTO bench_rows VALUES ($1, $1, $1, $1, 1)",
        at_once,
    )


async def _updates_alone(control: ControlPlane) -> float:
    """UPDATEs a second on the same Postgres, each in its own transaction."""
    return await _statements(
        control,
        "CREATE TABLE IF NOT EXISTS bench_seen (id integer PRIMARY KEY, seen timestamptz, said text)",
        "INSERT INTO bench_seen VALUES (1, now(), $1) ON CONFLICT (id) DO UPDATE SET seen = now(), said = $1",
        1,
    )


async def _statements(control: ControlPlane, make: str, statement: str, connections: int) -> float:
    opened: list[asyncpg.Connection] = [await control.sql() for _ in range(connections)]
    try:
        await opened[0].execute(make)

        async def work(number: int, connection: asyncpg.Connection) -> None:
            for count in range(WRITES_ALONE // connections):
                await connection.execute(statement, f"{number}-{count}-{time.monotonic()}")

        begin = time.monotonic()
        await asyncio.gather(*(work(number, connection) for number, connection in enumerate(opened)))
        return (WRITES_ALONE // connections) * connections / (time.monotonic() - begin)
    finally:
        for connection in opened:
            await connection.close()


@contextlib.asynccontextmanager
async def _metered(control: ControlPlane, swarm: Swarm) -> AsyncIterator[dict[str, float]]:
    """Seconds, CPU seconds of the control plane, and acknowledgements that agents sent."""
    found: dict[str, float] = {}
    cpu, cost, begin = sum(control.cpu().values()), await swarm.cost(), time.monotonic()
    yield found
    after = await swarm.cost()
    found["seconds"] = time.monotonic() - begin
    found["cpu"] = sum(control.cpu().values()) - cpu
    found["acknowledged"] = after["acknowledged"] - cost["acknowledged"]


async def _newest(control: ControlPlane) -> int:
    async with control.client() as operator:
        answer = await operator.http.get("/v1/changes", params={"limit": 1})
        assert answer.is_success, answer.text
        return int(answer.json()["items"][0]["number"])


def _percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
