"""The client's two sockets inside its tunnel: echo requests to relays, and words about where it is attached.

Echo requests (ICMPv6, RFC 4443 §4) are answered by a relay's kernel, so a relay whose agent restarts is no dead relay.
An answer counts if it comes through our interface, from the address that was asked, with the number that was asked,
and not later than the next sixty-four.

Leaves out what follows from an answer. Invariant: memory is bounded by the relays, whatever arrives.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import struct
from collections.abc import Callable
from ipaddress import IPv6Address
from typing import Final

from altnet.common import log
from altnet.common.clock import Clock
from altnet.common.contracts.attach import SIZE, Answer, Hello, pack, unpack
from altnet.common.errors import Unavailable

_log = log.get(__name__)

_ECHO: Final = struct.Struct(">BBHHH8sQ")
"""Type, code, checksum (the kernel's), identifier, sequence, token, number."""
_REQUEST, _REPLY = 128, 129
_FILTER: Final = 1
"""ICMP6_FILTER of netinet/icmp6.h: a bit that is set blocks the type."""
_KEPT: Final = 64
_TURN: Final = 256


class Edge:
    """The sockets, bound to the interface. A packet leaves from the address that its relay knows us by."""

    def __init__(
        self,
        *,
        clock: Clock,
        echoed: Callable[[IPv6Address, float], None],
        answered: Callable[[IPv6Address, Answer], None],
        randomness: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        """`echoed(address, rtt)` and `answered(address, answer)` are called from the loop."""
        self._clock = clock
        self._echoed = echoed
        self._answered = answered
        self._token = randomness(8)
        self._identifier = int.from_bytes(randomness(2), "big")
        self._number = 0
        self._asked: dict[IPv6Address, dict[int, float]] = {}
        self._ping: socket.socket | None = None
        self._words: socket.socket | None = None

    def open(self, *, interface: str) -> None:
        """Open both sockets, anew if they were open. Raises `Unavailable` (`no_probes`)."""
        self.close()
        loop = asyncio.get_running_loop()
        try:
            self._ping = _bound(socket.SOCK_RAW, socket.IPPROTO_ICMPV6, interface)
            blocked = bytearray(b"\xff" * 32)
            blocked[_REPLY // 8] &= ~(1 << _REPLY % 8) & 0xFF
            # Words of 32 bits in the host's order; a byte of a little-endian word is where its bits are.
            words = struct.unpack("<8I", blocked)
            self._ping.setsockopt(socket.IPPROTO_ICMPV6, _FILTER, struct.pack("=8I", *words))
            self._words = _bound(socket.SOCK_DGRAM, 0, interface)
        except OSError as error:
            self.close()
            raise Unavailable(
                "no_probes",
                f"relays cannot be probed through {interface}: {os.strerror(error.errno or 0)}.",
                mend="Run as root, or with CAP_NET_ADMIN and CAP_NET_RAW.",
            ) from None
        loop.add_reader(self._ping, self._receive_echo)
        loop.add_reader(self._words, self._receive_word)

    def close(self) -> None:
        for sock in (self._ping, self._words):
            if sock is not None:
                with contextlib.suppress(RuntimeError, ValueError, KeyError):
                    asyncio.get_running_loop().remove_reader(sock)
                sock.close()
        self._ping = self._words = None

    def ask(self, address: IPv6Address, *, source: IPv6Address) -> None:
        """Send an echo request to a relay's address inside the tunnel."""
        self._number += 1
        asked = self._asked.setdefault(address, {})
        asked[self._number] = self._clock.monotonic()
        if len(asked) > _KEPT:
            del asked[next(iter(asked))]
        packet = _ECHO.pack(_REQUEST, 0, 0, self._identifier, self._number & 0xFFFF, self._token, self._number)
        _send(self._ping, packet, (str(address), 0), source)

    def say(self, address: IPv6Address, port: int, hello: Hello, *, source: IPv6Address) -> None:
        """Send a word to a relay."""
        _send(self._words, pack(hello), (str(address), port), source)

    def _receive_echo(self) -> None:
        for data, source in _datagrams(self._ping, _ECHO.size + 1):
            if len(data) != _ECHO.size:
                continue
            kind, _, _, identifier, _, token, number = _ECHO.unpack(data)
            if kind != _REPLY or identifier != self._identifier or token != self._token:
                continue
            sent = self._asked.get(source, {}).pop(number, None)
            if sent is not None:
                self._echoed(source, self._clock.monotonic() - sent)

    def _receive_word(self) -> None:
        for data, source in _datagrams(self._words, SIZE + 1):
            answer = unpack(data)
            if isinstance(answer, Answer):
                self._answered(source, answer)


def _bound(kind: int, protocol: int, interface: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET6, kind | socket.SOCK_CLOEXEC, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def _send(sock: socket.socket | None, packet: bytes, target: tuple[str, int], source: IPv6Address) -> None:
    if sock is not None:
        leaving = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, source.packed + bytes(4))
        with contextlib.suppress(OSError):  # a lost packet, and counted as one
            sock.sendmsg([packet], [leaving], 0, target)


def _datagrams(sock: socket.socket | None, size: int) -> list[tuple[bytes, IPv6Address]]:
    """What has come, at most so much that the loop has its turn."""
    found: list[tuple[bytes, IPv6Address]] = []
    for _ in range(_TURN if sock is not None else 0):
        assert sock is not None
        try:
            data, address = sock.recvfrom(size)
        except (BlockingIOError, InterruptedError):
            break
        except OSError:
            continue  # an ICMP error of an earlier packet
        found.append((data, IPv6Address(str(address[0]).partition("%")[0])))
    return found
