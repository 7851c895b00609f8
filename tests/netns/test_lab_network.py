"""The lab's internet with real packets: built, mended, resized and removed; home routers do what they should."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from altnet.host.lab import commands, namespaces
from altnet.host.lab.lab import Lab
from altnet.host.lab.settings import LabSettings
from altnet.host.lab.topology import Address, Spec, Topology
from support import netns

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: the lab's network needs root"),
]

PREFIX = f"tn{os.getpid() % 100_000}"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(LabSettings(prefix=PREFIX, run_dir=str(tmp_path / "run"), api_port=0))
    try:
        yield lab
    finally:
        lab.down()
        assert namespaces.of_lab(PREFIX) == set()


def small(**size: int) -> Spec:
    return Spec(prefix=PREFIX, **({"relays": 2, "clients": 2} | size))


def hears(topology: Topology, sender: str, receiver: str, target: Address, *, within: float = 0.5) -> Address | None:
    """Send a UDP packet; the address that the receiver sees it come from, or None if it does not come."""
    family = socket.AF_INET6 if target.version == 6 else socket.AF_INET
    with namespaces.inside(topology.host(receiver).namespace):
        listening = socket.socket(family, socket.SOCK_DGRAM)
    with namespaces.inside(topology.host(sender).namespace):
        sending = socket.socket(family, socket.SOCK_DGRAM)
    with listening, sending:
        listening.bind(("", 7000))
        listening.settimeout(within)
        sending.sendto(b"hello", (str(target), 7000))
        try:
            return listening.recvfrom(100)[1][0]
        except TimeoutError:
            return None


def everybody_hears_everybody(topology: Topology) -> bool:
    public = ["control", "relay1", "relay2"]
    return all(
        hears(topology, one, other, topology.address(other, version)) == str(topology.address(one, version))
        for one in public
        for other in public
        if one != other
        for version in (4, 6)
    )


def test_public_hosts_reach_each_other_in_both_families(lab: Lab) -> None:
    lab.up(small(), network_only=True)

    assert everybody_hears_everybody(lab.topology())
    assert lab.status().state == "up"


def test_a_lab_of_four_relays_is_there_in_about_a_second(lab: Lab) -> None:
    began = time.monotonic()
    lab.up(small(relays=4), network_only=True)

    # A quarter of a second on a quiet machine; the bound leaves room for a busy one.
    assert time.monotonic() - began < 2.0


@pytest.mark.parametrize("version", [4, 6])
def test_a_client_is_seen_with_its_home_routers_address(lab: Lab, version: int) -> None:
    lab.up(small(), network_only=True)
    topology = lab.topology()

    seen = hears(topology, "client1", "relay1", topology.address("relay1", version))

    assert seen == str(topology.address("nat1", version))


@pytest.mark.parametrize("version", [4, 6])
def test_answers_come_back_into_a_home_and_nothing_else_does(lab: Lab, version: int) -> None:
    lab.up(small(), network_only=True)
    topology = lab.topology()
    family = socket.AF_INET6 if version == 6 else socket.AF_INET
    with namespaces.inside(topology.host("client1").namespace):
        client = socket.socket(family, socket.SOCK_DGRAM)
    with namespaces.inside(topology.host("relay1").namespace):
        relay = socket.socket(family, socket.SOCK_DGRAM)
    with namespaces.inside(topology.host("relay2").namespace):
        stranger = socket.socket(family, socket.SOCK_DGRAM)
    with client, relay, stranger:
        relay.bind(("", 7000))
        relay.settimeout(2)
        client.settimeout(0.3)
        client.sendto(b"question", (str(topology.address("relay1", version)), 7000))
        _, hole = relay.recvfrom(100)

        stranger.sendto(b"unasked", hole)
        with pytest.raises(TimeoutError):
            client.recvfrom(100)

        relay.sendto(b"answer", hole)
        assert client.recvfrom(100)[0] == b"answer"


def test_two_clients_of_one_home_share_its_address_and_reach_each_other(lab: Lab) -> None:
    lab.up(small(clients_per_nat=2), network_only=True)
    topology = lab.topology()

    for client in ("client1", "client2"):
        seen = hears(topology, client, "relay1", topology.address("relay1"))
        assert seen == str(topology.address("nat1"))
    assert hears(topology, "client1", "client2", topology.address("client2")) == str(topology.address("client1"))


def test_a_lab_that_is_up_is_not_touched_by_another_up(lab: Lab) -> None:
    lab.up(small(), network_only=True)
    before = {name: os.stat(namespaces.path_of(name)).st_ino for name in namespaces.of_lab(PREFIX)}

    lab.up(small(), network_only=True)

    assert {name: os.stat(namespaces.path_of(name)).st_ino for name in namespaces.of_lab(PREFIX)} == before
    assert lab.status().state == "up"


def test_a_lab_grows_and_shrinks_without_touching_the_hosts_that_stay(lab: Lab) -> None:
    lab.up(small(), network_only=True)
    relay = os.stat(namespaces.path_of(f"{PREFIX}-relay1")).st_ino

    lab.up(small(relays=4, clients=3), network_only=True)
    grown = namespaces.of_lab(PREFIX)
    lab.up(small(), network_only=True)

    assert {f"{PREFIX}-relay4", f"{PREFIX}-client3", f"{PREFIX}-nat3"} <= grown
    assert not {f"{PREFIX}-relay4", f"{PREFIX}-client3", f"{PREFIX}-nat3"} & namespaces.of_lab(PREFIX)
    assert os.stat(namespaces.path_of(f"{PREFIX}-relay1")).st_ino == relay
    assert everybody_hears_everybody(lab.topology())


@pytest.mark.parametrize("after", [1, 2, 3, 7, 14, 23, 27])
def test_an_up_that_is_killed_at_any_step_is_mended_by_the_next(lab: Lab, after: int) -> None:
    died = _up_killed_after(after, lab.settings)

    assert died == -signal.SIGKILL
    lab.up(small(), network_only=True)
    assert lab.status().missing == ()
    assert everybody_hears_everybody(lab.topology())


def test_a_killed_up_is_also_removed_by_down(lab: Lab) -> None:
    _up_killed_after(9, lab.settings)
    assert namespaces.of_lab(PREFIX)

    lab.down()

    assert namespaces.of_lab(PREFIX) == set()
    assert not lab.files.root.exists()
    assert lab.status().state == "down"


def test_a_namespace_whose_making_was_killed_is_mended(lab: Lab) -> None:
    namespaces.NAMESPACES.mkdir(exist_ok=True)
    namespaces.path_of(f"{PREFIX}-relay1").touch()  # what a killed `ip netns add` leaves
    assert lab.status().state == "damaged"

    lab.up(small(), network_only=True)

    assert everybody_hears_everybody(lab.topology())


def test_what_a_user_has_broken_by_hand_is_seen_and_mended(lab: Lab) -> None:
    lab.up(small(), network_only=True)
    commands.run(["ip", "-n", f"{PREFIX}-relay1", "link", "delete", "eth0"], timeout=5)
    commands.run(["ip", "netns", "delete", f"{PREFIX}-router2"], timeout=5)

    found = lab.status()
    lab.up(small(), network_only=True)

    assert found.state == "damaged"
    assert "relay1: interface eth0 is missing" in found.missing
    assert "router2: it has no namespace" in found.missing
    assert lab.status().missing == ()
    assert everybody_hears_everybody(lab.topology())


def test_only_namespaces_of_the_labs_own_shape_are_removed(lab: Lab) -> None:
    bystander = f"{PREFIX}-mine"
    commands.run(["ip", "netns", "add", bystander], timeout=5)
    try:
        lab.up(small(), network_only=True)
        lab.down()

        assert namespaces.is_live(bystander)
    finally:
        commands.run(["ip", "netns", "delete", bystander], timeout=5)


def test_nothing_outside_the_labs_namespaces_changes(lab: Lab) -> None:
    def outside() -> list[str]:
        rules = commands.run(["nft", "list", "ruleset"], timeout=5).stdout
        links = [name for _, name in socket.if_nameindex()]
        forwarding = [
            Path("/proc/sys/net", path).read_text() for path in ("ipv4/ip_forward", "ipv6/conf/all/forwarding")
        ]
        return [rules, *links, *forwarding]

    before = outside()
    lab.up(small(), network_only=True)
    during = outside()
    lab.down()

    assert before == during == outside()


def _up_killed_after(count: int, settings: LabSettings) -> int:
    """Run `up` in a process of its own that kills itself right after its `count`-th command; its exit code."""
    script = f"""
import os, signal, subprocess
from altnet.host.lab.lab import Lab
from altnet.host.lab.settings import LabSettings
from altnet.host.lab.topology import Spec
real, left = subprocess.run, [{count}]
def run(*args, **kwargs):
    done = real(*args, **kwargs)
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return done
subprocess.run = run
Lab(LabSettings(prefix={settings.prefix!r}, run_dir={settings.run_dir!r})).up(
    Spec(prefix={settings.prefix!r}, relays=2, clients=2), network_only=True)
"""
    return subprocess.run([sys.executable, "-c", script], timeout=60, check=False).returncode


FORKS = """
import os, time
for _ in range(3000):
    if os.fork():
        os._exit(0)
time.sleep(60)
"""


def test_who_goes_into_the_background_while_everything_is_killed_does_not_get_away() -> None:
    with netns.namespaces() as make:
        namespace = make("chain")
        subprocess.run([*namespace.command, sys.executable, "-c", FORKS], check=True, timeout=10)
        namespaces.kill_all([namespace.name], timeout=10)
        time.sleep(1.5)  # until the last of them would be asleep
        assert namespaces.processes([namespace.name]) == {}
