"""A lab for one system under measure: the network alone, and processes of the system's own in its hosts.

Every system gets the same namespaces, cables and cuts. Invariant: however a bench ends, its lab is removed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from altnet.host.lab import commands, enrol, launcher, namespaces, tuning
from altnet.host.lab.lab import Lab
from altnet.host.lab.settings import LabSettings
from altnet.host.lab.topology import UPLINK, Spec

PREFIX: Final = f"labr{os.getpid() % 100_000}"
TIMEOUT: Final = 20.0
"""Seconds for one command, and for one process to show its first sign of life."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A lab of relays `relay1` … `relay<n>`."""

    lab: Lab
    relays: tuple[str, ...]

    def namespace(self, relay: str) -> str:
        return f"{PREFIX}-{relay}"

    def underlay(self, relay: str) -> str:
        return str(self.lab.topology().address(relay))

    def run(self, relay: str, argv: Sequence[str], *, stdin: str = "", check: bool = True) -> str:
        """Run a command on a relay, with its own /run/wireguard, to its end."""
        line = launcher.enter_argv(self.lab.topology().host(relay), self.lab.files, argv)
        return commands.run(line, stdin=stdin, timeout=TIMEOUT, check=check).stdout

    def ip(self, relay: str, lines: Sequence[str]) -> None:
        commands.ip_batch(lines, namespace=self.namespace(relay), timeout=TIMEOUT)

    def start(self, relay: str, name: str, argv: Sequence[str], **env: str) -> launcher.Process:
        """Start a process on a relay; its log is `<name>.log` on the relay's disk."""
        with self.lab.files.locked() as lock:
            host = self.lab.topology().host(relay)
            whole = launcher.environment(os.environ, env)
            return launcher.start(host, name, argv, files=self.lab.files, lock=lock, env=whole)

    def disk(self, relay: str) -> Path:
        return self.lab.files.host(relay)

    def packets(self, relay: str) -> int:
        """How many packets have come in on its cable."""
        with namespaces.inside(self.namespace(relay)):
            for line in Path("/proc/thread-self/net/dev").read_text().splitlines():
                name, _, numbers = line.partition(":")
                if name.strip() == UPLINK:
                    return int(numbers.split()[1])
        raise RuntimeError(f"{relay} has no cable")


@contextlib.contextmanager
def place(
    relays: int,
    *,
    until: str = "network",
    settings: Mapping[str, float] | None = None,
    control_env: Mapping[str, str] | None = None,
) -> Iterator[Place]:
    """A lab of that many relays, up to the network or, for our own system, up to its relays.

    `settings`: of the network, instead of its defaults. `control_env`: of the control plane.
    """
    directory = Path(tempfile.mkdtemp(prefix="altnet-bench-"))
    directory.chmod(0o755)  # Postgres runs as another user
    lab = Lab(
        LabSettings(
            prefix=PREFIX,
            run_dir=str(directory),
            api_port=0,
            enrol_timeout=600.0,
            control_env=dict(control_env or {}),
        )
    )
    spec = Spec(prefix=PREFIX, relays=relays, clients=0)
    before = {name: tuning.read_sysctl(name) for name in tuning.needs(spec)}
    try:
        tuning.apply(tuning.too_low(spec, tuning.read_sysctl))
        if settings:
            lab.up(spec, until="control")
            enrol.open_api(lab.control_plane()).change_settings(**settings)
        lab.up(spec, network_only=until == "network", until=until)
        yield Place(lab=lab, relays=tuple(f"relay{number + 1}" for number in range(relays)))
    finally:
        lab.down()
        shutil.rmtree(directory, ignore_errors=True)
        tuning.restore(before)


def until(condition: Callable[[], bool], *, timeout: float, what: str, poll: float = 0.05) -> float:
    """Wait; returns the seconds it took. Raises `TimeoutError` naming what did not come."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > timeout:
            raise TimeoutError(f"{what}: not within {timeout:g} s")
        time.sleep(poll)
    return time.monotonic() - began
