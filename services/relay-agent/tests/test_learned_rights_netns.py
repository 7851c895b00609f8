"""What a relay may bring in from outside is a right of its own: two real BIRDs, as rendered, on one link, no agents."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_network
from pathlib import Path

import pytest
from altnet.common.errors import Unavailable
from altnet.relay_agent.bird import state
from altnet.relay_agent.bird.config import render
from altnet.relay_agent.bird.control import connect
from altnet.relay_agent.bird.pieces import LearnedRule, RoutingHost, RoutingRelay, relay_key
from altnet.relay_agent.bird.state import KnownRoute
from support.netns import Namespace, NamespaceFactory
from support.relays import PREFIX

pytestmark = pytest.mark.netns

TABLE = 42186


@contextmanager
def running(
    namespace: Namespace, directory: Path, slot: int, relays: dict[tuple[str, str], RoutingRelay]
) -> Iterator[Path]:
    """A relay's BIRD; its control socket."""
    host = RoutingHost(
        slot=slot, network=PREFIX, links="altl", table=TABLE, bfd_interval=0.3, bfd_multiplier=5, restart_time=10
    )
    config, control = directory / f"{slot}.conf", directory / f"{slot}.ctl"
    config.write_text(render(host, relays=dict(relays)).text)
    files = ["-c", str(config), "-s", str(control), "-P", str(directory / f"{slot}.pid")]
    process = subprocess.Popen([*namespace.command, "bird", "-f", *files])
    try:
        yield control
    finally:
        process.terminate()
        process.wait(10)


async def routes(control: Path) -> dict[str, KnownRoute]:
    """What came over the link."""
    async with await connect(control, deadline=5) as asking:
        found = [await asking.ask(f"show route table {table} all") for table in ("master6", "master4")]
    return {one.prefix: one for lines in found for one in state.routes(lines) if one.origin == 1}


def until(control: Path, prefix: str) -> dict[str, KnownRoute]:
    deadline = time.monotonic() + 20
    while True:
        try:
            found = asyncio.run(routes(control))
        except Unavailable:
            found = {}
        if prefix in found:
            return found
        assert time.monotonic() < deadline, f"{prefix} does not come: {sorted(found)}"
        time.sleep(0.05)


def test_a_right_to_bring_in_routes_does_not_reach_into_the_sites_of_others(
    netns_factory: NamespaceFactory, tmp_path: Path
) -> None:
    one, other = netns_factory("edge-one"), netns_factory("edge-other")
    one.run("ip", "link", "add", "altl2", "type", "veth", "peer", "name", "altl1", "netns", other.name)
    for namespace, device, slot in ((one, "altl2", 1), (other, "altl1", 2)):
        namespace.run("ip", "addr", "add", f"fe80::{slot}/64", "dev", device, "nodad")
        namespace.run("ip", "link", "set", device, "up")
        namespace.run("ip", "addr", "add", f"fd42:1337:beef::{slot}/128", "dev", "lo", "nodad")
    told = {
        "fd77:1::/48": True,
        "fd77:5::/48": True,  # its own site
        "fd77:5:0:7::/64": True,  # and a part of it, from outside
        "fd77:88::/48": False,  # the site of a third relay
        "fd77:88:0:7::/64": False,
        "fd99::/48": False,
        "fd42:1337:beef:1003::/64": False,
        "10.7.1.0/24": True,
        "10.7.88.0/24": False,
    }
    # As a relay would that was taken over: it originates whatever it likes.
    for prefix in told:
        one.run("ip", "route", "add", "blackhole", prefix, "table", str(TABLE), "proto", "186")
    one.run("ip", "-6", "route", "add", "blackhole", "fd42:1337:beef::1/128", "table", str(TABLE), "proto", "186")
    wide = (
        LearnedRule(prefix=ip_network("fd77::/16"), shortest=16, longest=64),
        LearnedRule(prefix=ip_network("10.7.0.0/16"), shortest=16, longest=24),
    )
    relays = {
        relay_key("one"): RoutingRelay(slot=1, session=True, origins=(ip_network("fd77:5::/48"),), learned=wide),
        relay_key("third"): RoutingRelay(
            slot=3, session=False, origins=(ip_network("fd77:88::/48"), ip_network("10.7.88.0/24"))
        ),
    }
    with ExitStack() as stack:
        stack.enter_context(running(one, tmp_path, 1, {relay_key("other"): RoutingRelay(slot=2, session=True)}))
        control = stack.enter_context(running(other, tmp_path, 2, relays))
        found = until(control, "fd42:1337:beef::1/128")
        found = until(control, "10.7.1.0/24")

    assert {prefix: prefix in found for prefix in told} == told
    assert "altnet_outside" in found["fd77:1::/48"].attributes
    assert "altnet_outside" not in found["fd77:5::/48"].attributes
