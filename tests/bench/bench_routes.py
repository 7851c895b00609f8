"""Ten thousand IPv6 routes into the kernel: ours against `ip -batch`.

In a namespace of its own, the two in turn, from an empty table each time. Ours is measured from the routes as values
to the last acknowledgement; ip(8) as the process that it is, from its text file.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from ipaddress import IPv6Network, ip_address
from pathlib import Path
from typing import Final

from altnet.common.kernel.host import HostLinks
from altnet.common.kernel.links import ROUTE_METRIC, ROUTE_PROTOCOL, Link, Route, Vxlan
from support.netns import namespaces, sweep

from bench.report import Measure

COUNT: Final = 10_000
REPETITIONS: Final = 7
DEVICE: Final = "alt-bench"
VIA: Final = ip_address("fe80::2")


async def run(say: Callable[[str], None], *, scale: int = 1000) -> dict[str, Measure]:
    """Needs root. `scale` is not used: the size is part of the name."""
    del scale
    sweep()
    with namespaces() as make, make("routes").entered(), tempfile.TemporaryDirectory() as scratch:
        links = HostLinks(prefix="alt")
        try:
            say(f"   {COUNT:,} routes, {REPETITIONS} times each")
            return {"routes_10000": await _measure(links, Path(scratch) / "routes")}
        finally:
            await links.close()


async def _measure(links: HostLinks, file: Path) -> Measure:
    tunnel = Vxlan(number=1, local=ip_address("fd00::1"), remote=ip_address("fd00::2"))
    await links.put_link(Link(name=DEVICE, form=tunnel))
    routes = [
        Route(prefix=IPv6Network((0xFD42_0000_0000_0000 + number << 64, 64)), device=DEVICE, via=VIA)
        for number in range(COUNT)
    ]
    _write(file, routes)
    ours, theirs = [], []
    for _ in range(REPETITIONS):
        begin = time.perf_counter()
        failures = await links.put_routes(routes)
        ours.append(time.perf_counter() - begin)
        if failures:
            raise RuntimeError(f"{len(failures)} routes were refused: {failures[0].reason}")
        await _empty(links, routes)
        begin = time.perf_counter()
        await asyncio.to_thread(subprocess.run, ["ip", "-6", "-batch", file], check=True, timeout=60)
        theirs.append(time.perf_counter() - begin)
        await _empty(links, routes)
    own, other = statistics.median(ours), statistics.median(theirs)
    return Measure(value=own, unit="s", ratio=own / other, against="ip -batch", note=f"ip -batch: {other:.3g} s")


async def _empty(links: HostLinks, routes: Sequence[Route]) -> None:
    found = await links.read_routes()
    if set(found) != set(routes):
        raise RuntimeError(f"{len(found)} routes are there, not the {COUNT} that were put")
    await links.delete_routes(routes)
    if await links.read_routes():
        raise RuntimeError("routes were left behind")


def _write(file: Path, routes: Sequence[Route]) -> None:
    file.write_text("".join(_line(route) for route in routes))


def _line(route: Route) -> str:
    return f"route replace {route.prefix} via {route.via} dev {DEVICE} proto {ROUTE_PROTOCOL} metric {ROUTE_METRIC}\n"
