"""Any sequence of changes ends in the same reading on the dictionary and on a real WireGuard."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from altnet.common.kernel.memory import MemoryHost
from altnet.common.kernel.wg_netlink import KernelWireGuard
from altnet.common.kernel.wireguard import (
    NO_PSK,
    DeviceConfig,
    Endpoint,
    PeerChange,
    PeerConfig,
    PresharedKey,
    WireGuard,
)
from altnet.common.keys import PrivateKey, PublicKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.hosts import PREFIX, userspace
from support.netns import Namespace

MESH = "alt-mesh"
OWN = PrivateKey(bytes([8]) + bytes(30) + bytes([64]))
NEXT = PrivateKey(bytes([16]) + bytes(30) + bytes([64]))
KEYS = (OWN.public(), NEXT.public(), *(PublicKey(bytes([number]) * 32) for number in (1, 2, 3)))
PREFIXES = tuple(ip_network(text) for text in ("fd00:1::/64", "fd00:1::/48", "fd00:2::1/128", "10.0.0.0/8", "::/0"))
PSKS = (PresharedKey(b"\x05" * 32), NO_PSK)

keys = st.sampled_from(KEYS)
allowed = st.lists(st.sampled_from(PREFIXES), max_size=3, unique=True).map(tuple)
endpoints = st.sampled_from([Endpoint.parse("192.0.2.1:1"), Endpoint.parse("[2001:db8::1]:2")])
changes = st.one_of(
    st.builds(
        PeerConfig,
        key=keys,
        allowed=allowed,
        endpoint=st.none() | endpoints,
        keepalive=st.sampled_from([0, 25]),
        psk=st.none() | st.sampled_from(PSKS[:1]),
    ).map(PeerChange.add),
    st.builds(
        PeerChange.update,
        keys,
        allowed=allowed,
        replace_allowed=st.booleans(),
        endpoint=st.none() | endpoints,
        keepalive=st.none() | st.sampled_from([0, 9]),
        psk=st.none() | st.sampled_from(PSKS),
    ),
    keys.map(PeerChange.remove),
)
steps = st.lists(st.one_of(st.lists(changes, max_size=6), st.sampled_from([OWN, NEXT])), min_size=1, max_size=5)


async def play(wireguard: WireGuard, script: list[list[PeerChange] | PrivateKey]) -> list[object]:
    """Run a script on a fresh device; returns a reading after each step."""
    await wireguard.create(MESH)
    try:
        await wireguard.configure(MESH, DeviceConfig(private_key=OWN, listen_port=51820))
        readings: list[object] = []
        for step in script:
            if isinstance(step, PrivateKey):
                await wireguard.configure(MESH, DeviceConfig(private_key=step, listen_port=51820))
            else:
                await wireguard.apply(MESH, step)
            state = await wireguard.read(MESH)
            readings.append((state.public_key, state.listen_port, dict(state.peers)))
        return readings
    finally:
        await wireguard.remove(MESH)


@pytest.mark.netns
@pytest.mark.parametrize("backend", ["wireguard-go", pytest.param("kernel", marks=pytest.mark.kernel_wg)])
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(script=steps)
async def test_any_sequence_of_changes_reads_back_alike(
    inside_netns: Namespace, backend: str, script: list[list[PeerChange] | PrivateKey]
) -> None:
    real: WireGuard = KernelWireGuard(prefix=PREFIX) if backend == "kernel" else userspace(inside_netns)
    try:
        assert await play(real, script) == await play(MemoryHost().wireguard, script)
    finally:
        await real.close()
