"""How long many relays take until each reaches each other one again, and what they cost in memory.

The lab comes up with every relay reaching every other over the internet. Then all paths but those of a ring are cut,
silently and at once: most links die, and traffic has to find its way over up to half of the ring. Measured is the time
until a packet has crossed between every two relays. Needs root.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from altnet.host.lab import launcher, namespaces
from altnet.host.lab.faults import Shape
from support.reach import Reach

from bench.report import Measure
from bench.routing.place import Place, place
from bench.routing.systems import Altnet

SIZES: Final[dict[int, dict[str, float]]] = {
    8: {"bfd_interval": 0.05},
    16: {"bfd_interval": 0.1},
    32: {"bfd_interval": 0.3, "probe": 5, "heartbeat": 15},
}
"""Relays, and settings of their network. With the default BFD of 0.05 s a full mesh of 32 relays sends 20,000 packets a
second, which two cores do not encrypt; nor do they answer 1,000 probes a second beside it."""
MOST: Final = 120.0
"""Seconds for all pairs, the first time and after the cut."""
PROGRAMS: Final = ("bird", "wireguard-go")


def run(say: Callable[[str], None], *, scale: int = 1000) -> dict[str, Measure]:
    """`scale` is not used: the sizes are parts of the names."""
    del scale
    found: dict[str, Measure] = {}
    for size, settings in SIZES.items():
        found |= _measure(size, settings, say)
    return found


def _measure(size: int, settings: Mapping[str, float], say: Callable[[str], None]) -> dict[str, Measure]:
    began = time.monotonic()
    with place(size, until="relays", settings=settings) as where:
        system = Altnet()
        system.start(where)
        reach = Reach({where.namespace(relay): system.address(where, relay) for relay in where.relays})
        try:
            cold = reach.complete(timeout=MOST)
            say(f"     {size} relays: up after {time.monotonic() - began:.0f} s, all pairs {_words(cold)}")
            cut = time.monotonic()
            where.lab.shape(Shape.RING)
            ring = reach.complete(timeout=MOST)
            if ring is not None:
                ring = time.monotonic() - cut  # with the time that the cutting took: part of it has passed by then
            say(f"     {size} relays: all pairs again {_words(ring)} since the first cut")
        finally:
            reach.close()
        memory = _memory(where)
    pairs = size * (size - 1)
    note = f"{pairs} pairs from a full mesh to a ring, up to {size // 2} hops; BFD {settings['bfd_interval']:g} s x 3"
    if ring is None:
        note += f"; NOT within {MOST:g} s"
    whole = sum(memory.values())
    parts = ", ".join(f"{name} {value:.1f}" for name, value in memory.items())
    return {
        f"converge_{size}_relays": Measure(value=MOST if ring is None else ring, unit="s", note=note),
        f"memory_{size}_relays": Measure(value=whole, unit="MiB/relay", note=f"proportional set size: {parts}"),
    }


def _words(seconds: float | None) -> str:
    return f"not within {MOST:g} s" if seconds is None else f"after {seconds:.2f} s"


def _memory(where: Place) -> dict[str, float]:
    """MiB a relay of each program, shared pages divided among those who share them (smaps_rollup)."""
    found = {"agent": 0.0} | dict.fromkeys(PROGRAMS, 0.0)
    for pid in namespaces.processes([where.namespace(relay) for relay in where.relays]):
        name = launcher.command_name(pid)
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue  # it has just ended
        match = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
        if match:
            found[name if name in PROGRAMS else "agent"] += int(match[1]) / 1024 / len(where.relays)
    return found
