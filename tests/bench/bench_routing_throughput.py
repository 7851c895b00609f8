"""TCP through the mesh over one hop and over three, against plain wireguard-go tunnels over the same path.

Four relays in a chain, so that three tunnels lie between the first and the last. One iperf3 stream, in turns: each
system is measured several times and the median counts. Needs root.
"""

from __future__ import annotations

import contextlib
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
from bench.routing.failures import CONVERGED, stream
from bench.routing.place import TIMEOUT, Place, place, until
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
    plain: dict[str, list[float]] = {name: [] for name in HOPS}
    ours: dict[str, list[float]] = {name: [] for name in HOPS}
    with place(RELAYS) as where:
        _plain_chain(where)
        _measure(where, tunnels.address, plain, say, "wireguard-go")
    with place(RELAYS, until="relays") as where:
        where.lab.shape(Shape.CHAIN)
        system = Altnet()
        system.start(where)
        with stream(where, system, "relay1", "relay4"):
            pass  # converged
        _measure(where, lambda relay: system.address(where, relay), ours, say, "altnet")
    found = {}
    for name in HOPS:
        own, other = statistics.median(ours[name]), statistics.median(plain[name])
        note = f"wireguard-go: {other:.0f} Mbit/s"
        found[name] = Measure(value=own, unit="Mbit/s", ratio=own / other, against="wireguard-go", note=note)
    return found


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


def _measure(
    where: Place,
    address: Callable[[str], str],
    found: dict[str, list[float]],
    say: Callable[[str], None],
    system: str,
) -> None:
    for name, relay in HOPS.items():
        until(
            lambda relay=relay: (
                " 0% packet loss"
                in where.run(  # type: ignore[misc]
                    "relay1", ["ping", "-6", "-n", "-c", "2", "-i", "0.2", "-W", "1", address(relay)], check=False
                )
            ),
            timeout=CONVERGED,
            what=f"{system}: relay1 reaches {relay}",
        )
        server = where.start(relay, "iperf3", ["iperf3", "--server", "--bind", address(relay)])
        try:
            time.sleep(0.5)  # until it listens; it says so nowhere
            for _ in range(REPETITIONS):
                found[name].append(_iperf(where, address("relay1"), address(relay)))
        finally:
            with contextlib.suppress(ProcessLookupError):
                launcher.end(server, sign=signal.SIGTERM, timeout=TIMEOUT)
        say(f"     {system}: {name}: {', '.join(f'{rate:.0f}' for rate in found[name])} Mbit/s")


def _iperf(where: Place, source: str, target: str) -> float:
    argv = ["iperf3", "--client", target, "--bind", source, "--time", str(SECONDS), "--omit", "1", "--json"]
    said = json.loads(where.run("relay1", argv))
    return float(said["end"]["sum_received"]["bits_per_second"]) / 1e6
