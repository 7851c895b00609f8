"""Chains and rings of eight relays: many hops, full-size packets, hop limits, and a traceroute that is true."""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Iterator

import pytest
from altnet.host.lab import namespaces
from altnet.host.lab.faults import Shape
from altnet.host.lab.topology import Spec
from support.routing import WITHIN, Mesh, mesh

pytestmark = [
    pytest.mark.netns,
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: many hops in a whole lab need root"),
]

COUNT = 8
SPEC = Spec(prefix=f"labm{os.getpid() % 100_000}", relays=COUNT, clients=0)
RELAYS = [f"relay{number + 1}" for number in range(COUNT)]
FIRST, LAST = RELAYS[0], RELAYS[-1]


@pytest.fixture(scope="module")
def lab() -> Iterator[Mesh]:
    with mesh(SPEC) as made:
        yield made


@pytest.fixture
def chain(lab: Mesh) -> Mesh:
    lab.lab.shape(Shape.CHAIN)
    lab.until_path(FIRST, LAST, lambda path: len(path) == COUNT - 1)
    lab.until_whole()
    return lab


@pytest.fixture
def ring(lab: Mesh) -> Iterator[Mesh]:
    lab.lab.shape(Shape.RING)
    lab.until_sessions(dict.fromkeys(RELAYS, 2))
    lab.until_whole()
    yield lab
    lab.lab.heal()


def transfer(lab: Mesh, one: str, other: str, *, size: int) -> tuple[int, int]:
    """Send that many octets by TCP between two relays; returns how many came, and the segments' size."""
    with namespaces.inside(lab.namespace(other)):
        server = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    with namespaces.inside(lab.namespace(one)):
        sender = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    came: list[int] = []
    with server, sender:
        server.bind((lab.addresses[other], 0))
        server.listen(1)
        server.settimeout(WITHIN)
        sender.settimeout(WITHIN)

        def receive() -> None:
            taker, _ = server.accept()
            with taker:
                taker.settimeout(WITHIN)
                while data := taker.recv(65536):
                    came.append(len(data))

        thread = threading.Thread(target=receive)
        thread.start()
        sender.connect(server.getsockname()[:2])
        sender.sendall(bytes(size))
        segment = sender.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
        sender.shutdown(socket.SHUT_WR)
        thread.join(WITHIN)
    return sum(came), segment


def link_mtu(lab: Mesh, relay: str, peer: str) -> int:
    device = f"altl{int(lab.addresses[peer].rpartition(':')[2], 16)}"
    said = lab.run(relay, "ip", "-o", "link", "show", "dev", device)
    return int(re.search(r" mtu (\d+) ", said)[1])  # type: ignore[index]


def test_in_a_chain_traffic_goes_over_all_relays_and_back(chain: Mesh) -> None:
    assert chain.path(FIRST, LAST) == RELAYS[1:]
    assert chain.path(LAST, FIRST) == RELAYS[-2::-1]

    said = chain.run(FIRST, "ping", "-6", "-n", "-c", "5", "-i", "0.2", chain.addresses[LAST])

    assert " 5 received" in said
    assert re.findall(r"ttl=(\d+)", said) == [str(64 - (COUNT - 2))] * 5  # each relay between the ends takes one


def test_a_traceroute_names_the_relays_on_the_way(chain: Mesh) -> None:
    argv = ["traceroute", "-6", "-n", "-q", "3", "-w", "3", "-N", "1", "-s", chain.addresses[FIRST]]
    said = chain.run(FIRST, *argv, chain.addresses[LAST], timeout=WITHIN)

    seen = re.findall(r"^\s*\d+ +(\S+)", said, re.MULTILINE)
    assert seen == [chain.addresses[relay] for relay in RELAYS[1:]], said


def test_a_packet_whose_hop_limit_ends_on_the_way_is_answered_by_the_relay_where_it_did(chain: Mesh) -> None:
    said = chain.run(FIRST, "ping", "-6", "-n", "-c", "1", "-t", "3", chain.addresses[LAST], check=False)

    assert f"From {chain.addresses['relay4']}" in said
    assert "Hop limit" in said


def test_tcp_with_full_size_packets_crosses_seven_hops(chain: Mesh) -> None:
    size = 2_000_000
    came, segment = transfer(chain, FIRST, LAST, size=size)

    assert came == size
    # The whole of the link's MTU, but IPv6 and TCP headers with timestamps.
    assert segment == link_mtu(chain, FIRST, "relay2") - 40 - 20 - 12


def test_full_size_packets_pass_unfragmented_and_larger_ones_are_refused_at_once(chain: Mesh) -> None:
    mtu = link_mtu(chain, FIRST, "relay2")
    ping = ["ping", "-6", "-n", "-M", "do", "-c", "2", "-i", "0.2", "-W", "3"]

    fits = chain.run(FIRST, *ping, "-s", str(mtu - 48), chain.addresses[LAST], check=False)
    large = chain.run(FIRST, *ping, "-s", str(mtu - 47), chain.addresses[LAST], check=False)

    assert " 2 received" in fits
    assert "essage too long" in large


def test_a_narrow_link_on_the_way_is_told_by_packet_too_big_and_honoured(chain: Mesh) -> None:
    wide = link_mtu(chain, "relay4", "relay5")
    device = f"altl{int(chain.addresses['relay5'].rpartition(':')[2], 16)}"
    chain.run("relay4", "ip", "link", "set", "dev", device, "mtu", "1280")
    try:
        ping = ["ping", "-6", "-n", "-M", "do", "-c", "1", "-W", "3", "-s", str(wide - 48)]
        told = chain.run(FIRST, *ping, chain.addresses[LAST], check=False)
        came, _ = transfer(chain, FIRST, LAST, size=500_000)
        known = chain.run(FIRST, "ip", "-6", "route", "get", chain.addresses[LAST])
    finally:
        chain.run("relay4", "ip", "link", "set", "dev", device, "mtu", str(wide))
        for relay in RELAYS:
            chain.run(relay, "ip", "-6", "route", "flush", "cache")

    assert f"From {chain.addresses['relay4']}" in told
    assert "mtu=1280" in told
    assert came == 500_000
    assert "mtu 1280" in known


def test_a_chain_that_is_broken_in_the_middle_has_two_halves_and_is_whole_again_when_healed(chain: Mesh) -> None:
    chain.lab.impair("relay4", "relay5", cut=True)
    chain.until(lambda: chain.path(FIRST, LAST) == [], "the first knows that the last is gone")
    chain.until_whole(*RELAYS[:4])
    chain.until_whole(*RELAYS[4:])

    chain.lab.heal()

    chain.until_path(FIRST, LAST, lambda path: len(path) == COUNT - 1)
    chain.until_whole()


def test_a_ring_is_gone_the_other_way_round_when_a_link_of_it_dies(ring: Mesh) -> None:
    with ring.stream("relay1", "relay2") as packets:
        ring.lab.impair("relay1", "relay2", cut=True)
        ring.until_path("relay1", "relay2", lambda path: path in (RELAYS[:0:-1], [*RELAYS[2:], "relay1"]))
        ring.flow(packets)

        healed = packets.now()
        ring.lab.heal()
        ring.until_sessions(dict.fromkeys(RELAYS, 2))
        assert ring.lost(packets, healed) == 0


def test_a_ring_survives_the_death_of_any_relay(ring: Mesh) -> None:
    for dead in ("relay3", "relay8"):
        living = [relay for relay in RELAYS if relay != dead]
        ring.lab.kill(dead)
        ring.until_whole(*living)
        if dead == "relay3":  # once: its last route is kept for a while
            ring.until(lambda: ring.path("relay5", "relay3") == [], "relay3 is known to be gone")
        ring.lab.heal([dead])
        ring.until_whole()
