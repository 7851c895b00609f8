"""The host in a dictionary: what only it can do, which is to fail when told to and to be looked into."""

from __future__ import annotations

import pytest
from altnet.common.errors import Unavailable
from altnet.common.kernel.memory import MemoryHost
from altnet.common.kernel.wireguard import Endpoint, PeerChange, PeerConfig, wireguard_unavailable
from altnet.common.keys import PublicKey

KEYS = tuple(PublicKey(bytes([number]) * 32) for number in range(1, 6))
ADDS = tuple(PeerChange.add(PeerConfig(key=key)) for key in KEYS)


@pytest.fixture
async def host() -> MemoryHost:
    host = MemoryHost(prefix="alt")
    await host.wireguard.create("alt-mesh")
    return host


async def test_a_verb_fails_as_often_as_told_and_then_works(host: MemoryHost) -> None:
    host.fail_next("read", wireguard_unavailable("a test"), times=2)
    for _ in range(2):
        with pytest.raises(Unavailable, match="a test"):
            await host.wireguard.read("alt-mesh")
    assert (await host.wireguard.read("alt-mesh")).peers == {}


async def test_an_apply_can_fail_halfway_and_is_not_undone(host: MemoryHost) -> None:
    host.fail_next("apply", wireguard_unavailable("a test"), after=3)
    with pytest.raises(Unavailable):
        await host.wireguard.apply("alt-mesh", ADDS)
    assert tuple((await host.wireguard.read("alt-mesh")).peers) == KEYS[:3]


async def test_faults_of_one_verb_leave_the_others_alone(host: MemoryHost) -> None:
    host.fail_next("put_routes", wireguard_unavailable("a test"))
    await host.wireguard.apply("alt-mesh", ADDS)
    with pytest.raises(Unavailable):
        await host.links.put_routes([])
    assert await host.links.put_routes([]) == ()


async def test_a_fault_of_no_verb_is_refused(host: MemoryHost) -> None:
    with pytest.raises(ValueError, match="no verb no_such"):
        host.fail_next("no_such", wireguard_unavailable("a test"))


async def test_a_handshake_shows_in_the_reading_and_survives_an_update(host: MemoryHost) -> None:
    await host.wireguard.apply("alt-mesh", ADDS)
    seen = Endpoint.parse("[2001:db8::9]:4000")
    host.handshake("alt-mesh", KEYS[0], at=1000.5, endpoint=seen, rx=10, tx=20)
    await host.wireguard.apply("alt-mesh", [PeerChange.update(KEYS[0], keepalive=25)])
    state = (await host.wireguard.read("alt-mesh")).peers[KEYS[0]]
    assert (state.last_handshake, state.endpoint, state.rx, state.tx, state.keepalive) == (1000.5, seen, 10, 20, 25)


async def test_removing_and_adding_a_peer_forgets_its_handshake(host: MemoryHost) -> None:
    await host.wireguard.apply("alt-mesh", ADDS)
    host.handshake("alt-mesh", KEYS[0], at=1000.5)
    await host.wireguard.apply("alt-mesh", [PeerChange.remove(KEYS[0]), ADDS[0]])
    assert (await host.wireguard.read("alt-mesh")).peers[KEYS[0]].last_handshake is None
