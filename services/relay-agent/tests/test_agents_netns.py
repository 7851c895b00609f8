"""Real agents on real WireGuard in network namespaces, with documents in their caches and no control plane at all."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from altnet.common.contracts.desired import MeshSettings, RelayDocument, pack
from altnet.common.errors import NotFound
from altnet.common.kernel.links import ROUTE_PROTOCOL
from altnet.common.net import link_mac, link_number
from altnet.relay_agent.control import ask_status
from altnet.relay_agent.state import DiskState
from altnet.relay_agent.status import AgentStatus
from support.netns import Namespace, NamespaceFactory
from support.prober import Prober, Spot
from support.relays import (
    PLAN,
    Paper,
    client,
    document,
    enrolment_of,
    entry,
    identity_of,
    key_of,
)

pytestmark = [pytest.mark.netns, pytest.mark.slow]

WITHIN = 20.0
"""Seconds that a busy machine may take for what an idle one does in one."""


@dataclass
class Relay:
    """One host with an agent."""

    name: str
    slot: int
    namespace: Namespace
    state_dir: Path
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def address(self) -> str:
        return str(PLAN.relay_address(self.slot))

    def command(self, *arguments: str) -> list[str]:
        inside = [*self.namespace.wg[:-1], sys.executable, "-m", "altnet.relay_agent", *arguments]
        return [*inside, "--state-dir", str(self.state_dir), "--backend", "wireguard-go"]

    def start(self) -> None:
        with (self.state_dir.parent / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(self.command("run"), stdout=log, stderr=log)

    def kill(self, how: int = signal.SIGKILL) -> None:
        assert self.process is not None
        self.process.send_signal(how)
        self.process.wait(WITHIN)
        self.process = None

    def ask(self, *arguments: str) -> tuple[int, Any]:
        done = subprocess.run(self.command(*arguments, "--json"), check=False, capture_output=True, timeout=30)
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
        time.sleep(0.05)
    return time.monotonic() - began


@dataclass
class Site:
    """Relays on one bridge, and the paper they follow."""

    core: Namespace
    make: NamespaceFactory
    directory: Path
    paper: Paper = field(default_factory=Paper)
    relays: dict[str, Relay] = field(default_factory=dict)

    def add(self, name: str, slot: int) -> Relay:
        namespace = self.make(name)
        self.attach(namespace, name, f"fd00:99::{slot}")
        relay = Relay(name, slot, namespace, self.directory / name)
        self.relays[name] = relay
        self.paper.put(entry(name, slot, endpoints=(f"[fd00:99::{slot}]:51820",)))
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


def test_three_agents_form_links_from_their_caches_and_carry_packets(site: Site) -> None:
    for slot, name in enumerate("abc", 1):
        site.add(name, slot)
    site.start()
    took = eventually(site.all_reach, "not everybody reaches everybody")
    print(f"everybody reaches everybody {took:.2f} s after the last agent settled")

    a = site.relays["a"]
    assert a.reaches(str(PLAN.access_address(2))), "the /64 of another relay's clients is routed"
    assert not a.reaches(str(PLAN.relay_address(9))), "nobody has that address, and the default route is not asked"

    def measured() -> bool:
        status = a.status()
        links = status.links if status else ()
        return len(links) == 2 and all(link.up and link.rtt and link.loss == 0 for link in links)

    eventually(measured, "probes measure both links")
    code, said = a.ask("status")
    assert (code, said["health"], said["running"]) == (0, "ok", True)
    assert a.ask("plan") == (0, [])
    big = str(1420 - 70 - 48)
    assert a.reaches(site.relays["b"].address, "-M", "do", "-s", big), "the link carries its full MTU"


def test_an_agent_that_is_killed_and_comes_back_loses_no_packet(site: Site) -> None:
    a, b = site.add("a", 1), site.add("b", 2)
    site.start()
    eventually(site.all_reach, "a and b do not reach each other")
    with Prober(Spot(a.namespace, a.address), Spot(b.namespace, b.address), interval=0.01) as prober:
        a.kill(signal.SIGKILL)
        time.sleep(0.5)
        assert a.ask("status")[0] == 3
        a.start()
        eventually(a.settled, "a did not come back")
        b.kill(signal.SIGTERM)
        b.start()
        eventually(b.settled, "b did not come back")
        verdict = prober.finish()
    assert verdict.lost == 0, verdict


def test_a_host_that_was_rebooted_is_back_from_its_cache(site: Site) -> None:
    a, b = site.add("a", 1), site.add("b", 2)
    site.start()
    eventually(site.all_reach, "a and b do not reach each other")
    a.kill()
    empty(a.namespace)
    assert not b.reaches(a.address)
    site.attach(a.namespace, "a", "fd00:99::1")
    began = time.monotonic()
    a.start()
    eventually(lambda: b.reaches(a.address) and a.reaches(b.address), "a did not come back")
    print(f"back {time.monotonic() - began:.2f} s after the start of the agent, interpreter included")


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


def test_down_removes_what_is_the_agents_and_nothing_of_the_operators(site: Site) -> None:
    a, _ = site.add("a", 1), site.add("b", 2)
    inside = a.namespace.run
    inside("ip", "link", "add", "altlan0", "type", "bridge")
    inside("ip", "link", "set", "altlan0", "up")
    inside("ip", "addr", "add", "fd00:77::1/64", "dev", "altlan0", "nodad")
    inside("ip", "-6", "route", "add", "fd00:78::/64", "dev", "altlan0")
    inside("ip", "-6", "route", "add", "fd42:1337:beef:9999::/64", "dev", "altlan0", "metric", "100")
    inside("ip", "addr", "add", "fd00:79::1/128", "dev", "lo", "nodad")
    inside("nft", "add table inet mine; add chain inet mine c; add rule inet mine c counter")
    before = everything(a.namespace)
    site.start()
    eventually(site.all_reach, "a and b do not reach each other")
    assert "altl2" in inside("ip", "link")
    assert inside("ip", "-6", "route", "show", "proto", str(ROUTE_PROTOCOL)).strip()

    code, said = a.ask("down")
    assert code == 2, "not while the agent runs"
    assert said["error"]["code"] == "agent_running"
    a.kill(signal.SIGTERM)
    code, said = a.ask("down")
    assert (code, said["failed"]) == (0, [])

    after = everything(a.namespace)
    for what, had in before.items():
        assert after[what] == had, what
    code, operations = a.ask("plan")
    assert code == 5
    assert {operation["do"] for operation in operations} == {"add"}
    assert a.ask("down") == (0, {"removed": [], "failed": []}), "twice is once"


def everything(namespace: Namespace) -> dict[str, Any]:
    """Links, addresses, routes, rules and settings of a host."""
    addresses = json.loads(namespace.run("ip", "-j", "addr"))
    return {
        "links": sorted(link["ifname"] for link in addresses),
        "addresses": sorted(
            (link["ifname"], one["local"], one["prefixlen"]) for link in addresses for one in link["addr_info"]
        ),
        "routes": sorted(namespace.run("ip", "-6", "route", "show", "table", "main").splitlines()),
        "nft": namespace.run("nft", "list", "ruleset"),
        "forwarding": namespace.run("sysctl", "-n", "net.ipv6.conf.all.forwarding", "net.ipv6.conf.eth0.accept_ra"),
    }


def test_frames_from_outside_do_not_enter_a_link_and_clients_cannot_lie_about_themselves(site: Site) -> None:
    a, b = site.add("a", 1), site.add("b", 2)
    mine = str(PLAN.client_prefix(1)[5])
    site.start(a=document("a", clients=(client("x", f"{mine}/128"),)))
    eventually(site.all_reach, "a and b do not reach each other")

    # A host on the underlay that knows everything but the keys sends the very frame that b would.
    outside = site.make("outside")
    site.attach(outside, "out", "fd00:99::66")
    before = dropped(a.namespace, "local")
    with outside.entered(), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.sendto(vxlan_ping(link_number(1, 2)), ("fd00:99::1", 51899))
    eventually(lambda: dropped(a.namespace, "local") == before + 1, "the frame was not dropped")

    # A client of a, with its key and its address.
    host = site.make("client")
    site.attach(host, "cli", "fd00:99::77")
    attach_client(host, "x", mine, key_of("a", "access").public().base64)
    here = Relay("client", 0, host, site.directory)
    eventually(lambda: here.reaches(b.address), "the client does not reach b through a")
    assert here.reaches(str(PLAN.access_address(2)))
    assert not here.reaches(str(PLAN.locator(2))), "locators are not for clients"

    host.run("ip", "addr", "add", "fd42:1337:beef:1001::99/128", "dev", "wg0", "nodad")
    assert not here.reaches(b.address, "-I", "fd42:1337:beef:1001::99"), "another client's address is refused"

    # An underlay host that claims a source inside the network.
    outside.run("ip", "addr", "add", "fd42:1337:beef:1001::5/128", "dev", "lo", "nodad")
    outside.run("ip", "-6", "route", "add", "fd42:1337:beef::/48", "via", "fd00:99::1")
    before = dropped(a.namespace, "arrive")
    liar = Relay("outside", 0, outside, site.directory)
    assert not liar.reaches(b.address, "-I", "fd42:1337:beef:1001::5")
    assert dropped(a.namespace, "arrive") > before


def test_a_neighbour_cannot_put_frames_into_the_link_to_another(site: Site) -> None:
    a, b, _ = (site.add(name, slot) for slot, name in enumerate("abc", 1))
    site.start()
    eventually(site.all_reach, "the three do not reach each other")
    from_c = vxlan_ping(link_number(1, 3), sender=3)
    with a.namespace.entered():
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86DD))
        wire.bind(("altl3", 0))
    with wire, b.namespace.entered(), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        wire.setblocking(False)
        sock.bind((str(PLAN.locator(2)), 0))
        target = (str(PLAN.locator(1)), 51899)

        def came_out(frame: bytes) -> bool:
            """Whether the frame is among what has come out of a's link to c by now."""
            seen = []
            with contextlib.suppress(BlockingIOError):
                while True:
                    seen.append(wire.recv(2048))
            return frame[8:] in seen

        before = dropped(a.namespace, "from_locator")
        sock.sendto(from_c, target)
        eventually(lambda: dropped(a.namespace, "from_locator") == before + 1, "b's word for c is not dropped")
        assert not came_out(from_c), "b spoke for c"
        sock.sendto(vxlan_ping(link_number(1, 2)), target)
        sock.sendto(b"short", target)
        eventually(lambda: dropped(a.namespace, "from_locator") == before + 2, "what has no identifier is not dropped")
        assert site.all_reach()

        # The same frame with the guard out of the way: it is the guard that keeps it out, and nothing else.
        a.namespace.run("nft", "insert rule inet altnet from_locator accept")
        sock.sendto(from_c, target)
        eventually(lambda: came_out(from_c), "the test's own frame would not have come through")


def attach_client(host: Namespace, name: str, address: str, relay_key: str) -> None:
    subprocess.run([*host.wireguard_go, "wg0"], check=True, capture_output=True, timeout=20)
    key_file = host.sockets / "key"
    key_file.write_text(base64.b64encode(key_of(name, "client").reveal()).decode())
    configure = [*host.wg, "set", "wg0", "private-key", str(key_file), "peer", relay_key]
    configure += ["endpoint", "[fd00:99::1]:51830", "allowed-ips", "fd42:1337:beef::/48"]
    subprocess.run(configure, check=True, capture_output=True, timeout=20)
    host.run("ip", "link", "set", "wg0", "up", "mtu", "1280")
    host.run("ip", "addr", "add", f"{address}/128", "dev", "wg0", "nodad")
    host.run("ip", "-6", "route", "add", "fd42:1337:beef::/48", "dev", "wg0", "src", address)


def dropped(namespace: Namespace, chain: str) -> int:
    """Packets that the first counting drop rules of a chain have met."""
    listed = namespace.run("nft", "list", "chain", "inet", "altnet", chain)
    return sum(int(number) for number in re.findall(r"counter packets (\d+) bytes \d+ drop", listed))


def vxlan_ping(number: int, *, sender: int = 2) -> bytes:
    """An Ethernet frame with an ICMPv6 echo request from the relay with slot `sender` to a, in VXLAN."""
    mac = bytes.fromhex(link_mac(1).replace(":", "")) + bytes.fromhex(link_mac(sender).replace(":", ""))
    source, target = PLAN.relay_address(sender).packed, PLAN.relay_address(1).packed
    echo = struct.pack("!BBHHH", 128, 0, 0, 1, 1)
    header = struct.pack("!IHBB", 6 << 28, len(echo), 58, 64) + source + target
    return struct.pack("!II", 0x08000000, number << 8) + mac + b"\x86\xdd" + header + echo


def test_a_changed_document_in_the_cache_is_what_the_next_start_follows(site: Site) -> None:
    a, b = site.add("a", 1), site.add("b", 2)
    site.start()
    eventually(site.all_reach, "a and b do not reach each other")
    a.kill(signal.SIGTERM)
    a.write(site.paper, msgspec.structs.replace(document("a", 2), links=()))
    a.start()
    eventually(a.settled, "a did not settle")
    assert "altl2" not in a.namespace.run("ip", "link")
    assert not b.reaches(a.address)
