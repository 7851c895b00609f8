"""The forwarding plane: the kernel settings that make a host a router.

A host that forwards IPv6 stops listening to router advertisements (linux Documentation/networking/ip-sysctl,
accept_ra), and would lose its own default route minutes later; interfaces that listen are told to go on.

By default the kernel spreads load over equal paths by addresses alone (IPv6: and the flow label, which not every sender
sets), so that all that two hosts say to each other takes one path. Where that default stands, ports count too; another
choice is the operator's and is left, and so is a kernel that has none.

Every earlier value is in the journal before it is changed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Final

from altnet.common.errors import AltnetError, NotFound
from altnet.common.kernel.links import Links
from altnet.relay_agent.diff import Delete, Update
from altnet.relay_agent.journal import Journal
from altnet.relay_agent.pieces import FORWARDING, SPREAD_BY_DEFAULT, SPREAD_BY_PORTS, SPREADING, Key, Names, Sysctl
from altnet.relay_agent.planes import Failures

IPV6_FORWARDING: Final = "net/ipv6/conf/all/forwarding"
IPV4_FORWARDING: Final = "net/ipv4/ip_forward"
_OURS: Final = (IPV6_FORWARDING, IPV4_FORWARDING)


class ForwardingPlane:
    """Settings that the agent may change, and puts back. `trust`: what is as wanted need not be by us: for looking."""

    name = FORWARDING

    def __init__(self, links: Links, names: Names, journal: Journal, *, trust: bool = False) -> None:
        self._links = links
        self._names = names
        self._journal = journal
        self._trust = trust
        self._foreign: set[str] = set()
        """Of `SPREADING`, wanted, and the operator's choice: left as they are."""

    async def read(self) -> Mapping[Key, Sysctl]:
        """The settings that hold the value that we gave them, or that are as wanted anyway."""
        found: dict[Key, Sysctl] = {}
        for name in _OURS:
            value = await self._value(name)
            if value == "1":
                found[name] = Sysctl(name=name, value=value)
        for name in SPREADING:
            known = self._trust or name in self._foreign or name in self._journal.owned.sysctls
            if known and await self._value(name) != SPREAD_BY_DEFAULT:
                found[name] = Sysctl(name=name, value=SPREAD_BY_PORTS)
        return found

    def same(self, have: Sysctl, want: Sysctl) -> bool:
        return have == want

    async def update(self, operations: Sequence[Update]) -> Failures:
        failures: Failures = {}
        for operation in operations:
            want: Sysctl = operation.want
            try:
                if want.name == IPV6_FORWARDING:
                    await self._keep_advertisements()
                if want.name in SPREADING and await self._value(want.name) != SPREAD_BY_DEFAULT:
                    self._foreign.add(want.name)
                    continue
                await self._set(want.name, want.value)
            except AltnetError as error:
                failures[operation.key] = error
        return failures

    async def delete(self, operations: Sequence[Delete]) -> Failures:
        """Put back what was before us; a setting that we did not change stays."""
        failures: Failures = {}
        for operation in operations:
            self._foreign.discard(str(operation.key))
            try:
                await restore(self._links, self._journal, str(operation.key))
                if operation.key == IPV6_FORWARDING:
                    for name in [known for known in self._journal.owned.sysctls if known.endswith("/accept_ra")]:
                        await restore(self._links, self._journal, name)
            except AltnetError as error:
                failures[operation.key] = error
        return failures

    async def _keep_advertisements(self) -> None:
        for name in await self._links.read_links():
            setting = f"net/ipv6/conf/{name}/accept_ra"
            if not self._names.is_ours(name) and await self._value(setting) == "1":
                await self._set(setting, "2")

    async def _set(self, name: str, value: str) -> None:
        before = await self._links.read_sysctl(name)
        if before != value:
            await self._journal.add_sysctl(name, before)
            await self._links.set_sysctl(name, value)

    async def _value(self, name: str) -> str | None:
        try:
            return await self._links.read_sysctl(name)
        except NotFound:
            return None


async def restore(links: Links, journal: Journal, name: str) -> None:
    """Give a setting the value that it had before us."""
    before = journal.owned.sysctls.get(name)
    if before is None:
        return
    with contextlib.suppress(NotFound):  # the interface that it belonged to is gone
        await links.set_sysctl(name, before)
    await journal.drop_sysctl(name)
