"""Relays with real agents and a client's host in network namespaces on one bridge, with no control plane.

Agents get their documents as files. `lose_power` takes all that a host has but its disk.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any, Protocol

import msgspec
from altnet.client.status import ClientView
from altnet.common.contracts.desired import RelayDocument, pack
from altnet.common.errors import AltnetError
from altnet.relay_agent.control import ask_status
from altnet.relay_agent.disk_state import DiskState
from altnet.relay_agent.status import AgentStatus

from support.netns import Namespace, NamespaceFactory
from support.relays import PLAN, Paper, enrolment_of, entry, identity_of, key_of

WITHIN = 60.0
"""Seconds that a busy machine may take for what an idle one does in one."""

PORT = 7070
"""Of the TCP connection that `Talk` keeps up."""


def eventually(check: Callable[[], bool], what: str, within: float = WITHIN) -> float:
    """Wait until `check` holds; seconds that it took."""
    began = time.monotonic()
    while not check():
        assert time.monotonic() - began < within, what
        time.sleep(0.05)
    return time.monotonic() - began


@dataclass
class Host:
    """A namespace with one program of ours."""

    name: str
    namespace: Namespace
    state_dir: Path
    process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self, *arguments: str, env: dict[str, str] | None = None) -> None:
        with (self.state_dir.parent / f"{self.name}.log").open("ab") as log:
            command = [*self.namespace.wg[:-1], sys.executable, "-m", *arguments]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **(env or {})})

    def kill(self, how: int = signal.SIGKILL) -> None:
        assert self.process is not None
        self.process.send_signal(how)
        self.process.wait(WITHIN)
        self.process = None

    def reaches(self, address: object, *options: str) -> bool:
        ping = ["ping", "-6", "-n", "-c", "1", "-W", "1", *options, str(address)]
        return subprocess.run([*self.namespace.command, *ping], check=False, capture_output=True).returncode == 0

    def lose_power(self) -> None:
        """Everything at once: processes, interfaces, routes, rules. The disk stays."""
        for pid in self.namespace.run("ip", "netns", "pids", self.namespace.name).split():
            if int(pid) != os.getpid():
                with contextlib.suppress(ProcessLookupError):  # the lister itself
                    os.kill(int(pid), signal.SIGKILL)
        if self.process is not None:
            self.process.wait(WITHIN)
            self.process = None
        for link in json.loads(self.namespace.run("ip", "-j", "link")):
            if link["ifname"] != "lo":
                self.namespace.run("ip", "link", "del", link["ifname"], check=False)
        self.namespace.run("ip", "addr", "flush", "dev", "lo")
        self.namespace.run("ip", "-6", "route", "flush", "table", "main", check=False)
        self.namespace.run("nft", "flush", "ruleset")
        for sock in self.namespace.sockets.iterdir():
            if sock.suffix == ".sock":
                sock.unlink()


@dataclass
class Relay(Host):
    slot: int = 0

    @property
    def address(self) -> str:
        return str(PLAN.relay_address(self.slot))

    def run(self, **env: str) -> None:
        flags = ("--state-dir", str(self.state_dir), "--backend", "wireguard-go")
        self.start("altnet.relay_agent", "run", *flags, env=env)

    def write(self, paper: Paper, wanted: RelayDocument) -> None:
        state = DiskState(self.state_dir, make=lambda: identity_of(self.name))
        state.open()
        state.identity()

        async def save() -> None:
            await state.save_enrolment(enrolment_of(self.name, self.slot))
            await state.save_snapshot(paper.snapshot())
            await state.save_document(pack(wanted))

        asyncio.run(save())

    def status(self) -> AgentStatus | None:
        try:
            return asyncio.run(ask_status(str(self.state_dir / "control.sock"), timeout=WITHIN))
        except AltnetError:
            return None

    def settled(self) -> bool:
        status = self.status()
        return status is not None and status.settled

    def holds(self, name: str = "x") -> bool:
        """Whether the client is attached here, as the agent sees it."""
        status = self.status()
        return status is not None and any(it.client == f"cli_{name}" and it.attached for it in status.clients)

    def delivers(self, address: object) -> bool:
        """Whether a client's /128 is routed to the access interface."""
        return "alta0" in self.namespace.run("ip", "-6", "route", "show", f"{address}/128")


@dataclass
class Machine(Host):
    """The client's host."""

    def arguments(self, *command: str) -> list[str]:
        flags = ["--state-dir", str(self.state_dir), "--backend", "wireguard-go"]
        return ["altnet.client", *command, *flags]

    def run(self, *more: str, **env: str) -> None:
        self.start(*self.arguments("run", *more), env=env)

    def ask(self, *command: str) -> tuple[int, Any]:
        argv = [*self.namespace.wg[:-1], sys.executable, "-m", *self.arguments(*command), "--json"]
        done = subprocess.run(argv, check=False, capture_output=True, timeout=30)
        assert done.stdout, done.stderr.decode()
        return done.returncode, json.loads(done.stdout)

    def view(self) -> ClientView | None:
        """As `altnetd status` asks, without the start of an interpreter."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(WITHIN)
            try:
                sock.connect(str(self.state_dir / "control.sock"))
            except OSError:
                return None
            sock.sendall(b"status\n")
            with sock.makefile("rb") as lines:
                return msgspec.json.decode(lines.readline(), type=ClientView)

    def uses(self, name: str) -> bool:
        """Whether this relay carries the client, holds it, and says so."""
        view = self.view()
        return view is not None and (view.relay, view.attached, view.health) == (f"rly_{name}", True, "ok")


class Placed(Protocol):
    """What has a namespace."""

    @property
    def namespace(self) -> Namespace: ...


class Talk:
    """One TCP connection, on which the client sends a line every 20 ms and gets it back; one thread, both ends."""

    def __init__(self, machine: Placed, server: Placed, address: str) -> None:
        with server.namespace.entered():
            self.listener = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind((address, PORT))
            self.listener.listen()
        self.echoing = threading.Thread(target=self._echo, daemon=True)
        self.echoing.start()
        with machine.namespace.entered():
            self.connection = socket.create_connection((address, PORT), timeout=WITHIN)
        self.local = self.connection.getsockname()[0]
        self.lines = 0
        self.longest = 0.0
        self.error: OSError | None = None
        self.going = True
        self.talking = threading.Thread(target=self._talk, daemon=True)
        self.talking.start()

    def _echo(self) -> None:
        accepted, _ = self.listener.accept()
        with accepted:
            while data := accepted.recv(4096):
                accepted.sendall(data)

    def _talk(self) -> None:
        last = time.monotonic()
        try:
            while self.going:
                self.connection.sendall(b"%015d\n" % self.lines)
                got = b""
                while len(got) < 16:
                    more = self.connection.recv(16 - len(got))
                    if not more:
                        raise ConnectionResetError("the other end has closed")
                    got += more
                assert got == b"%015d\n" % self.lines
                self.lines += 1
                now = time.monotonic()
                self.longest = max(self.longest, now - last)
                last = now
                time.sleep(0.02)
        except OSError as error:
            self.error = error

    def goes_on(self) -> bool:
        """Whether another line comes back."""
        assert self.error is None, self.error
        before = self.lines
        eventually(lambda: self.lines > before + 5 or self.error is not None, "no line comes back")
        return self.error is None

    def end(self) -> None:
        self.going = False
        self.talking.join(WITHIN)
        self.connection.close()
        self.listener.close()


@dataclass
class Net:
    """Relays `a` (the client's home) and `b`, and the client's host, all on one bridge."""

    core: Namespace
    make: NamespaceFactory
    directory: Path
    paper: Paper = field(default_factory=Paper)
    hosts: list[Host] = field(default_factory=list)

    def attach(self, namespace: Namespace, name: str, address: str) -> None:
        # A host that comes back has its card of before: with another one it is not found for half a minute.
        card = f"02:00:00:00:00:{int(IPv6Address(address)) & 0xFF:02x}"
        here = ("ip", "link", "add", f"v{name}", "type", "veth")
        self.core.run(*here, "peer", "name", "eth0", "address", card, "netns", namespace.name)
        self.core.run("ip", "link", "set", f"v{name}", "master", "br0", "up")
        namespace.run("ip", "addr", "add", f"{address}/64", "dev", "eth0", "nodad")
        namespace.run("ip", "link", "set", "eth0", "up")

    def relay(self, name: str, slot: int) -> Relay:
        namespace = self.make(f"client-{name}")
        self.attach(namespace, name, f"fd00:98::{slot}")
        made = Relay(name, namespace, self.directory / name, slot=slot)
        self.hosts.append(made)
        self.paper.put(entry(name, slot, endpoints=(f"[fd00:98::{slot}]:51820",)))
        return made

    def machine(self) -> Machine:
        namespace = self.make("client-x")
        self.attach(namespace, "x", "fd00:98::77")
        made = Machine("x", namespace, self.directory / "x")
        made.state_dir.mkdir(mode=0o700)
        self.hosts.append(made)
        identity = base64.b64encode(key_of("x", "client").reveal()).decode()
        file = made.state_dir / "identity.json"
        file.touch(0o600)
        file.write_text(json.dumps({"private_key": identity}))
        return made


@contextmanager
def overlay(make: NamespaceFactory) -> Iterator[Net]:
    """An empty bridge to put hosts on; ends their programs, and prints what they said."""
    directory = Path(tempfile.mkdtemp(prefix="altnet-client-", dir="/tmp"))
    core = make("client-core")
    core.run("ip", "link", "add", "br0", "type", "bridge")
    core.run("ip", "link", "set", "br0", "up")
    made = Net(core, make, directory)
    try:
        yield made
    finally:
        for host in made.hosts:
            if isinstance(host, Machine):
                print(f"--- {host.view()}")
            if host.process is not None:
                host.kill()
        for log in directory.glob("*.log"):
            print(f"--- {log.name}\n{log.read_text()[-4000:]}")
        shutil.rmtree(directory, ignore_errors=True)
