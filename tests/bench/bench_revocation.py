"""Relays are put out of a mesh of `--scale` simulated agents: from the request until the last one has dropped them.

Each agent is a real one with a connection and a pass of its own; below it is a host in memory. In a mesh that is too
large to be full only a relay's neighbours have it as a peer, but everybody has to forget it: counted is the last agent
of all that says so, and the last peer that is removed besides.

The alternative is the bus alone: the same bytes stored and republished over the same connections, with nobody behind
them that decides, plans or applies. It is a floor and no system, so the ratio says what all the rest costs.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from altnet.common.bus import desired, rights, subjects
from altnet.common.bus.connect import Bus, BusSettings
from altnet.common.bus.identity import BusIdentity
from altnet.common.contracts.desired import MeshDelta, pack
from support.control_plane import ControlPlane, Operator
from support.swarm import Swarm

from bench.report import Measure

REVOKED: Final = 20
PAUSE: Final = 0.3
"""Seconds between two: each is alone on its way."""
WITHIN: Final = 30.0
KEY: Final = "bench"


async def run(say: Callable[[str], None], *, scale: int = 1000) -> dict[str, Measure]:
    with tempfile.TemporaryDirectory(prefix="altnet-bench-") as folder:
        root = Path(folder)
        root.chmod(0o711)
        async with ControlPlane(root / "data") as control, Swarm(control, size=scale, log=root / "swarm") as swarm:
            took, _ = await swarm.enrol(talk=True)
            await swarm.start()
            await swarm.wait_settled(timeout=240)
            say(f"   {scale} agents enrolled in {took:.0f} s and settled")
            say(f"   at rest {await _until_at_rest(swarm):.0f} s later")
            count = min(REVOKED, scale // 3)
            async with control.client() as operator:
                found = await _revocations(operator, swarm, count, say)
            alone = await _bus_alone(control, swarm, swarm.names[count:], count)
            faults = await swarm.faults()
            assert not faults, faults
    last = [max(one) for one in found.told]
    worst, p50 = _percentile(last, 0.99), statistics.median(last)
    peers = [delay for one in found.peers for delay in one]
    say(f"   last agent in turn: {', '.join(f'{one:.2f}' for one in last)} s")
    say(f"   last agent p50 {p50 * 1000:.0f} ms, p99 {worst * 1000:.0f} ms; bus alone {alone * 1000:.0f} ms")
    note = (
        f"last of {scale} agents, {count} relays put out, p50 {p50 * 1000:.0f} ms; peers removed {len(peers)}, the last"
        f" after {max(peers) * 1000:.0f} ms"
    )
    against = "the bus alone (the same bytes republished to the same connections)"
    return {
        f"revocation_{scale}_agents_p99": Measure(
            value=worst, unit="s", ratio=worst / alone, against=against, note=note
        )
    }


async def _until_at_rest(swarm: Swarm) -> float:
    """A thousand relays that came within seconds have much to say to keyd and to each other: wait until the agents
    together use less than half a processor, at most a minute. Seconds that it took."""
    began, before = time.monotonic(), (await swarm.cost())["cpu"]
    while time.monotonic() - began < 60:
        await asyncio.sleep(1)
        now = (await swarm.cost())["cpu"]
        if now - before < 0.5:
            break
        before = now
    return time.monotonic() - began


class _Found:
    def __init__(self) -> None:
        self.told: list[list[float]] = []
        """Of each revocation: how long until each agent said that it has applied it."""
        self.peers: list[list[float]] = []
        """Until each peer was removed."""


async def _revocations(operator: Operator, swarm: Swarm, count: int, say: Callable[[str], None]) -> _Found:
    found = _Found()
    for name in swarm.names[:count]:
        relay = swarm.relays[name]
        answer = await operator.http.get(f"/v1/relays/{relay}")
        key = answer.json()["key"]
        change = await operator.send("DELETE", f"/v1/relays/{relay}", **{"If-Match": "*"})
        others = [other for other in swarm.names if other not in swarm.names[: len(found.told) + 1]]
        seen = await swarm.wait_seen(change.number, others, timeout=WITHIN)
        missing = [one for one, at in seen.items() if at is None]
        assert not missing, f"{len(missing)} agents never heard that {name} is out"
        removed = {one: at for one, at in (await swarm.removed(key)).items() if one != relay}
        assert removed, f"{name} was nobody's peer"
        assert None not in removed.values(), f"{name} is still a peer"
        found.told.append([at - change.asked for at in seen.values() if at is not None])
        found.peers.append([at - change.asked for at in removed.values() if at is not None])
        await asyncio.sleep(PAUSE)
    say(f"   {count} relays put out")
    return found


async def _bus_alone(control: ControlPlane, swarm: Swarm, names: Sequence[str], count: int) -> float:
    """How long until the last connection has heard the same bytes: p99 of as many times."""
    async with control.client() as operator:
        network = (await operator.all_of("/v1/networks"))[0]["id"]
    identity = BusIdentity.load(control.data / "secrets" / "bus")
    settings = BusSettings(servers=(f"nats://127.0.0.1:{control.bus_port}",))
    data = pack(MeshDelta(network=network, prev=1, generation=2, removed=(swarm.relays[names[0]],)))
    wanted = {swarm.relays[name] for name in names}
    times: list[float] = []
    await swarm.listen(subjects.desired(subjects.MESH_BUCKET, f"{network}.{KEY}"))
    async with Bus(settings, lambda: identity.credentials(rights.REGISTRY), name="bench") as bus:
        await bus.wait_connected(WITHIN)
        for _ in range(count):
            began = time.monotonic()
            await desired.put(bus, subjects.MESH_BUCKET, f"{network}.{KEY}", data)
            times.append(await _last(swarm, wanted, began) - began)
            await asyncio.sleep(PAUSE)
    return _percentile(times, 0.99)


async def _last(swarm: Swarm, wanted: set[str], since: float) -> float:
    async with asyncio.timeout(WITHIN):
        while True:
            heard: dict[str, Any] = await swarm.heard()
            at = [heard.get(relay) or 0.0 for relay in wanted]
            if min(at) >= since:
                return max(at)
            await asyncio.sleep(0.05)


def _percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
