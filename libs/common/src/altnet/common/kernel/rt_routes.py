"""Routes by rtnetlink, in batches of hundreds a message.

Packing is the hot path: what routes have in common (device, next hop, metric, source…) is packed once, and only
destination and sequence number differ. The kernel reports each error under its message's number, so only the last
message of a batch asks for an acknowledgement. Source: linux/rtnetlink.h.

Invariant: every message bears our protocol number, so nobody else's route is deleted or listed.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

from altnet.common.kernel import netlink
from altnet.common.kernel.links import Address, Route, RouteFailure, RouteKind
from altnet.common.kernel.netlink import HEADER, Message, NetlinkError, NetlinkSocket, attribute, attributes
from altnet.common.kernel.total import total
from altnet.common.net import Prefix

BATCH: Final = 200
"""Routes a send: the kernel holds our thread for about a millisecond with them."""

_NEWROUTE, _DELROUTE, _GETROUTE = 24, 25, 26
_ROUTE: Final = struct.Struct("=BBBBBBBBI")
_DST, _OIF, _GATEWAY, _PRIORITY, _PREFSRC, _MULTIPATH, _TABLE = 1, 4, 5, 6, 7, 9, 15
_NEXT_HOP: Final = struct.Struct("=HBBi")
_ANY_TABLE: Final = 0
_UNIVERSE, _ON_LINK_SCOPE = 0, 253
_TYPES: Final = {RouteKind.UNICAST: 1, RouteKind.BLACKHOLE: 6, RouteKind.UNREACHABLE: 7}
_KINDS: Final = {number: kind for kind, number in _TYPES.items()}
_HEAD6: Final = struct.Struct("=IHHII BBBBBBBBI HH16s")
_HEAD4: Final = struct.Struct("=IHHII BBBBBBBBI HH4s")

_PUT: Final = netlink.REQUEST | netlink.CREATE | netlink.REPLACE


class RtRoutes:
    """rtnetlink's verbs on the routes of one protocol number."""

    def __init__(self, *, protocol: int, deadline: float = netlink.DEADLINE) -> None:
        self._protocol = protocol
        self._route = NetlinkSocket(netlink.ROUTE, deadline=deadline)

    def close(self) -> None:
        self._route.close()

    async def put(self, routes: Sequence[Route], indexes: Mapping[str, int]) -> list[RouteFailure]:
        """Add or replace routes; `indexes` has every device that they name. Raises `Unavailable`."""
        failed = await self._batches(routes, indexes, _NEWROUTE, _PUT)
        return [RouteFailure(routes[at], error.reason) for at, error in failed.items()]

    async def delete(self, routes: Sequence[Route]) -> list[RouteFailure]:
        """Delete routes by table, prefix and metric. Missing ones are fine."""
        failed = await self._batches(routes, None, _DELROUTE, netlink.REQUEST)
        return [
            RouteFailure(routes[at], error.reason) for at, error in failed.items() if error.errno not in netlink.MISSING
        ]

    async def read(self, table: int) -> list[tuple[Route, int]]:
        """Our routes in `table`, each with the index of its device (0: none), which its `device` does not name yet.

        Of a route with several next hops the first one is told.
        """
        found = []
        for family in (socket.AF_INET6, socket.AF_INET):
            # The kernel filters where it can (since 4.20); we look at each entry all the same.
            head = _ROUTE.pack(family, 0, 0, 0, _short(table), self._protocol, 0, 0, 0)
            body = head + attribute(_TABLE, struct.pack("=I", table))
            for entry in await self._dump(body):
                fields = dict(attributes(entry, _ROUTE.size))
                head_fields = _ROUTE.unpack_from(entry)
                if head_fields[5] == self._protocol and struct.unpack("=I", fields[_TABLE])[0] == table:
                    route = _read(head_fields, fields)
                    if route is not None:
                        found.append(route)
        return found

    async def _dump(self, body: bytes) -> list[bytes]:
        try:
            return await self._route.dump(Message(_GETROUTE, body))
        except NetlinkError as error:
            # A table that no route was ever put in does not exist.
            if error.errno in netlink.MISSING:
                return []
            raise

    async def _batches(
        self, routes: Sequence[Route], indexes: Mapping[str, int] | None, kind: int, flags: int
    ) -> dict[int, NetlinkError]:
        failed: dict[int, NetlinkError] = {}
        pack = _Packer(self._protocol, indexes, kind)
        for start in range(0, len(routes), BATCH):
            some = routes[start : start + BATCH]
            first = self._route.reserve(len(some))
            packed = [pack.message(route, first + at, flags) for at, route in enumerate(some)]
            packed[-1] = pack.message(some[-1], first + len(some) - 1, flags | netlink.ACK)
            errors = await self._route.batch(packed, first)
            failed |= {start + at: error for at, error in errors.items()}
        return failed


class _Packer:
    """Packs routes, remembering what the last ones had in common."""

    def __init__(self, protocol: int, indexes: Mapping[str, int] | None, kind: int) -> None:
        self._protocol = protocol
        self._indexes = indexes
        self._kind = kind
        self._tails: dict[tuple[object, ...], tuple[bytes, int]] = {}
        self._kept: list[Route] = []

    def message(self, route: Route, sequence: int, flags: int) -> bytes:
        prefix = route.prefix
        # Next hops are compared by identity: hashing an address costs more than packing the route. `_kept` holds
        # one route of each, so that no number is used again while we look at it.
        key = (route.device, id(route.via), route.metric, id(route.source), route.kind, route.table)
        common = self._tails.get(key)
        if common is None:
            common = self._tails[key] = self._tail(route)
            self._kept.append(route)
        tail, scope = common
        if prefix.version == 6:
            size, head, family = 48 + len(tail), _HEAD6, socket.AF_INET6
        else:
            size, head, family = 36 + len(tail), _HEAD4, socket.AF_INET
        return (
            head.pack(
                size, self._kind, flags, sequence, 0,
                family, prefix.prefixlen, 0, 0, _short(route.table), self._protocol, scope, _TYPES[route.kind], 0,
                head.size - 28, _DST, prefix.network_address.packed,
            )
            + tail
        )  # fmt: skip

    def _tail(self, route: Route) -> tuple[bytes, int]:
        tail = attribute(_PRIORITY, struct.pack("=I", route.metric)) + attribute(_TABLE, struct.pack("=I", route.table))
        scope = _UNIVERSE
        if self._indexes is not None:
            if route.device is not None:
                tail += attribute(_OIF, struct.pack("=I", self._indexes[route.device]))
            if route.via is not None:
                tail += attribute(_GATEWAY, route.via.packed)
            elif route.prefix.version == 4 and route.device is not None:
                scope = _ON_LINK_SCOPE
            if route.source is not None:
                tail += attribute(_PREFSRC, route.source.packed)
        return tail, scope


@total("the kernel's answer about a route")
def _read(head: tuple[int, ...], fields: Mapping[int, bytes]) -> tuple[Route, int] | None:
    family, length, kind = head[0], head[1], _KINDS.get(head[7])
    if kind is None:
        return None
    six = family == socket.AF_INET6
    if _MULTIPATH in fields:
        first = fields[_MULTIPATH]
        length_of_hop, _, _, device = _NEXT_HOP.unpack_from(first)
        fields = {**fields, **dict(attributes(first[:length_of_hop], _NEXT_HOP.size)), _OIF: struct.pack("=I", device)}
    packed = fields.get(_DST, bytes(16 if six else 4))
    prefix: Prefix = IPv6Network((packed, length)) if six else IPv4Network((packed, length))
    index = struct.unpack("=I", fields.get(_OIF, bytes(4)))[0]
    unicast = kind is RouteKind.UNICAST
    route = Route(
        prefix=prefix,
        # IPv6 shows lo behind its unreachable routes; a real name comes when indexes are resolved.
        device=str(index) if unicast else None,
        via=_read_address(fields.get(_GATEWAY)) if unicast else None,
        metric=struct.unpack("=I", fields.get(_PRIORITY, bytes(4)))[0],
        source=_read_address(fields.get(_PREFSRC)),
        kind=kind,
        table=struct.unpack("=I", fields[_TABLE])[0],
    )
    return route, index if unicast else 0


def _read_address(value: bytes | None) -> Address | None:
    if value is None:
        return None
    return IPv6Address(value) if len(value) == 16 else IPv4Address(value)


def _short(table: int) -> int:
    """The table's number for the header, which has one byte; the attribute has all of it."""
    return table if table < 256 else _ANY_TABLE


assert _HEAD6.size == HEADER.size + _ROUTE.size + 20
