"""`Links` on a real host, by rtnetlink.

Level-triggered: each verb looks at what the kernel answers and treats "exists already" and "is not there" as done.

Invariant: never deletes or rebuilds an interface of a kind, or a route of a protocol number, that is not ours.
"""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec
from altnet.common.contracts.desired import Encapsulation
from altnet.common.errors import NotFound
from altnet.common.kernel import netlink
from altnet.common.kernel.links import (
    MAIN_TABLE,
    ROUTE_PROTOCOL,
    Address,
    HostRefused,
    Interface,
    Ip6Gre,
    Link,
    LinkState,
    Neighbour,
    Route,
    RouteFailure,
    no_link,
)
from altnet.common.kernel.netlink import NetlinkError
from altnet.common.kernel.rt_links import RtLinks
from altnet.common.kernel.rt_routes import RtRoutes
from altnet.common.kernel.wireguard import check_name

SYSCTL: Final = Path("/proc/sys")


class HostLinks:
    """The links of the network namespace that it is first used in.

    `prefix` names the passing interface by which `encapsulations` tries the kernel out. `protocol` marks our routes.
    `deadline` in seconds bounds each exchange with the kernel.
    """

    def __init__(self, *, prefix: str, protocol: int = ROUTE_PROTOCOL, deadline: float = netlink.DEADLINE) -> None:
        self._probe = f"{prefix}-probe"[:15]
        self._links = RtLinks(deadline=deadline)
        self._routes = RtRoutes(protocol=protocol, deadline=deadline)
        self._encapsulations: tuple[Encapsulation, ...] | None = None

    async def encapsulations(self) -> tuple[Encapsulation, ...]:
        if self._encapsulations is None:
            found = [e for e in Encapsulation if await can_make(self._links, self._probe, e.value)]
            self._encapsulations = tuple(found)
        return self._encapsulations

    async def put_link(self, link: Link) -> None:
        check_name(link.name)
        async with _named(f"link {link.name}"):
            kind, data = await self._links.form_data(link.form)
            state = await self._links.read(link.name)
            if state is not None and state.kind != kind:
                raise HostRefused(f"link {link.name}", f"an interface of kind {state.kind or 'unknown'} has that name")
            if state is not None and state.form != link.form:
                await self._links.delete(link.name)
                state = None
            mac = None if isinstance(link.form, Ip6Gre) else link.mac
            if state is None:
                await self._links.create(link.name, kind, data=data, mtu=link.mtu, mac=mac)
                # Before it comes up: in one message the kernel would bring it up first.
                await self._links.change(link.name, generate_addresses=False)
                if link.up:
                    await self._links.change(link.name, up=True)
                return
            mtu = link.mtu if link.mtu != state.mtu else None
            mac = mac if mac != state.mac else None
            if mtu is not None or mac is not None or link.up != state.up:
                await self._links.change(link.name, mtu=mtu, mac=mac, up=link.up)

    async def set_link(self, name: str, *, mtu: int | None = None, up: bool | None = None) -> None:
        async with _named(f"link {name}", device=name):
            await self._links.change(name, mtu=mtu, up=up)

    async def delete_link(self, name: str) -> None:
        async with _named(f"deleting {name}"):
            state = await self._links.read(name)
            if state is None:
                return
            if state.form is None:
                raise HostRefused(f"deleting {name}", f"it is not ours, its kind is {state.kind or 'unknown'}")
            await self._links.delete(name)

    async def read_links(self, prefix: str = "") -> Mapping[str, LinkState]:
        async with _named("reading links"):
            return await self._links.read_all(prefix)

    async def put_address(self, device: str, address: Interface) -> None:
        async with _named(f"address {address} on {device}", device=device):
            await self._links.put_address(await self._links.index(device), address)

    async def delete_address(self, device: str, address: Interface) -> None:
        async with _named(f"deleting address {address} on {device}"):
            state = await self._links.read(device)
            if state is not None:
                await self._links.delete_address(state.index, address)

    async def read_addresses(self, device: str) -> frozenset[Interface]:
        async with _named(f"reading addresses of {device}", device=device):
            return await self._links.read_addresses(await self._links.index(device))

    async def read_all_addresses(self, prefix: str = "") -> Mapping[str, frozenset[Interface]]:
        async with _named("reading addresses"):
            return await self._links.read_all_addresses(prefix)

    async def put_neighbour(self, neighbour: Neighbour) -> None:
        async with _named(f"neighbour {neighbour.address} on {neighbour.device}", device=neighbour.device):
            index = await self._links.index(neighbour.device)
            await self._links.put_neighbour(index, neighbour.address, neighbour.mac)

    async def delete_neighbour(self, device: str, address: Address) -> None:
        async with _named(f"deleting neighbour {address} on {device}"):
            state = await self._links.read(device)
            if state is not None:
                await self._links.delete_neighbour(state.index, address)

    async def read_neighbours(self, device: str) -> frozenset[Neighbour]:
        async with _named(f"reading neighbours of {device}", device=device):
            return await self._links.read_neighbours(await self._links.index(device), device)

    async def read_all_neighbours(self, prefix: str = "") -> frozenset[Neighbour]:
        async with _named("reading neighbours"):
            return await self._links.read_all_neighbours(prefix)

    async def put_routes(self, routes: Sequence[Route]) -> tuple[RouteFailure, ...]:
        indexes: dict[str, int] = {}
        for name in {route.device for route in routes if route.device is not None}:
            state = await self._links.read(name)
            if state is not None:
                indexes[name] = state.index
        known = [route for route in routes if route.device is None or route.device in indexes]
        failures = await self._routes.put(known, indexes)
        if len(known) < len(routes):
            failures += [
                RouteFailure(route, "No such device")
                for route in routes
                if route.device is not None and route.device not in indexes
            ]
        return tuple(failures)

    async def delete_routes(self, routes: Sequence[Route]) -> tuple[RouteFailure, ...]:
        return tuple(await self._routes.delete(routes))

    async def read_routes(self, *, table: int = MAIN_TABLE) -> tuple[Route, ...]:
        async with _named("reading routes"):
            found = await self._routes.read(table)
            names = await self._links.names({index for _, index in found if index})
        # A device that went away meanwhile took its routes along.
        return tuple(
            msgspec.structs.replace(route, device=names[index]) if index else route
            for route, index in found
            if not index or index in names
        )

    async def read_sysctl(self, name: str) -> str:
        try:
            return _sysctl(name).read_text().strip()
        except FileNotFoundError:
            raise NotFound("no_sysctl", f"there is no kernel setting {name}.") from None
        except OSError as error:
            raise HostRefused(f"reading {name}", os.strerror(error.errno or 0)) from error

    async def set_sysctl(self, name: str, value: str) -> None:
        try:
            _sysctl(name).write_text(value)
        except FileNotFoundError:
            raise NotFound("no_sysctl", f"there is no kernel setting {name}.") from None
        except OSError as error:
            raise HostRefused(f"setting {name}", os.strerror(error.errno or 0)) from error

    async def close(self) -> None:
        self._links.close()
        self._routes.close()


async def can_make(links: RtLinks, name: str, kind: str) -> bool:
    """Whether the kernel can make links of `kind`: found out with one called `name`, deleted at once.

    Raises `NetlinkError` (EPERM) where we may not make links at all.
    """
    try:
        await links.create(name, kind)
    except NetlinkError as error:
        if error.errno == errno.EOPNOTSUPP:
            return False
        if error.errno in {errno.EPERM, errno.EACCES}:
            raise
        # The kind exists, and wants more than we told it; or a crash in the middle of this left our link behind.
    await links.delete(name)
    return True


def _sysctl(name: str) -> Path:
    path = SYSCTL / name
    if ".." in path.parts or not path.is_relative_to(SYSCTL):
        raise NotFound("no_sysctl", f"there is no kernel setting {name}.")
    return path


@asynccontextmanager
async def _named(what: str, *, device: str | None = None) -> AsyncIterator[None]:
    """Turn the kernel's refusal into ours, saying what was refused."""
    try:
        yield
    except NetlinkError as error:
        if device is not None and error.errno == errno.ENODEV:
            raise no_link(device) from error
        raise HostRefused(what, error.reason) from error
