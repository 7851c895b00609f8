"""Routers outside the network, as a relay's neighbours: FRR, GoBGP and BIRD, real programs in a namespace of their own.

Each has its own directory and is started and ended by the pids that it was given. What they tell is set as a whole
(`tell`), so that a test reads as what the neighbour says.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.netns import Namespace

LINK = "fd00:bb::"
"""The network between the relay (`…1`) and the router (`…2`)."""
WAIT = 10.0
"""Seconds for a program to end or to answer."""


@dataclass(frozen=True, kw_only=True)
class Speaker:
    """What a router outside is set to."""

    asn: int
    relay_asn: int
    address: str = f"{LINK}2"
    relay: str = f"{LINK}1"
    password: str = ""
    bfd: bool = False
    hops: int = 0
    """To the relay; 0: it is on the same network."""
    ipv4: bool = False
    """Carries IPv4 as well, over the IPv6 session (RFC 8950)."""


class Outside(ABC):
    """One router. Its processes live in `namespace` and end with `close`."""

    kind: str
    program: str
    """Where it is, or what it is called."""
    package: str
    recovering = False
    """Says of itself that it is restarting (RFC 4724's R bit), for all of a test."""
    forwards = True
    """Gives the kernel what it hears; for one that does not, a test that sends packets has to."""

    def __init__(self, namespace: Namespace, speaker: Speaker) -> None:
        if shutil.which(self.program) is None:
            pytest.skip(f"{self.program} is not installed: apt-get install {self.package}")
        self.namespace = namespace
        self.speaker = speaker
        self.directory = Path(tempfile.mkdtemp(prefix=f"altnet-edge-{self.kind}-", dir="/tmp"))
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._told: tuple[str, ...] = ()

    @abstractmethod
    def start(self) -> None:
        """Run it, telling what was last told."""

    @abstractmethod
    def tell(self, prefixes: Iterable[str]) -> None:
        """Announce these and nothing else."""

    @abstractmethod
    def heard(self) -> set[str]:
        """The prefixes that the relay has announced to it; empty while it does not answer."""

    def spawn(self, name: str, *command: str) -> None:
        with (self.directory / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [*self.namespace.command, *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/"
            )

    def end(self, name: str, how: signal.Signals = signal.SIGTERM) -> None:
        process = self.processes.pop(name)
        process.send_signal(how)
        try:
            process.wait(WAIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(WAIT)

    def kill(self) -> None:
        """It dies at once: no word to anybody."""
        for name in list(self.processes):
            self.end(name, signal.SIGKILL)

    def leave(self) -> None:
        """Say goodbye and end."""
        for name in reversed(list(self.processes)):
            self.end(name)

    def close(self) -> None:
        """End it and take its files away."""
        for name in reversed(list(self.processes)):
            self.end(name)
        for log in sorted(self.directory.glob("*.log")):
            print(f"--- {self.kind} {log.name}\n{log.read_text(errors='replace')[-1500:]}")
        shutil.rmtree(self.directory, ignore_errors=True)

    def ask(self, *command: str) -> str | None:
        """The output of one of its tools; None where it fails: the router is not there, or not yet."""
        done = subprocess.run(
            [*self.namespace.command, *command],
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=WAIT,
        )
        return done.stdout if done.returncode == 0 else None
