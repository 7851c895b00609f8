"""Real BIRD over real WireGuard between real agents in network namespaces, with no control plane at all."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest
from altnet.common.contracts.routing import Engine
from support.netns import Namespace
from support.prober import Prober, Spot
from support.sites import Relay, Site, eventually

pytestmark = [pytest.mark.netns, pytest.mark.slow]


def established(relay: Relay, count: int) -> bool:
    """Whether a relay has so many sessions, all of them established."""
    status = relay.status()
    if status is None or status.routing is None:
        return False
    sessions = status.routing.sessions
    return len(sessions) == count and all(one.state == "established" and one.bfd == "up" for one in sessions)


def triangle(site: Site) -> tuple[Relay, Relay, Relay]:
    relays = tuple(site.add(name, slot, routing=Engine.BIRD) for slot, name in enumerate("abc", 1))
    site.start()
    for relay in relays:
        eventually(lambda one=relay: established(one, 2), f"{relay.name} has no sessions")  # type: ignore[misc]
    eventually(site.all_reach, "not everybody reaches everybody")
    return relays  # type: ignore[return-value]


def cut(one: Namespace, slot: int) -> None:
    """Lose every packet from the underlay address of a relay: nobody is told."""
    one.run("nft", "add table inet cut; add chain inet cut c { type filter hook prerouting priority -400; }")
    one.run("nft", f"add rule inet cut c ip6 saddr fd00:99::{slot} counter drop")


def heal(one: Namespace) -> None:
    one.run("nft", "delete table inet cut")


def bird_of(relay: Relay) -> int:
    return int((relay.state_dir / "bird" / "bird.pid").read_text())


def next_hop(relay: Relay, address: str) -> str:
    return str(json.loads(relay.namespace.run("ip", "-6", "-j", "route", "get", address))[0]["dev"])


def test_a_triangle_converges_and_a_path_that_dies_in_silence_is_replaced_and_comes_back(site: Site) -> None:
    a, b, c = triangle(site)
    assert next_hop(a, b.address) == "altl2"
    assert a.namespace.run("ip", "-6", "route", "show", "proto", "186", b.address).strip() == "", "BIRD alone decides"
    assert a.ask("plan") == (0, [])

    cut(a.namespace, 2)
    eventually(lambda: next_hop(a, b.address) == "altl3" and a.reaches(b.address), "a does not go over c to b")
    eventually(lambda: b.reaches(a.address), "b does not go over c to a")
    heal(a.namespace)
    eventually(lambda: next_hop(a, b.address) == "altl2", "the short way is not taken again")
    assert a.reaches(b.address)
    assert c.reaches(b.address)


def test_the_agent_dies_and_comes_back_and_neither_a_packet_nor_a_session_is_lost(site: Site) -> None:
    a, b, _ = triangle(site)
    pid = bird_of(a)
    with Prober(Spot(a.namespace, a.address), Spot(b.namespace, b.address), interval=0.01) as prober:
        a.kill(signal.SIGKILL)
        time.sleep(0.3)
        a.start()
        eventually(lambda: established(a, 2), "a did not come back")
        verdict = prober.finish()
    assert verdict.lost == 0, verdict
    assert bird_of(a) == pid, "the same BIRD"
    status = b.status()
    assert status is not None
    assert status.routing is not None
    assert all((one.since or 0) > 0.3 for one in status.routing.sessions), "no session was made anew"


def test_bird_is_killed_and_is_back_without_a_packet_lost(site: Site) -> None:
    a, b, c = triangle(site)
    pid = bird_of(b)
    with (
        Prober(Spot(a.namespace, a.address), Spot(b.namespace, b.address), interval=0.01) as to_it,
        Prober(Spot(c.namespace, c.address), Spot(a.namespace, a.address), interval=0.01, port=7778) as past_it,
    ):
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: established(b, 2) and established(a, 2) and established(c, 2), "BIRD did not come back")
        time.sleep(1.0)
        verdicts = to_it.finish(), past_it.finish()
    assert [verdict.lost for verdict in verdicts] == [0, 0], verdicts
    assert bird_of(b) != pid
