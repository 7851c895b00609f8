"""How long many relays take until each reaches each other one again, and what they cost in memory.

The lab comes up with every relay reaching every other over the internet. Then all paths but those of a ring are cut,
silently and at once: most links die, and traffic has to find its way over up to half of the ring. Measured is the time
until a packet has crossed between every two relays. Needs root.

What limits the size on one host is told with it: route updates that relays received from each other, and the seconds of
processor that all programs of all relays took, both while the lab came up and from the cut on.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from altnet.host.lab import enrol, launcher, namespaces
from altnet.host.lab.faults import Shape
from support.reach import Reach

from bench.report import Measure
from bench.routing.place import Place, place
from bench.routing.systems import Altnet

SIZES: Final[dict[int, dict[str, float]]] = {
    8: {"bfd_interval": 0.05},
    16: {"bfd_interval": 0.1},
    32: {"bfd_interval": 1.0, "probe": 15, "heartbeat": 15},
}
"""Relays, and settings of their network. With the default BFD of 0.05 s a full mesh of 32 relays sends 20,000 packets a
second, which two cores do not encrypt; nor do they answer 1,000 probes a second beside it.

Of 32 nothing quicker than 1 s holds while the cut is gone round: see `PATIENCE`.
"""
PATIENCE: Final[dict[int, float]] = {32: 5.0}
"""BFD's interval while so many relays come up; before the cut it is as in `SIZES`.

In a full mesh each relay tells each other one each better way that it finds: 16 relays on two cores take some hundred
thousand route updates to come up, 32 some millions, and the cores are busy with them for minutes, mostly in
wireguard-go. Sessions were lost meanwhile with 0.3 s, and on a busy host with 1 s, and the mesh did not come to rest.
That fits a BIRD that does not get the processor for three BFD packets and takes living links for dead ones; its log has
no word on it, so it is a guess.
"""
MOST: Final = 120.0
"""Seconds for all pairs, the first time and after the cut."""
PROGRAMS: Final = ("bird", "wireguard-go")
AGENT: Final = "agent"
_UPDATES: Final = re.compile(r"^\s*Import updates:\s+(\d+)", re.MULTILINE)


def run(say: Callable[[str], None], *, scale: int = 1000) -> dict[str, Measure]:
    """`scale` is not used: the sizes are parts of the names."""
    del scale
    found: dict[str, Measure] = {}
    for size, settings in SIZES.items():
        found |= _measure(size, settings, say)
    return found


def _measure(size: int, settings: Mapping[str, float], say: Callable[[str], None]) -> dict[str, Measure]:
    began = time.monotonic()
    coming_up = {**settings, "bfd_interval": PATIENCE.get(size, settings["bfd_interval"])}
    with place(size, until="relays", settings=coming_up) as where:
        system = Altnet()
        system.start(where)
        reach = Reach({where.namespace(relay): system.address(where, relay) for relay in where.relays})
        try:
            cold = reach.complete(timeout=MOST)
            came = _spent(where)
            say(f"     {size} relays: up after {time.monotonic() - began:.0f} s, all pairs {_words(cold)}; {came}")
            if size in PATIENCE:
                _hurry(where, settings["bfd_interval"])
                came = _spent(where)
            cut = time.monotonic()
            where.lab.shape(Shape.RING)
            ring = reach.complete(timeout=MOST)
            if ring is not None:
                ring = time.monotonic() - cut  # with the time that the cutting took: part of it has passed by then
            after = _spent(where).since(came)
            say(f"     {size} relays: all pairs again {_words(ring)} since the first cut; {after}")
        finally:
            reach.close()
        memory = _memory(where)
    pairs = size * (size - 1)
    bfd = f"BFD {settings['bfd_interval']:g} s x 3"
    if size in PATIENCE:
        bfd += f" ({PATIENCE[size]:g} s while coming up)"
    note = f"{pairs} pairs from a full mesh to a ring, up to {size // 2} hops; {bfd}; {after}"
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


def _hurry(where: Place, interval: float) -> None:
    """Set BFD's interval in the running network, and wait until every relay has it."""
    control = where.lab.control_plane()
    enrol.open_api(control).change_settings(bfd_interval=interval)
    enrol.await_relays(where.relays, where.lab.files, control, timeout=MOST)


@dataclass(frozen=True, kw_only=True)
class _Spent:
    """What all relays together have done: route updates received, seconds of processor by program."""

    updates: int
    seconds: Mapping[str, float]

    def since(self, before: _Spent) -> _Spent:
        seconds = {name: value - before.seconds[name] for name, value in self.seconds.items()}
        return _Spent(updates=self.updates - before.updates, seconds=seconds)

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {value:.1f}" for name, value in self.seconds.items())
        return f"{self.updates:,} route updates, seconds of processor: {parts}"


def _spent(where: Place) -> _Spent:
    updates = 0
    for relay in where.relays:
        socket = str(where.disk(relay) / "state" / "bird" / "bird.ctl")
        said = where.run(relay, ["birdc", "-s", socket, "show", "protocols", "all"])
        updates += sum(int(number) for number in _UPDATES.findall(said))
    seconds = {AGENT: 0.0} | dict.fromkeys(PROGRAMS, 0.0)
    ticks = os.sysconf("SC_CLK_TCK")
    for pid in namespaces.processes([where.namespace(relay) for relay in where.relays]):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            name = launcher.command_name(pid)
        except OSError:
            continue  # it has just ended
        seconds[name if name in PROGRAMS else AGENT] += (int(fields[11]) + int(fields[12])) / ticks
    return _Spent(updates=updates, seconds=seconds)


def _memory(where: Place) -> dict[str, float]:
    """MiB a relay of each program, shared pages divided among those who share them (smaps_rollup)."""
    found = {AGENT: 0.0} | dict.fromkeys(PROGRAMS, 0.0)
    for pid in namespaces.processes([where.namespace(relay) for relay in where.relays]):
        name = launcher.command_name(pid)
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue  # it has just ended
        match = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
        if match:
            found[name if name in PROGRAMS else AGENT] += int(match[1]) / 1024 / len(where.relays)
    return found
