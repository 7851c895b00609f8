"""Two real hosts: what the seam configures carries packets, and what it reads is true."""

from __future__ import annotations

import asyncio
import time
from ipaddress import ip_address, ip_interface, ip_network

from altnet.common.kernel.links import Link, Neighbour, Route, Vxlan
from altnet.common.kernel.wireguard import Endpoint, PeerChange, PeerConfig, PeerState
from altnet.common.keys import PublicKey
from support.hosts import RealHost, until
from support.prober import Prober, Spot

MESH = "alt-mesh"


async def prepare(real: RealHost, number: int) -> PublicKey:
    """A device with the locator fd00::<number>, and the route to the other one."""
    with real.namespace.entered():
        key = await real.host.device(MESH)
        await real.host.links.set_link(MESH, mtu=1420)
        await real.host.links.put_address(MESH, ip_interface(f"fd00::{number}/128"))
        failures = await real.host.links.put_routes([Route(prefix=ip_network("fd00::/64"), device=MESH)])
    assert failures == ()
    return key.public()


async def add(real: RealHost, peer: PeerConfig) -> None:
    with real.namespace.entered():
        await real.host.wireguard.apply(MESH, [PeerChange.add(peer)])


async def read(real: RealHost, key: PublicKey) -> PeerState:
    with real.namespace.entered():
        return (await real.host.wireguard.read(MESH)).peers[key]


async def shook_hands(real: RealHost, key: PublicKey) -> bool:
    return (await read(real, key)).last_handshake is not None


async def join(one: RealHost, other: RealHost) -> tuple[PublicKey, PublicKey]:
    """Two peers with a session: the responder is configured first, without an endpoint."""
    mine, theirs = await prepare(one, 1), await prepare(other, 2)
    await add(other, PeerConfig(key=mine, allowed=(ip_network("fd00::1/128"),)))
    endpoint = Endpoint.parse("[2001:db8::2]:51820")
    await add(one, PeerConfig(key=theirs, allowed=(ip_network("fd00::2/128"),), endpoint=endpoint, keepalive=25))
    await until(lambda: shook_hands(other, mine))
    return mine, theirs


async def test_packets_cross_and_counters_endpoint_and_handshake_are_read(pair: tuple[RealHost, RealHost]) -> None:
    one, other = pair
    began = time.time()
    mine, _ = await join(one, other)
    before = await read(other, mine)
    with Prober(Spot(one.namespace, "fd00::1"), Spot(other.namespace, "fd00::2"), interval=0.01) as prober:
        await asyncio.sleep(0.3)
        verdict = await asyncio.to_thread(prober.finish)
    after = await read(other, mine)
    assert verdict.forward.sent > 10
    assert (verdict.lost, verdict.refused) == (0, 0)
    # The responder was given no endpoint: it learned it.
    assert after.endpoint == Endpoint.parse("[2001:db8::1]:51820")
    assert after.last_handshake is not None
    assert began - 1 <= after.last_handshake <= time.time() + 1
    assert after.rx > before.rx
    assert after.tx > before.tx


async def test_added_prefixes_keep_the_session_and_lose_nothing(pair: tuple[RealHost, RealHost]) -> None:
    one, other = pair
    mine, theirs = await join(one, other)
    before = await read(one, theirs)
    with Prober(Spot(one.namespace, "fd00::1"), Spot(other.namespace, "fd00::2"), interval=0.01) as prober:
        for number in range(20):
            more = [ip_network(f"fd00:{number + 1:x}::/64")]
            for real, key in ((one, theirs), (other, mine)):
                with real.namespace.entered():
                    await real.host.wireguard.apply(MESH, [PeerChange.update(key, allowed=more, keepalive=25)])
            await asyncio.sleep(0.01)
        verdict = await asyncio.to_thread(prober.finish)
    after = await read(one, theirs)
    assert (verdict.lost, verdict.refused) == (0, 0)
    assert after.last_handshake == before.last_handshake
    assert len(after.allowed) == 21


async def test_a_tunnel_with_permanent_neighbours_runs_over_the_session(pair: tuple[RealHost, RealHost]) -> None:
    await join(*pair)
    for number, real in enumerate(pair, start=1):
        far = 3 - number
        form = Vxlan(number=5, local=ip_address(f"fd00::{number}"), remote=ip_address(f"fd00::{far}"), port=51899)
        with real.namespace.entered():
            await real.host.links.put_link(Link(name="alt-link", form=form, mtu=1350, mac=f"02:a1:7e:00:00:0{number}"))
            await real.host.links.put_address("alt-link", ip_interface(f"fd77::{number}/64"))
            await real.host.links.put_neighbour(
                Neighbour(device="alt-link", address=ip_address(f"fd77::{far}"), mac=f"02:a1:7e:00:00:0{far}")
            )
    with Prober(
        Spot(pair[0].namespace, "fd77::1"), Spot(pair[1].namespace, "fd77::2"), interval=0.01, size=1200
    ) as prober:
        await asyncio.sleep(0.2)
        verdict = await asyncio.to_thread(prober.finish)
    assert verdict.forward.sent > 5
    assert verdict.lost == 0
