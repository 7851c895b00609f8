"""Who reaches whom, asked of all pairs of many relays at once: one process with a socket in every namespace.

Invariant: a pair counts as reached only by a packet that was sent in the round that is asked about.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from typing import Final

from altnet.host.lab import namespaces

PORT: Final = 7790
_HEAD: Final = struct.Struct("!QHH")
_IPV6_FREEBIND: Final = 78
"""linux/in6.h; Python has no name for it."""
ROUND: Final = 0.1
"""Seconds between two packets of a pair: with 992 pairs ten thousand packets a second, which two cores still carry."""


class Reach:
    """Sockets of all relays. `ends` maps a namespace to the overlay address in it."""

    def __init__(self, ends: Mapping[str, str]) -> None:
        self._addresses = list(ends.values())
        self._sockets: list[socket.socket] = []
        self._poll = select.poll()
        for namespace, address in ends.items():
            with namespaces.inside(namespace):
                one = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            self._sockets.append(one)
            one.setblocking(False)
            # A relay that is just booting gets its address in a moment; what is sent before is not sent.
            one.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
            one.bind((address, PORT))
            self._poll.register(one, select.POLLIN)
        self._by_fd = {one.fileno(): number for number, one in enumerate(self._sockets)}
        self._round = 0

    def close(self) -> None:
        for one in self._sockets:
            one.close()

    def complete(self, *, timeout: float) -> float | None:
        """Send between all pairs, again and again, until each has been reached since now; the seconds it took."""
        began = time.monotonic()
        first = self._round = self._round + 1
        missing = {(one, other) for one in range(len(self._sockets)) for other in range(len(self._sockets))}
        missing -= {(one, one) for one in range(len(self._sockets))}
        due = began
        while missing:
            now = time.monotonic()
            if now - began > timeout:
                return None
            if now >= due:
                self._send(missing)
                due = now + ROUND
            missing -= set(self._receive(first, max(0.0, due - time.monotonic())))
        return time.monotonic() - began

    def missing(self, *, within: float) -> set[tuple[int, int]]:
        """The pairs, by their places in `ends`, that no packet crosses within this time."""
        began = time.monotonic()
        first = self._round = self._round + 1
        count = len(self._sockets)
        left = {(one, other) for one in range(count) for other in range(count) if one != other}
        while left and time.monotonic() - began < within:
            self._send(left)
            end = time.monotonic() + ROUND
            while (rest := end - time.monotonic()) > 0:
                left -= set(self._receive(first, rest))
        return left

    def _send(self, pairs: set[tuple[int, int]]) -> None:
        self._round += 1
        for one, other in pairs:
            with contextlib.suppress(OSError):  # no route yet
                self._sockets[one].sendto(_HEAD.pack(self._round, one, other), (self._addresses[other], PORT))

    def _receive(self, first: int, wait: float) -> Iterator[tuple[int, int]]:
        for fd, _ in self._poll.poll(wait * 1000):
            while True:
                try:
                    number, one, other = _HEAD.unpack_from(self._sockets[self._by_fd[fd]].recv(64))
                except BlockingIOError:
                    break
                except (OSError, struct.error):
                    continue  # an ICMP error that came back
                if number >= first:
                    yield one, other
