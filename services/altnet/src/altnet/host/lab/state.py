"""What a lab remembers between two commands, and the lock that keeps two commands apart.

    <run dir>/<prefix>.lock          held by whoever changes the lab
    <run dir>/<prefix>/state.json    size, hosts that were killed, cuts, impaired paths, what runs where
    <run dir>/<prefix>/<host>/       the host's disk: settings, state, logs, `wireguard` (its /run/wireguard)

The state says what is *wanted*; what is there is asked of the kernel each time. Pids are not in it: a process
writes its own (`launcher`).

Invariant: the file is replaced as a whole, so a killed command leaves the old state or the new one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
from altnet.common.errors import Conflict, Unavailable
from altnet.common.files import write_private
from altnet.host.lab.faults import Cut, Faults, Impairment, Shape
from altnet.host.lab.settings import LabSettings, check_prefix
from altnet.host.lab.topology import Spec


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A process that should run on a host. `env` holds no secret; those are in files."""

    host: str
    name: str
    argv: tuple[str, ...]
    env: dict[str, str] = {}
    inherits_api: bool = False
    """It is given the socket on which the operator reaches the API from outside the lab."""


class Tunnel(msgspec.Struct, frozen=True, kw_only=True):
    """A client's WireGuard interface, made of the wg-quick file `config`."""

    host: str
    config: str
    client: str
    """The client's id in the registry."""


class LabState(msgspec.Struct, frozen=True, kw_only=True):
    spec: Spec
    absent: tuple[str, ...] = ()
    """Hosts that were killed as a whole and not healed since."""
    cuts: tuple[Cut, ...] = ()
    impairments: tuple[Impairment, ...] = ()
    shape: Shape = Shape.FULL
    wanted: tuple[Wanted, ...] = ()
    tunnels: tuple[Tunnel, ...] = ()
    api: str | None = None
    """The API's address outside the namespaces."""
    api_port: int = 0
    """Of `api`, kept over restarts."""

    @property
    def faults(self) -> Faults:
        return Faults(cuts=self.cuts, impairments=self.impairments, shape=self.shape)

    def process(self, host: str, name: str) -> Wanted | None:
        return next((one for one in self.wanted if (one.host, one.name) == (host, name)), None)


class LabFiles:
    """Where a lab keeps what."""

    def __init__(self, settings: LabSettings) -> None:
        self.settings = settings
        self.run_dir = Path(settings.run_dir)
        self.root = self.run_dir / check_prefix(settings.prefix)
        self.state_file = self.root / "state.json"
        self.lock_file = self.run_dir / f"{settings.prefix}.lock"

    def host(self, name: str) -> Path:
        return self.root / name

    def wireguard(self, name: str) -> Path:
        return self.host(name) / "wireguard"

    def make_host(self, name: str) -> Path:
        """The host's directory, made if need be. Others may pass through: Postgres runs as another user."""
        self.run_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.root.mkdir(mode=0o755, exist_ok=True)
        directory = self.host(name)
        directory.mkdir(mode=0o755, exist_ok=True)
        self.wireguard(name).mkdir(mode=0o700, exist_ok=True)
        return directory

    def read(self) -> LabState | None:
        """None if there is no lab. Raises `Conflict` (`bad_lab_state`) if the file cannot be read."""
        try:
            data = self.state_file.read_bytes()
        except FileNotFoundError:
            return None
        try:
            return msgspec.json.decode(data, type=LabState)
        except ValueError as error:
            raise Conflict(
                "bad_lab_state",
                f"{self.state_file} is not a state of this version: {error}.",
                mend="`altnet lab down` removes the lab all the same.",
            ) from error

    def write(self, state: LabState) -> None:
        self.root.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_private(self.state_file, msgspec.json.format(msgspec.json.encode(state), indent=1))

    @contextlib.contextmanager
    def locked(self) -> Iterator[int]:
        """Hold the lab's lock; yields its descriptor. Raises `Unavailable` (`lab_busy`) after the lock timeout."""
        self.run_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
        fd = os.open(self.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            deadline = time.monotonic() + self.settings.lock_timeout
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        holder = os.pread(fd, 20, 0).decode(errors="replace").strip() or "unknown"
                        raise Unavailable(
                            "lab_busy",
                            f"another command (process {holder}) has been changing this lab for "
                            f"{self.settings.lock_timeout:g} s.",
                            mend="Wait for it, or end it, then try again.",
                        ) from None
                    time.sleep(self.settings.poll)
            os.truncate(fd, 0)
            os.pwrite(fd, str(os.getpid()).encode(), 0)
            try:
                yield fd
            finally:
                # Unlocked by name: a process that is just being started shares the descriptor.
                fcntl.flock(fd, fcntl.LOCK_UN)
        finally:
            os.close(fd)
