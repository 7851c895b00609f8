"""TCP through the mesh over one hop and over three, against plain wireguard-go tunnels over the same path.

Four relays in a chain, so that three tunnels lie between the first and the last. One iperf3 stream, the two in turn on
the same relays, several times; the median counts. Needs root.
"""

from __future__ import annotations

import json
import signal
import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Final

from altnet.host.lab import launcher
from altnet.host.lab.faults import Shape

from bench.report import Measure
from bench.routing import tunnels
from bench.routing.failures import stream
from bench.routing.place import TIMEOUT, Place, place
from bench.routing.systems import Altnet

RELAYS: Final = 4
SECONDS: Final = 4
"""Of one iperf3 run, after one more second in which TCP finds its window."""
REPETITIONS: Final = 3
HOPS: Final = {"throughput_1_hop": "relay2", "throughput_3_hops": "relay4"}
"""From relay1 to this one."""


def run(say: Callable[[str], None], *, scale: int = 1000) -> dict[str, Measure]:
    """`scale` is not used. Values are Mbit/s."""
    del scale
    with place(RELAYS, until="relays") as where:
        where.lab.shape(Shape.CHAIN)
        system = Altnet()
        system.start(where)
        _plain_chain(where)
        with stream(where, system, "relay1", "relay4"):
            pass  # it has converged
        return {name: _measure(where, system, name, relay, say) for name, relay in HOPS.items()}


def _plain_chain(where: Place) -> None:
    """Tunnels between neighbours, and static routes along the chain."""
    relays = where.relays
    tunnels.build(where, list(pairwise(relays)))
    for at, relay in enumerate(relays):
        lines = []
        for to, other in enumerate(relays):
            if to != at:
                neighbour = tunnels.number(relays[at + 1 if to > at else at - 1])
                route = f"{tunnels.address(other)}/128 dev wg{neighbour}"
                lines.append(f"route replace {route} via fe80::{neighbour:x} src {tunnels.address(relay)}")
        where.ip(relay, lines)


def _measure(where: Place, system: Altnet, name: str, relay: str, say: Callable[[str], None]) -> Measure:
    """The two in turn, so that both meet the same machine."""
    ends = {
        "altnet": (system.address(where, "relay1"), system.address(where, relay)),
        "wireguard-go": (tunnels.address("relay1"), tunnels.address(relay)),
    }
    rates: dict[str, list[float]] = {one: [] for one in ends}
    server = where.start(relay, f"iperf3-{name}", ["iperf3", "--server"])
    try:
        time.sleep(0.5)  # until it listens; it says so nowhere
        for _ in range(REPETITIONS):
            for one, (source, target) in ends.items():
                rates[one].append(_iperf(where, source, target))
    finally:
        launcher.end(server, sign=signal.SIGTERM, timeout=TIMEOUT)
    for one, found in rates.items():
        say(f"     {name}: {one}: {', '.join(f'{rate:.0f}' for rate in found)} Mbit/s")
    own, other = statistics.median(rates["altnet"]), statistics.median(rates["wireguard-go"])
    note = f"wireguard-go: {other:.0f} Mbit/s"
    return Measure(value=own, unit="Mbit/s", ratio=own / other, against="wireguard-go", note=note)


def _iperf(where: Place, source: str, target: str) -> float:
    argv = ["iperf3", "--client", target, "--bind", source, "--time", str(SECONDS), "--omit", "1", "--json"]
    said = json.loads(where.run("relay1", argv))
    return float(said["end"]["sum_received"]["bits_per_second"]) / 1e6
