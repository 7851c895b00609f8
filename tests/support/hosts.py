"""A host under test for the relay agent: its WireGuard and its links, in a dictionary or in a real namespace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from altnet.common.kernel.host import HostLinks
from altnet.common.kernel.links import Links
from altnet.common.kernel.memory import MemoryHost
from altnet.common.kernel.wg_uapi import UserspaceWireGuard
from altnet.common.kernel.wireguard import DeviceConfig, WireGuard
from altnet.common.keys import PrivateKey

from support.netns import Namespace

PREFIX = "alt"


@dataclass(frozen=True)
class Host:
    """A host under test: the two seams that see the same interfaces."""

    wireguard: WireGuard
    links: Links
    add_foreign_link: Callable[[str], Awaitable[None]]
    """Makes an interface of a kind that is not ours."""

    async def device(self, name: str = "alt-mesh", *, port: int = 51820) -> PrivateKey:
        """A device that is up and configured; returns its key."""
        key = PrivateKey.generate()
        await self.wireguard.create(name)
        await self.links.set_link(name, up=True)
        await self.wireguard.configure(name, DeviceConfig(private_key=key, listen_port=port))
        return key


@dataclass(frozen=True)
class RealHost:
    """A host and the namespace it is; use it while the namespace is entered."""

    namespace: Namespace
    host: Host


def memory_host() -> Host:
    memory = MemoryHost(prefix=PREFIX)

    async def add(name: str) -> None:
        memory.add_interface(name, "veth")

    return Host(memory.wireguard, memory.links, add)


@asynccontextmanager
async def real_host(namespace: Namespace, wireguard: WireGuard) -> AsyncIterator[Host]:
    async def add(name: str) -> None:
        namespace.run("ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}-p")

    links = HostLinks(prefix=PREFIX)
    try:
        yield Host(wireguard, links, add)
    finally:
        await wireguard.close()
        await links.close()


def userspace(namespace: Namespace) -> UserspaceWireGuard:
    """wireguard-go in a namespace."""
    return UserspaceWireGuard(prefix=PREFIX, command=namespace.wireguard_go, sockets=namespace.sockets)


async def until(condition: Callable[[], Awaitable[bool]], *, within: float = 10.0) -> None:
    """Wait for what no host announces, such as a handshake. Raises `TimeoutError` after `within` seconds."""
    async with asyncio.timeout(within):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.01)
