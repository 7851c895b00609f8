"""Runs an application on listening sockets, as one job among others.

uvicorn serves; signals, logs and the lifetime of sockets stay the host's. Sockets are made here: for a name that has
IPv4 and IPv6 addresses one each, for Unix paths, or taken over from systemd (sd_listen_fds(3)).

Invariant: `serve` ends within its grace, whatever clients do; event streams are told to end.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterator, MutableMapping, Sequence
from pathlib import Path
from typing import Any, Final

import uvicorn
from altnet.common.errors import Invalid
from altnet.common.http.settings import HttpSettings
from altnet.common.http.sse import CLOSING_KEY
from starlette.types import ASGIApp, Receive, Scope, Send

BACKLOG: Final = 1024
"""Connections that the kernel holds while the process is busy or restarting."""

_FIRST_INHERITED: Final = 3
_PORT_ATTEMPTS: Final = 20


async def serve(
    app: ASGIApp, *, sockets: Sequence[socket.socket], settings: HttpSettings, started: asyncio.Event | None = None
) -> None:
    """Serve `app` on all `sockets` until cancelled; `started` is set once connections are taken.

    On cancellation the sockets are closed at once, open requests get `settings.shutdown_grace` seconds to end, event
    streams end at once. After a crash the sockets are still open, so that a supervisor may start this again.
    """
    closing = asyncio.Event()

    async def marked(scope: Scope, receive: Receive, send: Send) -> None:
        scope[CLOSING_KEY] = closing
        await app(scope, receive, send)

    server = _Server(_config(marked, settings), started)
    # uvicorn closes what it is given; copies leave ours open for a restart.
    running = asyncio.create_task(server.serve(sockets=[listener.dup() for listener in sockets]), name="uvicorn")
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        if running.done():
            raise
        for listener in sockets:
            listener.close()
        closing.set()
        server.should_exit = True
        # uvicorn bounds its own waiting by the grace, and looks up every 0.1 s; the rest is for its last steps.
        _, late = await asyncio.wait([running], timeout=settings.shutdown_grace + 2)
        if late:
            running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        raise


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers, which would take the process's; and with a word when it has started."""

    def __init__(self, config: uvicorn.Config, started: asyncio.Event | None) -> None:
        super().__init__(config)
        self._told = started

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self._told is not None:
            self._told.set()


def _config(app: Any, settings: HttpSettings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,  # its lines go where all others go
        access_log=False,  # the frame writes a better one
        lifespan="off",  # services are opened by their host
        ws="none",
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=settings.keep_alive,
        timeout_graceful_shutdown=settings.shutdown_grace,  # type: ignore[arg-type]  # only ever given to wait_for
    )


def listen(host: str, port: int) -> list[socket.socket]:
    """Listening sockets on every address of `host`; "" or "*" is every address of the machine, IPv4 and IPv6.

    Each family gets its own socket, since one IPv6 socket for both is a setting of the machine, and asyncio turns it
    off. With port 0 all get the same free port. Raises `Invalid` (`cannot_listen`).
    """
    try:
        found = socket.getaddrinfo(
            None if host in ("", "*") else host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise _cannot(f"{host} has no address: {error.strerror}.") from None
    addresses = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
    for attempt in range(_PORT_ATTEMPTS):
        sockets: list[socket.socket] = []
        try:
            chosen = port
            for family, address in addresses:
                listener = _bind(family, (address[0], chosen, *address[2:]))
                if listener is not None:
                    sockets.append(listener)
                    chosen = listener.getsockname()[1]
        except OSError as error:
            for listener in sockets:
                listener.close()
            # The free port of one family may be taken in the other; then another one is tried.
            if port != 0 or error.errno != errno.EADDRINUSE or attempt == _PORT_ATTEMPTS - 1:
                raise _cannot(f"{host or '*'} port {port}: {error.strerror}.") from None
        else:
            if not sockets:
                raise _cannot(f"this machine has none of the addresses of {host}.")
            return sockets
    raise AssertionError("the loop above returns or raises")


def listen_unix(path: Path, *, mode: int = 0o660) -> socket.socket:
    """A listening Unix socket; a dead one at `path` is replaced, a living one is not. Raises `Invalid`."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise _cannot(f"{path} is there, and is no socket.")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            if probe.connect_ex(str(path)) == 0:
                raise _cannot(f"somebody serves {path} already.")
        path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)  # nobody may connect between bind and chmod
    try:
        listener.bind(str(path))
        path.chmod(mode)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise _cannot(f"{path}: {error.strerror}.") from None
    finally:
        os.umask(before)
    listener.setblocking(False)
    return listener


def inherited_sockets(env: MutableMapping[str, str], *, first: int = _FIRST_INHERITED) -> list[socket.socket]:
    """The sockets that systemd opened for this process; none without `LISTEN_FDS`.

    Takes the variables out of `env`, so that no child believes that they are its own. Raises `Invalid`.
    """
    count, owner = env.pop("LISTEN_FDS", ""), env.pop("LISTEN_PID", "")
    env.pop("LISTEN_FDNAMES", None)
    if not count or owner != str(os.getpid()):
        return []
    if not count.isdigit():
        raise _cannot(f"LISTEN_FDS is {count!r}, not a number.")
    sockets = []
    for number in range(first, first + int(count)):
        try:
            listener = socket.socket(fileno=number)
        except OSError as error:
            raise _cannot(f"the inherited file {number} is no socket: {error.strerror}.") from None
        listener.set_inheritable(False)
        listener.setblocking(False)
        sockets.append(listener)
    return sockets


def _bind(family: int, address: tuple[Any, ...]) -> socket.socket | None:
    try:
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        if error.errno == errno.EAFNOSUPPORT:
            return None  # a machine without IPv6 (or IPv4) still has addresses of it in its resolver
        raise
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRNOTAVAIL:
            return None
        raise
    return listener


def _cannot(reason: str) -> Invalid:
    return Invalid("cannot_listen", reason, mend="Choose another address or port, or stop what uses it.")
