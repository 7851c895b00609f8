"""A real client on real WireGuard over two real agents in network namespaces, with no control plane.

What this proves: when the relay in use is gone, the client keeps its address and its TCP connection; the relay that
takes over delivers to it; a relay that is alive hears that it was left by way of the other. What it leaves to the
routing tests: how the rest of the mesh learns of the /128; here its one neighbour is told by hand.
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from altnet.client.status import ClientView
from altnet.common.contracts.client import AccessPoint, ClientConfig
from altnet.common.contracts.desired import AccessClient, RelayDocument, pack
from altnet.relay_agent.control import ask_status
from altnet.relay_agent.state import DiskState
from altnet.relay_agent.status import AgentStatus
from support.netns import Namespace, NamespaceFactory
from support.relays import PLAN, PREFIX, Paper, client, document, enrolment_of, entry, identity_of, key_of

pytestmark = [pytest.mark.netns, pytest.mark.slow]

WITHIN = 20.0
"""Seconds that a busy machine may take for what an idle one does in one."""

HOME = PLAN.client_prefix(1)[500]
PORT = 7070


def eventually(check: Callable[[], bool], what: str, within: float = WITHIN) -> float:
    """Wait until `check` holds; seconds that it took."""
    began = time.monotonic()
    while not check():
        assert time.monotonic() - began < within, what
        time.sleep(0.02)
    return time.monotonic() - began


@dataclass
class Host:
    """A namespace with one program of ours."""

    name: str
    namespace: Namespace
    state_dir: Path
    process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self, *arguments: str) -> None:
        with (self.state_dir.parent / f"{self.name}.log").open("ab") as log:
            command = [*self.namespace.wg[:-1], sys.executable, "-m", *arguments]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

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

    def run(self) -> None:
        self.start("altnet.relay_agent", "run", "--state-dir", str(self.state_dir), "--backend", "wireguard-go")

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
        except Exception:
            return None

    def settled(self) -> bool:
        status = self.status()
        return status is not None and status.settled

    def holds(self, name: str = "x") -> bool:
        """Whether the client is attached here, as the agent sees it."""
        status = self.status()
        return status is not None and any(it.client == f"cli_{name}" and it.attached for it in status.clients)

    def delivers(self) -> bool:
        """Whether the client's /128 is routed to the access interface."""
        return "alta0" in self.namespace.run("ip", "-6", "route", "show", f"{HOME}/128")


@dataclass
class Machine(Host):
    """The client's host."""

    def arguments(self, *command: str) -> list[str]:
        flags = ["--state-dir", str(self.state_dir), "--backend", "wireguard-go"]
        return ["altnet.client", *command, *flags]

    def run(self, *more: str) -> None:
        self.start(*self.arguments("run", *more))

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


class Talk:
    """One TCP connection, on which the client sends a line every 20 ms and gets it back; one thread, both ends."""

    def __init__(self, machine: Machine, server: Host, address: str) -> None:
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
        self.core.run("ip", "link", "add", f"v{name}", "type", "veth", "peer", "name", "eth0", "netns", namespace.name)
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


@pytest.fixture
def net(netns_factory: NamespaceFactory) -> Iterator[Net]:
    directory = Path(tempfile.mkdtemp(prefix="altnet-client-", dir="/tmp"))
    core = netns_factory("client-core")
    core.run("ip", "link", "add", "br0", "type", "bridge")
    core.run("ip", "link", "set", "br0", "up")
    made = Net(core, netns_factory, directory)
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


def point(name: str, slot: int, priority: int) -> AccessPoint:
    return AccessPoint(
        relay=f"rly_{name}",
        name=name,
        key=key_of(name, "access").public().base64,
        endpoints=(f"[fd00:98::{slot}]:51830",),
        address=str(PLAN.attach_address(slot)),
        priority=priority,
    )


def roamer(*, standby: bool) -> AccessClient:
    return msgspec.structs.replace(client("x", f"{HOME}/128"), standby=standby, movable=True)


@dataclass
class Connected:
    """Both relays up, the client attached to `a`, a TCP connection to `b`'s own address through it."""

    net: Net
    a: Relay
    b: Relay
    x: Machine
    config: Path


@pytest.fixture
def connected(net: Net) -> Connected:
    a, b, x = net.relay("a", 1), net.relay("b", 2), net.machine()
    a.write(net.paper, document("a", clients=(roamer(standby=False),)))
    b.write(net.paper, document("b", clients=(roamer(standby=True),)))
    for relay in (a, b):
        relay.run()
    for relay in (a, b):
        eventually(relay.settled, f"{relay.name} did not settle")
    config = ClientConfig(
        client="cli_x",
        name="x",
        network="test",
        prefix=str(PREFIX),
        addresses=(f"{HOME}/128",),
        routes=(str(PREFIX),),
        mtu=1280,
        keepalive=25,
        relays=(point("a", 1, 0), point("b", 2, 1)),
        movable=True,
    )
    file = net.directory / "config.json"
    file.write_bytes(msgspec.json.encode(config))
    x.run("--config", str(file))
    eventually(lambda: x.uses("a"), "the client is not attached to a")
    eventually(lambda: x.reaches(b.address), "the client does not reach b through a")
    return Connected(net, a, b, x, file)


def test_a_client_keeps_its_address_and_its_tcp_connection_when_its_relay_loses_its_power(
    connected: Connected,
) -> None:
    a, b, x = connected.a, connected.b, connected.x
    talk = Talk(x, b, b.address)
    try:
        assert talk.goes_on()
        assert talk.local == str(HOME)
        assert not b.delivers(), "not attached, not delivered"
        a.lose_power()
        took = eventually(lambda: x.uses("b"), "the client did not move to b")
        assert talk.goes_on()
        print(f"attached to b {took:.2f} s after the loss; longest silence of the connection {talk.longest:.2f} s")
        assert b.delivers()
        assert b.holds()
        view = x.view()
        assert view is not None
        assert (view.addresses, view.moves) == ((str(HOME),), 1)

        connected.net.attach(a.namespace, "a2", "fd00:98::1")
        a.run()
        eventually(lambda: x.uses("a"), "the client did not go back", within=60)
        assert talk.goes_on(), "the same connection, over the relay of before"
        eventually(lambda: not b.delivers(), "b goes on delivering")
    finally:
        talk.end()


def test_a_relay_that_only_the_client_cannot_reach_hears_that_it_was_left(connected: Connected) -> None:
    a, b, x = connected.a, connected.b, connected.x
    talk = Talk(x, b, b.address)
    try:
        assert talk.goes_on()
        # As routing would: the home relay learns the /128 from b, and prefers it to its own /64.
        by_b = ["via", "fe80::2", "dev", "altl2", "src", a.address, "metric", "32"]
        a.namespace.run("ip", "-6", "route", "add", f"{HOME}/128", *by_b)
        x.namespace.run("nft", "add table inet cut")
        x.namespace.run("nft", "add chain inet cut c { type filter hook input priority 0; }")
        x.namespace.run("nft", "add rule inet cut c udp sport 51830 ip6 saddr fd00:98::1 drop")
        eventually(lambda: x.uses("b"), "the client did not move to b")
        assert talk.goes_on()
        eventually(lambda: not a.holds(), "a does not know that it was left")
        assert a.reaches(HOME), "the home relay itself reaches its client through b"
        assert x.reaches(PLAN.access_address(1)), "and the client reaches its gateway of before"
    finally:
        talk.end()


def test_agents_and_altnetd_may_be_killed_and_come_back_while_a_connection_goes_on(connected: Connected) -> None:
    a, b, x = connected.a, connected.b, connected.x
    talk = Talk(x, b, b.address)
    try:
        assert talk.goes_on()
        a.kill()
        assert talk.goes_on()
        time.sleep(1.0)
        view = x.view()
        assert view is not None
        assert view.moves == 0, "a relay without its agent carries packets all the same"
        x.kill()
        assert talk.goes_on()
        a.run()
        x.run("--config", str(connected.config))
        eventually(a.settled, "a did not come back")
        eventually(lambda: x.uses("a"), "the client did not come back")
        assert talk.goes_on()
        x.kill(signal.SIGTERM)
        assert talk.goes_on(), "the tunnel stays when altnetd goes"
    finally:
        talk.end()
    code, said = x.ask("down")
    assert (code, said) == (0, {"removed": ["altnet0"]})
    assert "altnet0" not in x.namespace.run("ip", "link")
    assert str(PREFIX) not in x.namespace.run("ip", "-6", "route")
    assert x.ask("status")[0] == 2, "it was started from a file, and has kept none"
