"""The host as the agent has it: WireGuard, links, firewall. Real, or in memory for many agents in one process."""

from __future__ import annotations

from dataclasses import dataclass, field

from altnet.common.errors import Unavailable
from altnet.common.kernel.detect import detect_wireguard
from altnet.common.kernel.host import HostLinks
from altnet.common.kernel.links import Links
from altnet.common.kernel.memory import MemoryHost
from altnet.common.kernel.wg_netlink import KernelWireGuard
from altnet.common.kernel.wg_uapi import UserspaceWireGuard
from altnet.common.kernel.wireguard import WireGuard
from altnet.relay_agent.bird.kernel import BirdRoutes, NoRoutes
from altnet.relay_agent.planes.firewall import MemoryTables, NftTables, Tables
from altnet.relay_agent.settings import AgentSettings


@dataclass(frozen=True, kw_only=True)
class Host:
    """What an agent acts on."""

    wireguard: WireGuard
    links: Links
    tables: Tables = field(default_factory=MemoryTables)
    bird_routes: BirdRoutes | NoRoutes = field(default_factory=NoRoutes)

    async def close(self) -> None:
        """Let go of sockets. Everything on the host stays."""
        self.bird_routes.close()
        await self.wireguard.close()
        await self.links.close()


def memory_host(memory: MemoryHost, tables: MemoryTables | None = None) -> Host:
    """An agent's view of a host in memory."""
    return Host(wireguard=memory.wireguard, links=memory.links, tables=tables or MemoryTables())


async def open_host(settings: AgentSettings) -> Host:
    """This machine. Raises `Unavailable` (`no_wireguard`), saying what to install."""
    prefix, deadline = settings.interface_prefix, settings.timers.kernel_timeout
    wireguard: WireGuard
    match settings.backend:
        case "memory":
            return memory_host(MemoryHost(prefix=prefix))
        case "kernel":
            wireguard = KernelWireGuard(prefix=prefix, deadline=deadline)
        case "wireguard-go":
            wireguard = UserspaceWireGuard(prefix=prefix, deadline=deadline)
        case "auto":
            wireguard = await detect_wireguard(prefix=prefix, deadline=deadline)
    links = HostLinks(prefix=prefix, protocol=settings.route_protocol, deadline=deadline)
    if not await links.encapsulations():
        await wireguard.close()
        await links.close()
        raise Unavailable(
            "no_links",
            "this kernel can make neither ip6gre nor VXLAN links.",
            mend="modprobe ip6_gre or vxlan; in a container the host has to load it.",
        )
    routes = BirdRoutes(deadline=deadline)
    return Host(wireguard=wireguard, links=links, tables=NftTables(timeout=deadline), bird_routes=routes)
