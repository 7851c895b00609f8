"""WireGuard in user space: wireguard-go, started as a daemon and driven over its UAPI socket.

The daemon outlives the agent, so that a restart of the agent costs no session. Changes are streamed: what ten
thousand peers need in memory is one piece of text. The socket's text protocol is that of
https://www.wireguard.com/xplatform/#cross-platform-userspace-implementation.

Two hosts that share /var/run/wireguard must not use the same interface name: the socket is found by name alone.

Invariant: no operation replaces the peers of a device.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from altnet.common.errors import Conflict, NotFound
from altnet.common.kernel import netlink
from altnet.common.kernel.rt_links import RtLinks
from altnet.common.kernel.uapi_text import DeviceParser, change_text
from altnet.common.kernel.wg_daemon import start_daemon
from altnet.common.kernel.wireguard import (
    DeviceConfig,
    DeviceState,
    PeerChange,
    WireGuardRefused,
    check_name,
    no_device,
    wireguard_unavailable,
)
from altnet.common.keys import PublicKey

SOCKET_DIR: Final = Path("/var/run/wireguard")
"""Built into wireguard-go and wg(8)."""

PIECE: Final = 1 << 16
"""Bytes written or read at once: a few hundred peers, about a millisecond of work between two turns of the loop."""

SEND_BUFFER: Final = 1 << 20
"""Bytes on their way to the daemon: it works through them while we write the next, and neither waits for the other."""
_SO_SNDBUFFORCE: Final = 32

FAULT_CHUNK: Final = 256
"""Changes tried together while looking for the one at fault: two chunks of tries for each, not ten thousand."""

START_DEADLINE: Final = 10.0
"""Seconds for wireguard-go to make its device: some 10 ms in fact, more on a host that is busy booting."""

_KIND: Final = "tun"


class UserspaceWireGuard:
    """`WireGuard` by wireguard-go, for devices whose names begin with `prefix`.

    `command` starts a daemon when given a name; `sockets` is where its sockets appear. `deadline` in seconds bounds
    each exchange with it.
    """

    backend = "wireguard-go"

    def __init__(
        self,
        *,
        prefix: str,
        command: Sequence[str] = ("wireguard-go",),
        sockets: Path = SOCKET_DIR,
        deadline: float = netlink.DEADLINE,
        start_deadline: float = START_DEADLINE,
    ) -> None:
        self._prefix = prefix
        self._command = tuple(command)
        self._sockets = sockets
        self._deadline = deadline
        self._start_deadline = start_deadline
        self._links = RtLinks(deadline=deadline)

    async def create(self, name: str) -> None:
        check_name(name)
        link = await self._links.read(name)
        alive = await self._alive(name)
        if alive and link is not None and link.kind == _KIND:
            return
        if alive or link is not None:
            raise Conflict(
                "name_in_use",
                f"{name} is an interface of another kind, or of a daemon in another network namespace.",
                mend="Choose another name.",
            )
        await start_daemon(self._command, name, deadline=self._start_deadline)
        if not await self._alive(name):
            raise wireguard_unavailable(f"wireguard-go for {name} started without its socket in {self._sockets}")
        # As the kernel's WireGuard does; else IPv6 invents a link-local address when the device comes up.
        await self._links.change(name, generate_addresses=False)

    async def configure(self, name: str, config: DeviceConfig) -> None:
        lines = f"private_key={config.private_key.reveal().hex()}\n"
        # Setting a port again would close and open its sockets.
        if await self._listen_port(name) != config.listen_port:
            lines += f"listen_port={config.listen_port}\n"
        number = await self._set(name, [lines.encode()])
        if number:
            raise _error(name, number)

    async def apply(self, name: str, changes: Sequence[PeerChange]) -> None:
        number = await self._set(name, map(change_text, changes))
        if number:
            await self._find_fault(name, changes, number)

    async def read(self, name: str) -> DeviceState:
        parser = DeviceParser(name)
        async with self._connection(name) as channel:
            await channel.send(b"get=1\n\n")
            rest = b""
            while True:
                lines = (rest + await channel.receive()).split(b"\n")
                rest = lines.pop()
                if parser.feed(lines):
                    break
        if parser.number:
            raise _error(name, parser.number)
        return parser.device()

    async def remove(self, name: str) -> None:
        try:
            async with self._connection(name) as channel:
                # A daemon ends when its socket's file or its device goes; our connection ends with it.
                self._path(name).unlink(missing_ok=True)
                link = await self._links.read(name)
                if link is not None and link.kind == _KIND:
                    await self._links.delete(name)
                await channel.wait_closed()
        except _NoDaemon:
            self._forget(name)

    async def list(self) -> tuple[str, ...]:
        links = await self._links.read_all(self._prefix)
        found = []
        for path in sorted(self._sockets.glob("*.sock")):
            name = path.name.removesuffix(".sock")
            if name.startswith(self._prefix) and await self._alive(name):
                link = links.get(name)
                if link is not None and link.kind == _KIND:
                    found.append(name)
        return tuple(found)

    async def close(self) -> None:
        self._links.close()

    def _path(self, name: str) -> Path:
        return self._sockets / f"{name}.sock"

    def _forget(self, name: str) -> None:
        """Remove the socket of a daemon that was killed."""
        path = self._path(name)
        with suppress(FileNotFoundError):
            if stat.S_ISSOCK(path.lstat().st_mode):
                path.unlink()

    async def _alive(self, name: str) -> bool:
        try:
            async with self._connection(name):
                return True
        except _NoDaemon as error:
            if error.stale:
                self._forget(name)
            return False

    @asynccontextmanager
    async def _connection(self, name: str) -> AsyncIterator[_Channel]:
        """A connection to the daemon, all of whose use must end within the deadline. Raises `_NoDaemon`."""
        try:
            async with asyncio.timeout(self._deadline):
                with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as sock:
                    sock.setblocking(False)
                    with suppress(PermissionError):
                        sock.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, SEND_BUFFER)
                    try:
                        await asyncio.get_running_loop().sock_connect(sock, str(self._path(name)))
                    except (FileNotFoundError, ConnectionRefusedError) as error:
                        raise _NoDaemon(name, stale=isinstance(error, ConnectionRefusedError)) from error
                    yield _Channel(name, sock)
        except TimeoutError:
            raise wireguard_unavailable(f"{name}: no answer within {self._deadline:g} s") from None
        except (ConnectionError, PermissionError) as error:
            raise wireguard_unavailable(f"{name}: {os.strerror(error.errno or 0)}") from error

    async def _set(self, name: str, pieces: Iterable[bytes]) -> int:
        """One `set` operation; returns its errno, 0 for success."""
        async with self._connection(name) as channel:
            # Refused in mid-stream, the daemon has answered and does not read the rest.
            with suppress(ConnectionError):
                await _stream(channel, pieces)
            answer = b""
            while not answer.endswith(b"\n\n"):
                answer += await channel.receive()
        return abs(int(answer.removeprefix(b"errno=")))

    async def _listen_port(self, name: str) -> int:
        """The port it has; reads no further than its peers. 0 where none is set."""
        async with self._connection(name) as channel:
            await channel.send(b"get=1\n\n")
            head = b"\n"
            while not (b"\npublic_key=" in head or head.endswith(b"\n\n")):
                head += await channel.receive()
        _, found, rest = head.partition(b"\nlisten_port=")
        return int(rest.partition(b"\n")[0]) if found else 0

    async def _find_fault(self, name: str, changes: Sequence[PeerChange], number: int) -> None:
        """Make the changes again in smaller steps, so that the error can name the peer.

        Every change is level-triggered, so making it twice does no harm. Returns if all go through now.
        """
        if len(changes) == 1:
            raise _error(name, number, changes[0].key)
        step = FAULT_CHUNK if len(changes) > FAULT_CHUNK else 1
        for start in range(0, len(changes), step):
            some = changes[start : start + step]
            again = await self._set(name, map(change_text, some))
            if again:
                await self._find_fault(name, some, again)


class _Channel:
    """A connection to a daemon. Sockets and not streams: a stream that cannot write throws away what it could read."""

    def __init__(self, name: str, sock: socket.socket) -> None:
        self._name = name
        self._socket = sock

    async def send(self, data: bytes | bytearray) -> None:
        await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def receive(self) -> bytes:
        """What has come, at least one byte. Raises `Unavailable` where the daemon has closed."""
        # While there is data sock_recv does not wait; others must have their turn.
        await asyncio.sleep(0)
        data = await asyncio.get_running_loop().sock_recv(self._socket, PIECE)
        if not data:
            raise wireguard_unavailable(f"{self._name}: the daemon closed its socket")
        return data

    async def wait_closed(self) -> None:
        """Until the daemon is gone."""
        with suppress(ConnectionError):
            while await asyncio.get_running_loop().sock_recv(self._socket, PIECE):
                pass


class _NoDaemon(NotFound):
    """Nobody listens on the socket (`stale`: its daemon was killed), or there is none."""

    def __init__(self, name: str, *, stale: bool) -> None:
        error = no_device(name)
        super().__init__(error.code, error.detail, mend=error.mend)
        self.stale = stale


def _error(name: str, number: int, peer: PublicKey | None = None) -> Exception:
    if number in {errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EIO}:
        return wireguard_unavailable(f"{name}: {os.strerror(number)}")
    return WireGuardRefused(name, os.strerror(number), peer=peer)


async def _stream(channel: _Channel, pieces: Iterable[bytes]) -> None:
    buffer = bytearray(b"set=1\n")
    for piece in pieces:
        buffer += piece
        if len(buffer) >= PIECE:
            await channel.send(buffer)
            buffer.clear()
    await channel.send(buffer + b"\n")
