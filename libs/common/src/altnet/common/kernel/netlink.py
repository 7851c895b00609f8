"""Netlink sockets for asyncio: requests, dumps and batches, with deadlines and the kernel's own words in errors.

Ours instead of a library's because batches need it (hundreds of messages a send, every error with its message) and
because it saves each agent some 13 MiB and a third of a second at start. Knows no family's messages; `rt_links`,
`rt_routes` and `wg_netlink` do.

Invariant: one exchange at a time; a socket whose exchange was cut short is thrown away, so no answer is ever taken
for another question's. Sources: linux/netlink.h, netlink(7).
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from altnet.common.errors import Unavailable
from altnet.common.kernel.total import total

ROUTE: Final = 0
GENERIC: Final = 16

REQUEST: Final = 0x1
ACK: Final = 0x4
DUMP: Final = 0x300
REPLACE: Final = 0x100
EXCLUSIVE: Final = 0x200
CREATE: Final = 0x400

NESTED: Final = 0x8000
_TYPE_MASK: Final = 0x3FFF

_ERROR: Final = 2
_DONE: Final = 3
_FLAG_INTERRUPTED: Final = 0x10
_FLAG_CAPPED: Final = 0x100
_FLAG_ACK_TLVS: Final = 0x200
_ERROR_MESSAGE: Final = 1

_SOL_NETLINK: Final = 270
_CAP_ACK: Final = 10
_EXT_ACK: Final = 11
_STRICT_CHECK: Final = 12
_SO_RCVBUFFORCE: Final = 33

RECEIVE_BUFFER: Final = 1 << 20
"""Bytes asked of the kernel: room for an error to each message of a batch."""
_READ_SIZE: Final = 1 << 17

DEADLINE: Final = 20.0
"""Seconds for one exchange unless told otherwise: 10,000 peers take well under a second; more is a hung kernel."""
DUMP_TRIES: Final = 5
"""How often a dump that a change interrupted is asked again before it is taken as it is."""

HEADER: Final = struct.Struct("=IHHII")
_ATTRIBUTE: Final = struct.Struct("=HH")
_LONGEST_ATTRIBUTE: Final = 0xFFFF


class NetlinkError(OSError):
    """The kernel said no. `reason` is its extended message where it gave one, else the usual words for `errno`."""

    def __init__(self, number: int, message: str = "") -> None:
        self.reason = message or os.strerror(number)
        super().__init__(number, self.reason)


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded to 4 bytes. Raises `ValueError` over 64 KiB, the most that its length field can say."""
    length = len(value) + 4
    if length > _LONGEST_ATTRIBUTE:
        raise ValueError(f"a netlink attribute of {length} bytes")
    return _ATTRIBUTE.pack(length, kind) + value + bytes(-length % 4)


def attributes(data: bytes, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """The attributes in `data` from `offset` on: type without flag bits, and value."""
    end = len(data)
    while offset + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < 4:
            return
        yield kind & _TYPE_MASK, data[offset + 4 : offset + length]
        offset += (length + 3) & ~3


def text(value: bytes) -> str:
    """A zero-terminated string attribute."""
    return value.split(b"\0", 1)[0].decode(errors="replace")


class Message:
    """A request without its sequence number."""

    __slots__ = ("body", "flags", "kind")

    def __init__(self, kind: int, body: bytes, flags: int = 0) -> None:
        self.kind = kind
        self.body = body
        self.flags = flags

    def packed(self, sequence: int, flags: int) -> bytes:
        length = HEADER.size + len(self.body)
        head = HEADER.pack(length, self.kind, self.flags | flags, sequence, 0)
        return head + self.body + bytes(-length % 4)


class NetlinkSocket:
    """A socket of one netlink family, opened at first use in the network namespace of the calling thread.

    All verbs raise `NetlinkError` where the kernel refuses, `Unavailable` (`netlink_unavailable`) where it gives no
    answer within `deadline` seconds, or no socket.
    """

    def __init__(self, family: int, *, deadline: float = DEADLINE) -> None:
        self._family = family
        self._deadline = deadline
        self._socket: socket.socket | None = None
        self._sequence = 0
        self._turn = asyncio.Lock()

    async def request(self, message: Message) -> list[bytes]:
        """Send one message; returns the bodies that came back before the acknowledgement."""
        async with self._exchange() as sock:
            first = self.reserve(1)
            await self._send(sock, message.packed(first, REQUEST | ACK))
            bodies: list[bytes] = []
            while True:
                for kind, flags, _, body in _messages(await self._receive(sock)):
                    if kind != _ERROR:
                        bodies.append(body)
                    elif (refusal := _refusal(flags, body)) is not None:
                        raise refusal
                    else:
                        return bodies

    async def dump(self, message: Message) -> list[bytes]:
        """Ask for a whole table; returns its entries' bodies. A table that changed meanwhile is read again."""
        async with self._exchange() as sock:
            for _ in range(DUMP_TRIES):
                await self._send(sock, message.packed(self.reserve(1), REQUEST | DUMP))
                bodies, consistent = await self._collect(sock)
                if consistent:
                    break
            return bodies

    async def batch(self, packed: Sequence[bytes], first: int) -> dict[int, NetlinkError]:
        """Send messages as one, the last of which must ask for an acknowledgement; the kernel reports every error.

        `first` comes from `reserve(len(packed))`, and the messages bear `first`, `first + 1`, … Returns the errors
        by position. Messages after one that failed are still carried out.
        """
        async with self._exchange() as sock:
            await self._send(sock, b"".join(packed))
            errors: dict[int, NetlinkError] = {}
            last = len(packed) - 1
            while True:
                for kind, flags, sequence, body in _messages(await self._receive(sock)):
                    if kind != _ERROR:
                        continue
                    if (refusal := _refusal(flags, body)) is not None:
                        errors[sequence - first] = refusal
                    if sequence - first == last:
                        return errors

    def reserve(self, count: int) -> int:
        """The first of `count` sequence numbers in a row."""
        if self._sequence + count > 0xFFFF_FFFF:
            self._sequence = 0
        first = self._sequence + 1
        self._sequence += count
        return first

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    @asynccontextmanager
    async def _exchange(self) -> AsyncIterator[socket.socket]:
        async with self._turn:
            try:
                async with asyncio.timeout(self._deadline):
                    yield self._open()
            except NetlinkError:
                raise
            except TimeoutError:
                self.close()
                raise Unavailable(
                    "netlink_unavailable", f"the kernel did not answer within {self._deadline:g} s."
                ) from None
            except OSError as error:
                self.close()
                raise Unavailable("netlink_unavailable", f"netlink: {error.strerror}.") from error
            except BaseException:
                self.close()
                raise

    def _open(self) -> socket.socket:
        if self._socket is None:
            sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, self._family)
            try:
                sock.setblocking(False)
                try:
                    sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER)
                except PermissionError:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
                for option in (_CAP_ACK, _EXT_ACK, _STRICT_CHECK):
                    sock.setsockopt(_SOL_NETLINK, option, 1)
                sock.bind((0, 0))
            except BaseException:
                sock.close()
                raise
            self._socket = sock
        return self._socket

    @staticmethod
    async def _send(sock: socket.socket, data: bytes) -> None:
        # The kernel works through the messages before send returns: a datagram is taken whole or not at all.
        await asyncio.get_running_loop().sock_sendall(sock, data)

    @staticmethod
    async def _receive(sock: socket.socket) -> bytes:
        # The answer is there when send has returned, so nothing here waits by itself; others must have their turn.
        await asyncio.sleep(0)
        return await asyncio.get_running_loop().sock_recv(sock, _READ_SIZE)

    async def _collect(self, sock: socket.socket) -> tuple[list[bytes], bool]:
        bodies: list[bytes] = []
        consistent = True
        while True:
            for kind, flags, _, body in _messages(await self._receive(sock)):
                consistent = consistent and not flags & _FLAG_INTERRUPTED
                if kind == _DONE:
                    _raise_done(body)
                    return bodies, consistent
                if kind == _ERROR:
                    if (refusal := _refusal(flags, body)) is not None:
                        raise refusal
                    return bodies, consistent
                bodies.append(body)


def _messages(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    offset, end = 0, len(data)
    while offset + HEADER.size <= end:
        length, kind, flags, sequence, _ = HEADER.unpack_from(data, offset)
        if length < HEADER.size:
            return  # no message, and it would never end
        yield kind, flags, sequence, data[offset + HEADER.size : offset + length]
        offset += (length + 3) & ~3


@total("a netlink acknowledgement")
def _refusal(flags: int, body: bytes) -> NetlinkError | None:
    """The error in an acknowledgement; None in a good one."""
    (number,) = struct.unpack_from("=i", body)
    if number == 0:
        return None
    message = ""
    if flags & _FLAG_ACK_TLVS:
        # After the errno comes the header of the refused message, and its body unless the kernel capped it.
        (echoed,) = struct.unpack_from("=I", body, 4)
        offset = 4 + (HEADER.size if flags & _FLAG_CAPPED else (echoed + 3) & ~3)
        for kind, value in attributes(body, offset):
            if kind == _ERROR_MESSAGE:
                message = text(value)
    return NetlinkError(-number, message)


def _raise_done(body: bytes) -> None:
    if len(body) >= 4:
        (number,) = struct.unpack_from("=i", body)
        if number < 0:
            raise NetlinkError(-number)


MISSING: Final = frozenset({errno.ENODEV, errno.ENOENT, errno.ESRCH, errno.EADDRNOTAVAIL, errno.ENXIO})
"""What the kernel says of deleting what is not there."""
