"""A client's host in memory for tests of altnetd: its relays answer when told to, and all that it says is kept."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import IPv6Address

import msgspec
from altnet.client.daemon import Client
from altnet.client.settings import ClientSettings
from altnet.client.tunnel import Tunnel
from altnet.common.clock import FixedClock
from altnet.common.contracts.attach import Hello
from altnet.common.contracts.client import AccessPoint, ClientConfig
from altnet.common.kernel.memory import MemoryHost
from altnet.common.keys import PrivateKey, PublicKey
from altnet.relay_agent.attachments import Attachments

from support.relays import PLAN, PREFIX, key_of

NETWORK = str(PREFIX)
HOME = PLAN.client_prefix(1)[500]
GUESTS = {name: PLAN.guest_address(slot, HOME) for name, slot in (("a", 1), ("b", 2))}
KEY = PrivateKey.generate(lambda size: bytes(range(size)))


def point(name: str, slot: int, priority: int) -> AccessPoint:
    return AccessPoint(
        relay=f"rly_{name}",
        name=name,
        key=key_of(name, "access").public().base64,
        endpoints=(f"192.0.2.{slot}:51830", f"[2001:db8::{slot}]:51830"),
        address=str(PLAN.attach_address(slot)),
        priority=priority,
    )


def config(*relays: AccessPoint, **fields: object) -> ClientConfig:
    made = ClientConfig(
        client="cli_x",
        name="laptop",
        network="default",
        prefix=NETWORK,
        addresses=(f"{HOME}/128",),
        routes=(NETWORK, "10.8.0.0/16"),
        mtu=1280,
        keepalive=25,
        relays=relays or (point("a", 1, 0), point("b", 2, 1)),
        movable=True,
    )
    return msgspec.structs.replace(made, **fields)


def access_key(name: str) -> PublicKey:
    return key_of(name, "access").public()


class Net:
    """A client's host in memory, its relays' agents, and a network that answers for whoever is up."""

    def __init__(self, wanted: ClientConfig | None = None, *, memory: MemoryHost | None = None) -> None:
        self.settings = ClientSettings()
        self.memory = memory or MemoryHost(prefix=self.settings.interface)
        self.clock = FixedClock(datetime(2026, 1, 1, tzinfo=UTC))
        self.agents = {name: Attachments(lifetime=3.5) for name in "ab"}
        self.up = {"a": True, "b": True}
        self.farewells: list[tuple[str, Hello]] = []
        self.opened: list[str] = []
        self.client = self.make(wanted or config())

    def make(self, wanted: ClientConfig) -> Client:
        return Client(
            self.settings,
            wanted,
            tunnel=Tunnel(
                self.memory.wireguard,
                self.memory.links,
                name=self.settings.interface,
                key=KEY,
                timers=self.settings.timers,
            ),
            edge=lambda client: self,
            clock=self.clock,
        )

    # the edge

    def open(self, *, interface: str) -> None:
        self.opened.append(interface)

    def close(self) -> None:
        pass

    def ask(self, address: IPv6Address, *, source: IPv6Address) -> None:
        assert source == GUESTS[self.who(address)]
        if self.up[self.who(address)]:
            self.client.echoed(address, 0.01)

    def say(self, address: IPv6Address, port: int, hello: Hello, *, source: IPv6Address) -> None:
        for name, slot in (("a", 1), ("b", 2)):
            if address == PLAN.attach_address(slot) and self.up[name]:
                answer = self.agents[name].hear("cli_x", hello, now=self.clock.monotonic())
                self.client.answered(address, answer)
            elif address == PLAN.relay_address(slot):
                self.farewells.append((name, hello))

    def who(self, address: IPv6Address) -> str:
        return {PLAN.attach_address(1): "a", PLAN.attach_address(2): "b"}[address]

    async def run(self, seconds: float) -> None:
        for _ in range(round(seconds / self.settings.timers.probe)):
            self.clock.advance(self.settings.timers.probe)
            for agent in self.agents.values():
                agent.expire(now=self.clock.monotonic())
            await self.client.tick()

    def carries(self) -> str:
        """Which relay's peer holds the network's routes."""
        held = [
            name
            for name in "ab"
            if (peer := self.memory.devices[self.settings.interface].peers.get(access_key(name))) is not None
            and PREFIX in peer.allowed
        ]
        assert len(held) == 1, held
        return held[0]

    def attached(self) -> list[str]:
        return [name for name, agent in self.agents.items() if "cli_x" in agent.attached]
