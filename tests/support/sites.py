"""Hosts with real agents in network namespaces on one bridge, and the paper that they follow: no control plane at all.

What a relay's agent starts (wireguard-go, BIRD) lives in its namespace and ends with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from altnet.common.contracts.desired import MeshSettings, RelayDocument, pack
from altnet.common.errors import NotFound
from altnet.relay_agent.control import ask_status
from altnet.relay_agent.disk_state import DiskState
from altnet.relay_agent.status import AgentStatus

from support.netns import Namespace, NamespaceFactory
from support.relays import PLAN, Paper, document, enrolment_of, entry, identity_of

WITHIN = 45.0
"""Seconds that a busy machine may take for what an idle one does in one."""
BACKEND = "wireguard-go" if shutil.which("wireguard-go") else "kernel"
"""The virtual machine of `make test-kernel-wg` has the kernel's WireGuard alone."""


@dataclass
class Relay:
    """One host with an agent."""

    name: str
    slot: int
    namespace: Namespace
    state_dir: Path
    process: subprocess.Popen[bytes] | None = field(default=None)
    settings: dict[str, str] = field(default_factory=dict)
    """`ALTNET_AGENT_…` variables, without their beginning."""

    @property
    def address(self) -> str:
        return str(PLAN.relay_address(self.slot))

    def command(self, *arguments: str) -> list[str]:
        inside = [*self.namespace.wg[:-1], sys.executable, "-m", "altnet.relay_agent", *arguments]
        return [*inside, "--state-dir", str(self.state_dir), "--backend", BACKEND]

    def start(self) -> None:
        with (self.state_dir.parent / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(self.command("run"), stdout=log, stderr=log, env=self.environment)

    @property
    def environment(self) -> dict[str, str]:
        told = {f"ALTNET_AGENT_{name}": value for name, value in self.settings.items()}
        if shutil.which("nft") is None:
            told["ALTNET_AGENT_FIREWALL"] = "false"
        return os.environ | told

    def kill(self, how: int = signal.SIGKILL) -> None:
        assert self.process is not None
        self.process.send_signal(how)
        self.process.wait(WITHIN)
        self.process = None

    def ask(self, *arguments: str) -> tuple[int, Any]:
        command = self.command(*arguments, "--json")
        done = subprocess.run(command, check=False, capture_output=True, timeout=30, env=self.environment)
        assert done.stdout, done.stderr.decode()
        return done.returncode, json.loads(done.stdout)

    def write(self, paper: Paper, wanted: RelayDocument) -> None:
        """Put documents into the cache, as if the registry had been there."""
        state = DiskState(self.state_dir, make=lambda: identity_of(self.name))
        state.open()
        state.identity()

        async def save() -> None:
            await state.save_enrolment(enrolment_of(self.name, self.slot))
            await state.save_snapshot(paper.snapshot())
            await state.save_document(pack(wanted))

        asyncio.run(save())

    def status(self) -> AgentStatus | None:
        """As `altnet-agent status` asks, without the start of an interpreter; None while no agent runs."""
        try:
            return asyncio.run(ask_status(str(self.state_dir / "control.sock"), timeout=WITHIN))
        except NotFound:
            return None

    def settled(self) -> bool:
        status = self.status()
        return status is not None and status.settled

    def reaches(self, address: str, *options: str) -> bool:
        ping = ["ping", "-6", "-n", "-c", "1", "-W", "1", *options, address]
        return subprocess.run([*self.namespace.command, *ping], check=False, capture_output=True).returncode == 0


def eventually(check: Callable[[], bool], what: str, within: float = WITHIN) -> float:
    """Wait until `check` holds; seconds that it took."""
    began = time.monotonic()
    while not check():
        assert time.monotonic() - began < within, what
        time.sleep(0.1)
    return time.monotonic() - began


@dataclass
class Site:
    """Relays on one bridge, and the paper they follow."""

    core: Namespace
    make: NamespaceFactory
    directory: Path
    paper: Paper = field(default_factory=Paper)
    relays: dict[str, Relay] = field(default_factory=dict)

    def add(self, name: str, slot: int, **fields: object) -> Relay:
        namespace = self.make(name)
        self.attach(namespace, name, f"fd00:99::{slot}")
        relay = Relay(name, slot, namespace, self.directory / name)
        self.relays[name] = relay
        self.paper.put(entry(name, slot, endpoints=(f"[fd00:99::{slot}]:51820",), **fields))
        return relay

    def attach(self, namespace: Namespace, name: str, address: str) -> None:
        self.core.run("ip", "link", "add", f"v{name}", "type", "veth", "peer", "name", "eth0", "netns", namespace.name)
        self.core.run("ip", "link", "set", f"v{name}", "master", "br0", "up")
        namespace.run("ip", "addr", "add", f"{address}/64", "dev", "eth0", "nodad")
        namespace.run("ip", "link", "set", "eth0", "up")

    def start(self, **documents: RelayDocument) -> None:
        for relay in self.relays.values():
            relay.write(self.paper, documents.get(relay.name, document(relay.name)))
            relay.start()
        for relay in self.relays.values():
            eventually(relay.settled, f"{relay.name} did not settle")

    def all_reach(self) -> bool:
        relays = self.relays.values()
        return all(one.reaches(other.address) for one in relays for other in relays if one is not other)


def empty(namespace: Namespace) -> None:
    """What a reboot leaves: nothing."""
    for pid in namespace.run("ip", "netns", "pids", namespace.name).split():
        if int(pid) != os.getpid():
            with contextlib.suppress(ProcessLookupError):  # the lister itself
                os.kill(int(pid), signal.SIGKILL)
    for link in json.loads(namespace.run("ip", "-j", "link")):
        if link["ifname"] != "lo":
            namespace.run("ip", "link", "del", link["ifname"], check=False)
    namespace.run("ip", "addr", "flush", "dev", "lo")
    namespace.run("ip", "-6", "route", "flush", "table", "main", check=False)
    namespace.run("nft", "flush", "ruleset")
    namespace.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=0")
    for sock in namespace.sockets.iterdir():
        sock.unlink()


@pytest.fixture
def site(netns_factory: NamespaceFactory) -> Iterator[Site]:
    directory = Path(tempfile.mkdtemp(prefix="altnet-agents-", dir="/tmp"))
    core = netns_factory("core")
    core.run("ip", "link", "add", "br0", "type", "bridge")
    core.run("ip", "link", "set", "br0", "up")
    made = Site(core, netns_factory, directory)
    made.paper.settings = MeshSettings(probe=0.2)
    try:
        yield made
    finally:
        for relay in made.relays.values():
            if relay.process is not None:
                relay.kill()
        for log in directory.glob("*.log"):
            print(f"--- {log.name}\n{log.read_text()[-4000:]}")
        shutil.rmtree(directory, ignore_errors=True)
