"""A real client on real WireGuard over two real agents in network namespaces, with no control plane.

What this proves: when the relay in use is gone, the client keeps its address and its TCP connection; the relay that
takes over delivers to it; a relay that is alive hears that it was left by way of the other. What it leaves to the
routing tests: how the rest of the mesh learns of the /128; here its one neighbour is told by hand.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from altnet.common.contracts.client import AccessPoint, ClientConfig
from altnet.common.contracts.desired import AccessClient
from support.netns import NamespaceFactory
from support.overlay import Machine, Net, Relay, Talk, eventually, overlay
from support.relays import PLAN, PREFIX, client, document, key_of

pytestmark = [pytest.mark.netns, pytest.mark.slow]

HOME = PLAN.client_prefix(1)[500]
QUICKER = {
    "ALTNET_CLIENT_TIMERS__STANDBY_PROBE": "0.2",
    "ALTNET_CLIENT_TIMERS__SETTLE": "2",
    "ALTNET_CLIENT_TIMERS__REPOKE_MOST": "2",
}
"""Going back takes some 20 s in earnest."""


@pytest.fixture
def net(netns_factory: NamespaceFactory) -> Iterator[Net]:
    with overlay(netns_factory) as made:
        yield made


def point(name: str, slot: int, priority: int) -> AccessPoint:
    return AccessPoint(
        relay=f"rly_{name}",
        name=name,
        key=key_of(name, "access").public().base64,
        endpoints=(f"[fd00:98::{slot}]:51830",),
        address=str(PLAN.attach_address(slot)),
        priority=priority,
    )


def roamer(*, standby: bool) -> AccessClient:
    return msgspec.structs.replace(client("x", f"{HOME}/128"), standby=standby, movable=True)


@dataclass
class Connected:
    """Both relays up, the client attached to `a`, a TCP connection to `b`'s own address through it."""

    net: Net
    a: Relay
    b: Relay
    x: Machine
    config: Path


@pytest.fixture
def connected(net: Net) -> Connected:
    a, b, x = net.relay("a", 1), net.relay("b", 2), net.machine()
    a.write(net.paper, document("a", clients=(roamer(standby=False),)))
    b.write(net.paper, document("b", clients=(roamer(standby=True),)))
    for relay in (a, b):
        relay.run()
    for relay in (a, b):
        eventually(relay.settled, f"{relay.name} did not settle")
    config = ClientConfig(
        client="cli_x",
        name="x",
        network="test",
        prefix=str(PREFIX),
        addresses=(f"{HOME}/128",),
        routes=(str(PREFIX),),
        mtu=1280,
        keepalive=25,
        relays=(point("a", 1, 0), point("b", 2, 1)),
        movable=True,
    )
    file = net.directory / "config.json"
    file.write_bytes(msgspec.json.encode(config))
    x.run("--config", str(file), **QUICKER)
    eventually(lambda: x.uses("a"), "the client is not attached to a")
    eventually(lambda: x.reaches(b.address), "the client does not reach b through a")
    return Connected(net, a, b, x, file)


def test_a_client_keeps_its_address_and_its_tcp_connection_when_its_relay_loses_its_power(
    connected: Connected,
) -> None:
    a, b, x = connected.a, connected.b, connected.x
    talk = Talk(x, b, b.address)
    try:
        assert talk.goes_on()
        assert talk.local == str(HOME)
        assert not b.delivers(HOME), "not attached, not delivered"
        a.lose_power()
        took = eventually(lambda: x.uses("b"), "the client did not move to b")
        assert talk.goes_on()
        print(f"attached to b {took:.2f} s after the loss; longest silence of the connection {talk.longest:.2f} s")
        assert b.delivers(HOME)
        assert b.holds()
        view = x.view()
        assert view is not None
        assert (view.addresses, view.moves) == ((str(HOME),), 1)

        connected.net.attach(a.namespace, "a2", "fd00:98::1")
        a.run()
        eventually(lambda: x.uses("a"), "the client did not go back", within=60)
        assert talk.goes_on(), "the same connection, over the relay of before"
        eventually(lambda: not b.delivers(HOME), "b goes on delivering")
    finally:
        talk.end()


def test_a_relay_that_only_the_client_cannot_reach_hears_that_it_was_left(connected: Connected) -> None:
    a, b, x = connected.a, connected.b, connected.x
    talk = Talk(x, b, b.address)
    try:
        assert talk.goes_on()
        # As routing would: the home relay learns the /128 from b, and prefers it to its own /64.
        by_b = ["via", "fe80::2", "dev", "altl2", "src", a.address, "metric", "32"]
        a.namespace.run("ip", "-6", "route", "add", f"{HOME}/128", *by_b)
        x.namespace.run("nft", "add table inet cut")
        x.namespace.run("nft", "add chain inet cut c { type filter hook input priority 0; }")
        x.namespace.run("nft", "add rule inet cut c udp sport 51830 ip6 saddr fd00:98::1 drop")
        eventually(lambda: x.uses("b"), "the client did not move to b")
        assert talk.goes_on()
        eventually(lambda: not a.holds(), "a does not know that it was left")
        assert a.reaches(HOME), "the home relay itself reaches its client through b"
        assert x.reaches(PLAN.access_address(1)), "and the client reaches its gateway of before"
    finally:
        talk.end()


def test_agents_and_altnetd_may_be_killed_and_come_back_while_a_connection_goes_on(connected: Connected) -> None:
    a, b, x = connected.a, connected.b, connected.x
    talk = Talk(x, b, b.address)
    try:
        assert talk.goes_on()
        a.kill()
        assert talk.goes_on()
        time.sleep(1.0)
        view = x.view()
        assert view is not None
        assert view.moves == 0, "a relay without its agent carries packets all the same"
        x.kill()
        assert talk.goes_on()
        a.run()
        x.run("--config", str(connected.config))
        eventually(a.settled, "a did not come back")
        eventually(lambda: x.uses("a"), "the client did not come back")
        assert talk.goes_on()
        x.kill(signal.SIGTERM)
        assert talk.goes_on(), "the tunnel stays when altnetd goes"
    finally:
        talk.end()
    code, said = x.ask("down")
    assert (code, said) == (0, {"removed": ["altnet0"]})
    assert "altnet0" not in x.namespace.run("ip", "link")
    assert str(PREFIX) not in x.namespace.run("ip", "-6", "route")
    assert x.ask("status")[0] == 2, "it was started from a file, and has kept none"
