"""Peers into wireguard-go: our UAPI client against `wg setconf`, and one change against `wg syncconf`.

In a namespace of its own, on a device that is up; each repetition on a fresh device, the two in turn. Ours is measured
in the running agent's place, from the desired peers to the device's answer; wg(8) is measured as the process that it
is, from its text file. One change is what the agent sends when it knows its last state; `wg syncconf` finds out.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from ipaddress import IPv6Network
from pathlib import Path
from typing import Final

from altnet.common.kernel.host import HostLinks
from altnet.common.kernel.wg_uapi import UserspaceWireGuard
from altnet.common.kernel.wireguard import DeviceConfig, Endpoint, PeerChange, PeerConfig
from altnet.common.keys import PrivateKey, PublicKey
from support.netns import namespaces, sweep

from bench.report import Measure

REPETITIONS: Final = {1000: 9, 10_000: 5}
CHANGES: Final = 9
PORT: Final = 51820


async def run(say: Callable[[str], None], *, scale: int = 1000) -> dict[str, Measure]:
    """Needs root. `scale` is not used: the sizes are part of the names."""
    del scale
    sweep()
    found: dict[str, Measure] = {}
    with namespaces() as make, make("wireguard").entered(), tempfile.TemporaryDirectory() as scratch:
        bench = _Bench(f"t{os.getpid()}", Path(scratch))
        try:
            for count, repetitions in REPETITIONS.items():
                say(f"   {count:,} peers, {repetitions} times each")
                found[f"wg_apply_{count}"] = await bench.apply(count, repetitions)
            say("   one change among 10,000")
            found["wg_change_one_of_10000"] = await bench.change_one(10_000)
        finally:
            await bench.close()
    return found


class _Bench:
    """One device at a time, found by its name under /var/run/wireguard, where wg(8) looks."""

    def __init__(self, name: str, scratch: Path) -> None:
        self._name = name
        self._file = scratch / "device.conf"
        self._key = PrivateKey.generate()
        self._wireguard = UserspaceWireGuard(prefix=name)
        self._links = HostLinks(prefix=name)

    async def apply(self, count: int, repetitions: int) -> Measure:
        peers = make_peers(count)
        self._file.write_text(configuration(self._key, peers))
        ours, theirs = [], []
        for _ in range(repetitions):
            await self._fresh()
            ours.append(await self._apply_ours(peers))
            await self._check(count)
            await self._fresh()
            theirs.append(await self._run_wg("setconf"))
            await self._check(count)
        return _measure(ours, theirs, "wg setconf")

    async def change_one(self, count: int) -> Measure:
        peers = list(make_peers(count))
        await self._fresh()
        await self._apply_ours(peers)
        ours, theirs = [], []
        for number in range(CHANGES):
            # Each change is real: another endpoint, at another place in the device.
            at = (number * 2 + 1) * count // (CHANGES * 2)
            endpoint = Endpoint.parse(f"[fd00:99::1]:{2000 + number}")
            begin = time.perf_counter()
            await self._wireguard.apply(self._name, [PeerChange.update(peers[at].key, endpoint=endpoint)])
            ours.append(time.perf_counter() - begin)
            peers[at] = _with_endpoint(peers[at], endpoint)
            peers[at - 1] = _with_endpoint(peers[at - 1], endpoint)
            self._file.write_text(configuration(self._key, peers))
            theirs.append(await self._run_wg("syncconf"))
            state = await self._wireguard.read(self._name)
            if any(state.peers[peers[where].key].endpoint != endpoint for where in (at, at - 1)):
                raise RuntimeError("a change did not arrive")
        return _measure(ours, theirs, "wg syncconf")

    async def close(self) -> None:
        await self._wireguard.remove(self._name)
        await self._wireguard.close()
        await self._links.close()

    async def _fresh(self) -> None:
        await self._wireguard.remove(self._name)
        await self._wireguard.create(self._name)
        await self._links.set_link(self._name, up=True)

    async def _apply_ours(self, peers: Sequence[PeerConfig]) -> float:
        begin = time.perf_counter()
        await self._wireguard.configure(self._name, DeviceConfig(private_key=self._key, listen_port=PORT))
        await self._wireguard.apply(self._name, [PeerChange.add(peer) for peer in peers])
        return time.perf_counter() - begin

    async def _run_wg(self, verb: str) -> float:
        # Run to its end in this thread, as asyncio's own waiting for children would count against it.
        begin = time.perf_counter()
        await asyncio.to_thread(subprocess.run, ["wg", verb, self._name, self._file], check=True, timeout=60)
        return time.perf_counter() - begin

    async def _check(self, count: int) -> None:
        state = await self._wireguard.read(self._name)
        if len(state.peers) != count:
            raise RuntimeError(f"the device has {len(state.peers)} peers, not {count}")


def make_peers(count: int) -> Sequence[PeerConfig]:
    """As relays have them: a locator each, an endpoint, no keepalive."""
    return [
        PeerConfig(
            key=PublicKey((number * 2 + 1).to_bytes(2, "big") * 16),
            allowed=(IPv6Network((0xFD42_1337_BEEF_0001 << 64 | number + 1, 128)),),
            endpoint=Endpoint.parse(f"[2001:db8::{number + 1:x}]:51820"),
        )
        for number in range(count)
    ]


def configuration(key: PrivateKey, peers: Sequence[PeerConfig]) -> str:
    """The same as a file for wg(8). The key is made for the bench."""
    lines = ["[Interface]", f"PrivateKey = {_text(key)}", f"ListenPort = {PORT}"]
    for peer in peers:
        lines += ["[Peer]", f"PublicKey = {peer.key}", f"AllowedIPs = {', '.join(map(str, peer.allowed))}"]
        lines.append(f"Endpoint = {peer.endpoint}")
    return "\n".join(lines) + "\n"


def _text(key: PrivateKey) -> str:
    return PublicKey(key.reveal()).base64


def _with_endpoint(peer: PeerConfig, endpoint: Endpoint) -> PeerConfig:
    return PeerConfig(key=peer.key, allowed=peer.allowed, endpoint=endpoint)


def _measure(ours: Sequence[float], theirs: Sequence[float], against: str) -> Measure:
    own, other = statistics.median(ours), statistics.median(theirs)
    return Measure(value=own, unit="s", ratio=own / other, against=against, note=f"{against}: {other:.3g} s")
