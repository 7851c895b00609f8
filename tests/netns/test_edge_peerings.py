"""Peerings with real routers outside: FRR, GoBGP and BIRD, at a relay whose agent follows a document, no control plane.

outside ══ eth1 ══ a (edge) ══ mesh ══ b
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from altnet.common.contracts.routing import (
    Engine,
    Family,
    LearnedTable,
    NextHop,
    Peering,
    PrefixRule,
    RouteQuery,
    RouteView,
    RoutingStatus,
    SessionStatus,
)
from altnet.common.net import asn
from altnet.common.seal import seal
from altnet.relay_agent.bird.neighbours import password_context
from altnet.relay_agent.control import ask_learned, ask_routes
from support.netns import connect
from support.outside import LINK, Outside, Speaker
from support.outside_bird import OutsideBird
from support.outside_routers import ROUTERS, each_time, every
from support.prober import Prober, Spot
from support.relays import PLAN, document, identity_of, relay_id
from support.sites import Relay, Site, eventually

pytestmark = [pytest.mark.netns, pytest.mark.slow]

PEERING = "prg_edge"
ASN = 65_010
HOST = "fd77:1::1"
"""Behind the router outside."""
SECOND_LINK = "fd00:cc::"
GOOD, FOREIGN, DEFAULT = "fd77:1::/48", "fd99:1::/48", "::/0"
HIJACK = "fd42:1337:beef:1002::/64"
"""The clients of b."""
SITE, IN_SITE = "fd77:88::/48", "fd77:88:0:7::/64"
"""A site that b announces, and a part of it: inside what the rules name."""
IMPORTS = (PrefixRule(prefix="fd77::/16", shortest=16, longest=64),)
EXPORTS = (PrefixRule(prefix=str(PLAN.prefix), shortest=48, longest=64),)
LONG = 40.0
"""Seconds for what waits for timers of BGP's: hold time, error wait."""


@dataclass
class Edge:
    """The edge relay, one behind it in the mesh, and the router outside."""

    site: Site
    a: Relay
    b: Relay
    outside: Outside
    peerings: tuple[Peering, ...] = ()

    @property
    def routing(self) -> RoutingStatus:
        told = self.a.status()
        assert told is not None
        assert told.routing is not None
        return told.routing

    def status(self, peering: str = PEERING) -> SessionStatus:
        missing = SessionStatus(neighbour=peering, state="missing")
        return next((one for one in self.routing.peerings if one.neighbour == peering), missing)

    def routes(self, relay: Relay, to: str) -> tuple[RouteView, ...]:
        control = str(relay.state_dir / "control.sock")
        return asyncio.run(ask_routes(control, RouteQuery(to=to), timeout=10)).routes

    def up(self, received: int | None = None) -> bool:
        now = self.status()
        return now.state == "established" and received in (None, now.received)

    def learned(self) -> LearnedTable:
        return asyncio.run(ask_learned(str(self.a.state_dir / "control.sock"), timeout=10))

    def refused(self) -> dict[str, str]:
        """Reason by prefix, without what is our own word that comes back."""
        return {one.prefix: one.reason for one in self.learned().refused if one.reason != "path_loop"}

    def route(self, relay: Relay, prefix: str) -> str:
        """The kernel's route to exactly this prefix; empty if there is none."""
        family = "-6" if ":" in prefix else "-4"
        return relay.namespace.run("ip", family, "route", "show", "exact", prefix, "proto", "bird").strip()


def peering(**fields: object) -> Peering:
    made: dict[str, Any] = {
        "id": PEERING,
        "name": "upstream",
        "address": f"{LINK}2",
        "asn": ASN,
        "imports": IMPORTS,
        "exports": EXPORTS,
        "hold_time": 9,
    }
    return Peering(**(made | fields))


def sealed(text: str, relay: str = "edge-a") -> str:
    key = identity_of("edge-a").sealed_for.public()
    return seal(text.encode(), to=key, context=password_context(relay=relay_id(relay), peering=PEERING))


@dataclass
class Making:
    """Makes an edge; what it makes ends with the test."""

    site: Site
    made: list[Outside] = field(default_factory=list)

    def __call__(
        self,
        kind: str,
        *peerings: Peering,
        said: Any = (),
        settle: bool = True,
        second: Peering | None = None,
        **speaker: Any,
    ) -> Edge:
        """`second`: b has a peering too, with a BIRD of its own outside, which is told the same."""
        peerings = peerings or (peering(),)
        rules = tuple(sorted({rule for one in peerings for rule in one.imports}, key=lambda rule: rule.prefix))
        a = self.site.add("edge-a", 1, routing=Engine.BIRD, learned=rules)
        b = self.site.add("edge-b", 2, routing=Engine.BIRD, origins=(SITE,), learned=second.imports if second else ())
        namespace = self.site.make("edge-out")
        connect(a.namespace, namespace, prefix=LINK, device="eth1")
        namespace.run("ip", "addr", "add", f"{HOST}/128", "dev", "lo", "nodad")
        namespace.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
        # GoBGP has no routes of the kernel's; with the others theirs are better than this one.
        namespace.run("ip", "-6", "route", "add", str(PLAN.prefix), "via", f"{LINK}1", "metric", "9999")
        outside = ROUTERS[kind](namespace, Speaker(asn=ASN, relay_asn=asn(1), **speaker))
        self.made.append(outside)
        outside.tell(said)
        outside.start()
        wanted = {"edge-a": document("edge-a", peerings=peerings)}
        if second is not None:
            wanted["edge-b"] = document("edge-b", peerings=(second,))
            other = self.site.make("edge-out2")
            connect(b.namespace, other, prefix=SECOND_LINK, device="eth1")
            there = Speaker(asn=second.asn, relay_asn=asn(2), address=f"{SECOND_LINK}2", relay=f"{SECOND_LINK}1")
            self.made.append(OutsideBird(other, there))
            self.made[-1].tell(said)
            self.made[-1].start()
        for relay in (a, b):
            relay.write(self.site.paper, wanted.get(relay.name, document(relay.name)))
            relay.start()
        for relay in (a, b) if settle else (b,):
            eventually(relay.settled, f"{relay.name} did not settle")
        eventually(lambda: a.status() is not None, "a does not run")
        return Edge(self.site, a, b, outside, peerings)


@pytest.fixture
def edge(site: Site) -> Iterator[Making]:
    making = Making(site)
    try:
        yield making
    finally:
        for outside in making.made:
            outside.close()


@every
def test_what_the_rules_name_reaches_the_mesh_and_nothing_else_does(edge: Making, kind: str) -> None:
    it = edge(kind, said=[GOOD, FOREIGN, DEFAULT, HIJACK, IN_SITE])

    eventually(lambda: it.up(received=1), "no session", LONG)
    eventually(lambda: it.b.reaches(HOST), "b does not reach the host outside")
    reasons = {DEFAULT: "default_route", HIJACK: "own_prefix", IN_SITE: "site_prefix", FOREIGN: "not_in_rules"}
    eventually(lambda: it.refused() == reasons, "not as refused as it should be")
    table = it.learned()
    assert [(one.prefix, one.as_path, one.next_hop) for one in table.learned] == [(GOOD, (ASN,), f"{LINK}2")]
    assert all(one.peering == PEERING and ASN in one.as_path for one in table.refused)
    before = it.routing.learned_digest
    assert table.digest == before
    for relay in (it.a, it.b):
        assert it.route(relay, GOOD)
        for prefix in (FOREIGN, DEFAULT, IN_SITE):
            assert not it.route(relay, prefix), f"{relay.name} has {prefix}"
    assert "altl2" in it.route(it.a, HIJACK), "the clients of b are where they were"
    announced = {str(PLAN.prefix), str(PLAN.client_prefix(1)), str(PLAN.client_prefix(2))}
    eventually(lambda: it.outside.heard() == announced, "the outside does not hear what the rules name")

    (used,) = it.routes(it.b, HOST)
    assert used.next_hops == (NextHop(relay=relay_id(it.a.name)),)
    assert used.as_path == (asn(1),), "for the mesh it begins at a"
    assert f"from AS{ASN} outside" in used.why
    (used,) = it.routes(it.a, HOST)
    assert (used.source, used.next_hops) == ("peering", (NextHop(peering=PEERING),))
    assert it.a.ask("plan") == (0, [])

    it.outside.tell([GOOD])
    eventually(lambda: it.refused() == {}, "what is not told any more is still listed")
    assert it.routing.learned_digest not in ("", before), "what was refused is part of the digest"


@each_time("bird")
def test_the_router_outside_is_killed_and_its_routes_carry_on(edge: Making, kind: str) -> None:
    it = edge(kind, said=[GOOD])
    eventually(lambda: it.up(received=1) and it.b.reaches(HOST), "b does not reach the host outside", LONG)

    with Prober(Spot(it.b.namespace, it.b.address), Spot(it.outside.namespace, HOST), interval=0.01) as prober:
        it.outside.kill()
        eventually(lambda: not it.up(), "its death is not noticed", LONG)
        assert it.route(it.b, GOOD), "the route is kept while it may come back"
        it.outside.start()
        eventually(lambda: it.up(received=1), "it did not come back", LONG)
        verdict = prober.finish()
    assert verdict.lost == 0, verdict
    assert it.route(it.b, GOOD)


@each_time("frr")
def test_our_bird_is_killed_and_no_packet_is_lost_unless_the_outside_restarts_too(edge: Making, kind: str) -> None:
    it = edge(kind, said=[GOOD])
    eventually(lambda: it.up(received=1) and it.b.reaches(HOST), "b does not reach the host outside", LONG)
    eventually(lambda: str(PLAN.prefix) in it.outside.heard(), "the outside does not know the network")
    pid = int((it.a.state_dir / "bird" / "bird.pid").read_text())

    with Prober(Spot(it.b.namespace, it.b.address), Spot(it.outside.namespace, HOST), interval=0.01) as prober:
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: it.up(received=1) and (it.status().since or 0) < LONG, "BIRD did not come back", LONG)
        eventually(
            lambda: str(PLAN.prefix) in it.outside.heard(), "the outside does not know the network any more", LONG
        )
        eventually(lambda: bool(it.route(it.b, GOOD)), "b does not know the way outside any more", LONG)
        verdict = prober.finish()
    assert verdict.backward.lost == 0, verdict
    if it.outside.recovering:
        # Then nobody waits for what it will tell (RFC 4724 §4.1), and FRR collects updates for a second.
        assert verdict.forward.longest_gap < 2.5, verdict
    else:
        assert verdict.lost == 0, verdict
    assert int((it.a.state_dir / "bird" / "bird.pid").read_text()) != pid


@each_time("gobgp")
def test_a_neighbour_that_flaps_ends_as_it_was_last_told(edge: Making, kind: str) -> None:
    it = edge(kind, said=[GOOD])
    eventually(lambda: it.up(received=1) and it.b.reaches(HOST), "b does not reach the host outside", LONG)

    for number in range(6):
        it.outside.tell([GOOD, f"fd77:{number + 16:x}::/48"] if number % 2 else [])
    it.outside.tell(["fd77:5::/48"])
    eventually(lambda: bool(it.route(it.b, "fd77:5::/48")), "b does not have what was told last")
    eventually(lambda: not it.route(it.b, GOOD), "b still has what was withdrawn")
    assert [one.prefix for one in it.learned().learned] == ["fd77:5::/48"]

    it.outside.leave()
    eventually(lambda: not it.route(it.b, "fd77:5::/48"), "who says goodbye takes its routes along", LONG)
    it.outside.tell([GOOD])
    it.outside.start()
    eventually(lambda: it.up(received=1) and it.b.reaches(HOST), "it did not come back", LONG)


@each_time("gobgp")
def test_too_many_routes_take_the_session_down_and_fewer_bring_it_back(edge: Making, kind: str) -> None:
    many = [f"fd77:{number:x}::/48" for number in range(1, 5001)]

    it = edge(kind, said=many)

    eventually(lambda: "routes of one family" in it.status().problem, "the limit is not said", LONG)
    # It is tried again, and while it takes routes in, it is up.
    eventually(lambda: it.status().state != "established", "the session is not taken down")
    eventually(
        lambda: not it.b.namespace.run("ip", "-6", "route", "show", "root", "fd77::/16", "proto", "bird"), "leaked"
    )
    eventually(lambda: it.b.reaches(it.a.address), "the mesh does not go on")

    it.outside.tell([GOOD])
    eventually(lambda: it.up(received=1), "the session does not come back", 2 * LONG)
    assert it.status().problem == ""
    eventually(lambda: it.b.reaches(HOST), "b does not reach the host outside")


@every
def test_a_wrong_password_is_no_session_and_said_and_the_right_one_is_a_session(edge: Making, kind: str) -> None:
    it = edge(kind, peering(password=sealed("s3cret one")), said=[GOOD], password="p4ssw0rd")

    eventually(lambda: "wrong password" in it.status().problem, "not said", LONG)
    assert it.status().state in ("connect", "active", "idle")
    shown = it.a.ask("show", "bird")[1]["text"]
    assert "s3cret" not in shown
    assert 'password "<hidden>"' in shown
    config = it.a.state_dir / "bird" / "bird.conf"
    assert config.stat().st_mode & 0o777 == 0o600
    assert "s3cret one" in config.read_text()

    it.a.write(it.site.paper, document("edge-a", 2, peerings=(peering(password=sealed("p4ssw0rd")),)))
    it.a.kill(signal.SIGTERM)
    it.a.start()
    eventually(lambda: it.a.settled() and it.up(received=1), "the right password does not help", LONG)
    assert it.status().problem == ""
    everything = it.a.namespace.run("sh", "-c", f"cat {it.a.state_dir}/bird/bird.log {it.site.directory}/edge-a.log")
    assert "s3cret" not in everything
    assert "p4ssw0rd" not in everything


@each_time("bird", among=("frr", "bird"))  # GoBGP 3.10 has no BFD
def test_a_path_that_dies_in_silence_is_left_long_before_the_hold_time_by_bfd(edge: Making, kind: str) -> None:
    it = edge(kind, peering(bfd=True, hold_time=3600), said=[GOOD], bfd=True)
    eventually(lambda: it.up(received=1) and it.status().bfd == "up", "no session with BFD", LONG)
    eventually(lambda: bool(it.route(it.b, GOOD)), "b has no route")

    # Both ways in one stroke: else the other end, which still reaches us, says goodbye.
    cut = [
        f"chain c_{name} {{ type filter hook {hook} priority -400; {name} eth1 drop; }}"
        for name, hook in (("iifname", "prerouting"), ("oifname", "postrouting"))
    ]
    it.a.namespace.run("nft", f"add table inet cut {{ {' ; '.join(cut)} ; }}")
    eventually(lambda: not it.up() and it.status().bfd != "up", "the dead path is not noticed")
    eventually(lambda: not it.route(it.b, GOOD), "b still has the route")
    assert "BFD" in it.status().problem

    it.a.namespace.run("nft", "delete table inet cut")
    eventually(lambda: it.up(received=1) and it.status().bfd == "up", "it does not come back", 2 * LONG)
    assert it.status().problem == ""


@each_time("frr")
def test_ipv4_goes_over_an_ipv6_session(edge: Making, kind: str) -> None:
    rules = (*IMPORTS, PrefixRule(prefix="10.77.0.0/16", shortest=16, longest=24))
    both = peering(families=(Family.IPV6, Family.IPV4), imports=rules)

    it = edge(kind, both, said=[GOOD, "10.77.1.0/24", "10.0.0.0/8", "0.0.0.0/0"], ipv4=True)

    eventually(lambda: it.up(received=2), "no session with both families", LONG)
    eventually(lambda: "altl1" in it.route(it.b, "10.77.1.0/24"), "b has no route for IPv4")
    assert "inet6" in it.route(it.a, "10.77.1.0/24"), "over an IPv6 next hop"
    assert it.refused() == {"10.0.0.0/8": "not_in_rules", "0.0.0.0/0": "default_route"}


def test_paths_are_looked_at_and_the_mesh_keeps_its_numbers_to_itself(edge: Making) -> None:
    long = " ".join(str(number) for number in range(1, 65))
    tags = (
        "bgp_community.add((65535, 65281))",
        "bgp_community.add((65010, 7))",
        "bgp_large_community.add((4200000000, 1, 1))",
        "bgp_large_community.add((64999, 8, 9))",
    )
    told = [
        f"fd77:1::/48 {asn(7)}",
        f"fd77:2::/48 {long}",
        "fd77:3::/48 23456 64999",
        "fd77:4::/48 64999 64998 { " + "".join(f"{one}; " for one in tags) + "}",
        "fd77:5::/48 { bgp_community.add((65535, 65282)); }",
    ]

    it = edge("bird", said=told)

    eventually(lambda: it.up(received=2), "no session", LONG)
    reasons = {"fd77:1::/48": "path_loop", "fd77:2::/48": "path_too_long", "fd77:3::/48": "bogus_asn"}
    eventually(
        lambda: {one.prefix: one.reason for one in it.learned().refused} == reasons, "not as refused as it should be"
    )
    known = {one.prefix: one for one in it.learned().learned}
    assert known["fd77:4::/48"].as_path == (ASN, 64999, 64998)
    assert known["fd77:4::/48"].communities == ("65010:7", "64999:8:9"), "no tags of ours from outside"
    eventually(
        lambda: bool(it.route(it.b, "fd77:4::/48")), "NO_EXPORT is about leaving the mesh, not about entering it"
    )
    (used,) = it.routes(it.b, "fd77:4::1")
    assert "from AS64998 outside" in used.why
    assert "drained" not in used.why
    assert not it.route(it.b, "fd77:5::/48"), "NO_ADVERTISE stays where it is"
    seen = it.outside.namespace.run(
        "birdc", "-s", str(it.outside.directory / "bird.ctl"), f"show route all {PLAN.client_prefix(2)}"
    )
    assert f"BGP.as_path: {asn(1)}\n" in seen, "b's number does not leave"
    for word in ("BGP.community", "BGP.large_community", "BGP.med", "BGP.aigp"):
        assert word not in seen


@pytest.mark.parametrize(("first", "second"), [(100, 100), (100, 200), (7, 0)])
def test_all_take_the_exit_that_is_preferred_and_of_equal_ones_their_own(edge: Making, first: int, second: int) -> None:
    there = peering(id="prg_second", address=f"{SECOND_LINK}2", asn=65_020, preference=second)

    it = edge("bird", peering(preference=first), said=[GOOD], second=there)

    best_of_a = "altl2" if second > first else "eth1"
    best_of_b = "altl1" if first > second else "eth1"
    eventually(lambda: best_of_a in it.route(it.a, GOOD), f"a does not take {best_of_a}", LONG)
    eventually(lambda: best_of_b in it.route(it.b, GOOD), f"b does not take {best_of_b}", LONG)
    if first == second:
        eventually(lambda: any("own way out" in one.why for one in it.routes(it.a, HOST)), "a does not say why")
    for outside in edge.made:
        assert GOOD not in outside.heard(), "no transit between neighbours"

    edge.made[1].leave()
    eventually(lambda: "altl1" in it.route(it.b, GOOD), "b does not go out by a")
    it.outside.leave()
    eventually(lambda: not it.route(it.a, GOOD) and not it.route(it.b, GOOD), "a route to nowhere is left")


def test_a_neighbour_some_hops_away_is_found_by_the_host_s_own_routes_which_stay_its_own(edge: Making) -> None:
    far = "fd00:cc::2"

    it = edge(
        "bird", peering(address=far, source=f"{LINK}1", multihop=3), said=[GOOD], address=far, hops=3, settle=False
    )
    it.a.namespace.run("ip", "-6", "route", "add", "fd00:cc::/64", "via", f"{LINK}2")
    it.outside.namespace.run("ip", "addr", "add", f"{far}/128", "dev", "lo", "nodad")

    eventually(lambda: it.up(received=1), "no session", LONG)
    eventually(lambda: it.b.reaches(HOST), "b does not reach the host outside")
    assert f"via {LINK}2" in it.route(it.a, GOOD), "by the host's route to the next hop"
    assert not it.route(it.b, "fd00:cc::/64"), "the host's routes are not the mesh's"
    assert all(view.prefix != "fd00:cc::/64" for view in it.routes(it.a, far))
    assert it.outside.heard() == {str(PLAN.prefix), str(PLAN.client_prefix(1)), str(PLAN.client_prefix(2))}


def test_a_password_that_does_not_open_fails_its_peering_alone(edge: Making) -> None:
    stranger = peering(id="prg_other", address=f"{LINK}9", password=sealed("s3cret", relay="edge-b"))

    it = edge("bird", peering(), stranger, said=[GOOD], settle=False)

    eventually(lambda: it.up(received=1), "the other peering is held up", LONG)
    told = it.status("prg_other")
    assert told.state == "down"
    assert "does not open" in told.problem
    assert "Set the peering's password again" in told.problem
    status = it.a.status()
    assert status is not None
    assert not status.settled
    assert "password" in status.health
    assert "s3cret" not in str(status)


def test_nobody_but_the_neighbour_speaks_bgp_to_the_relay(edge: Making) -> None:
    it = edge("bird", said=[GOOD])
    eventually(lambda: it.up(received=1), "no session", LONG)
    it.outside.namespace.run("ip", "addr", "add", f"{LINK}66/64", "dev", "eth1", "nodad")

    def answers(source: str) -> bool:
        with it.outside.namespace.entered(), socket.socket(socket.AF_INET6) as sock:
            sock.settimeout(1)
            sock.bind((source, 0))
            try:
                sock.connect((f"{LINK}1", 179))
            except TimeoutError:
                return False
            return True

    assert answers(f"{LINK}2"), "the neighbour may"
    assert not answers(f"{LINK}66"), "another address on the same network may not"


def test_a_prefix_that_becomes_another_relays_site_is_given_up(edge: Making) -> None:
    it = edge("bird", said=[GOOD])
    eventually(lambda: it.up(received=1) and it.b.reaches(HOST), "b does not reach the host outside", LONG)

    it.site.paper.put(msgspec.structs.replace(it.site.paper.relays[relay_id(it.b.name)], origins=(GOOD, SITE)))
    for relay, wanted in ((it.a, document("edge-a", 2, peerings=it.peerings)), (it.b, document("edge-b", 2))):
        relay.write(it.site.paper, wanted)
        relay.kill(signal.SIGTERM)
        relay.start()

    eventually(lambda: it.a.settled() and it.refused() == {GOOD: "site_prefix"}, "a still has it from outside", LONG)
    eventually(lambda: "altl2" in it.route(it.a, GOOD), "a does not go to b for it")
