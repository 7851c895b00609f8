"""Peerings with real routers outside: FRR, GoBGP and BIRD, at a relay whose agent follows a document, no control plane.

    outside ══ eth1 ══ a (edge) ══ mesh ══ b
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from altnet.common.contracts.routing import Engine, Family, LearnedTable, Peering, PrefixRule, SessionStatus
from altnet.common.net import asn
from altnet.common.seal import seal
from altnet.relay_agent.bird import learned, state
from altnet.relay_agent.bird.control import connect as connect_bird
from altnet.relay_agent.bird.peerings import password_context, peering_name
from support.netns import connect
from support.outside import LINK, Outside, Speaker
from support.outside_bird import OutsideBird
from support.outside_frr import Frr
from support.outside_gobgp import GoBgp
from support.prober import Prober, Spot
from support.relays import PLAN, document, identity_of, relay_id
from support.sites import Relay, Site, eventually

pytestmark = [pytest.mark.netns, pytest.mark.slow]

PEERING = "prg_edge"
ASN = 65_010
HOST = "fd77:1::1"
"""Behind the router outside."""
GOOD, FOREIGN, DEFAULT = "fd77:1::/48", "fd99:1::/48", "::/0"
HIJACK = "fd42:1337:beef:1002::/64"
"""The clients of b."""
SITE, IN_SITE = "fd77:88::/48", "fd77:88:0:7::/64"
"""A site that b announces, and a part of it: inside what the rules name."""
IMPORTS = (PrefixRule(prefix="fd77::/16", shortest=16, longest=64),)
EXPORTS = (PrefixRule(prefix=str(PLAN.prefix), shortest=48, longest=64),)
LONG = 40.0
"""Seconds for what waits for timers of BGP's: hold time, error wait."""

ROUTERS: dict[str, type[Outside]] = {"frr": Frr, "gobgp": GoBgp, "bird": OutsideBird}


@dataclass
class Edge:
    """The edge relay, one behind it in the mesh, and the router outside."""

    site: Site
    a: Relay
    b: Relay
    outside: Outside
    peerings: tuple[Peering, ...] = ()

    def status(self, peering: str = PEERING) -> SessionStatus:
        told = self.a.status()
        assert told is not None
        assert told.routing is not None
        return next(one for one in told.routing.peerings if one.neighbour == peering)

    def up(self, received: int | None = None) -> bool:
        now = self.status()
        return now.state == "established" and received in (None, now.received)

    def learned(self) -> LearnedTable:
        return asyncio.run(_learned(self.a, [one.id for one in self.peerings]))

    def route(self, relay: Relay, prefix: str) -> str:
        """The kernel's route to exactly this prefix; empty if there is none."""
        family = "-6" if ":" in prefix else "-4"
        return relay.namespace.run("ip", family, "route", "show", "exact", prefix, "proto", "bird").strip()


async def _learned(relay: Relay, peerings: list[str]) -> LearnedTable:
    found: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    async with await connect_bird(relay.state_dir / "bird" / "bird.ctl", deadline=5) as control:
        for peering in peerings:
            for into, kind in zip(found, ("", "filtered "), strict=True):
                lines = await control.ask(f"show route {kind}all protocol {peering_name(peering)}")
                into[peering] = state.routes(lines)
    return learned.table(*found)


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


def sealed(text: str, relay: str = "a") -> str:
    key = identity_of("a").sealed_for.public()
    return seal(text.encode(), to=key, context=password_context(relay=relay_id(relay), peering=PEERING))


@dataclass
class Making:
    """Makes an edge; what it makes ends with the test."""

    site: Site
    made: list[Outside] = field(default_factory=list)

    def __call__(
        self, kind: str, *peerings: Peering, said: Any = (), start: bool = True, **speaker: Any
    ) -> Edge:
        peerings = peerings or (peering(),)
        rules = tuple(sorted({rule for one in peerings for rule in one.imports}, key=lambda rule: rule.prefix))
        a = self.site.add("edge-a", 1, routing=Engine.BIRD, learned=rules)
        b = self.site.add("edge-b", 2, routing=Engine.BIRD, origins=(SITE,))
        namespace = self.site.make("edge-out")
        connect(a.namespace, namespace, prefix=LINK, device="eth1")
        namespace.run("ip", "addr", "add", f"{HOST}/128", "dev", "lo", "nodad")
        namespace.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
        # GoBGP has no routes of the kernel's; with the others theirs are better than this one.
        namespace.run("ip", "-6", "route", "add", str(PLAN.prefix), "via", f"{LINK}1", "metric", "9999")
        outside = ROUTERS[kind](namespace, Speaker(asn=ASN, relay_asn=asn(1), **speaker))
        self.made.append(outside)
        outside.tell(said)
        if start:
            outside.start()
        self.site.start(**{"edge-a": document("edge-a", peerings=peerings)})
        return Edge(self.site, a, b, outside, peerings)


@pytest.fixture
def edge(site: Site) -> Iterator[Making]:
    making = Making(site)
    try:
        yield making
    finally:
        for outside in making.made:
            outside.close()


every = pytest.mark.parametrize("kind", ROUTERS)


@every
def test_what_the_rules_name_reaches_the_mesh_and_nothing_else_does(edge: Making, kind: str) -> None:
    told = [GOOD, FOREIGN, DEFAULT, HIJACK, IN_SITE]

    it = edge(kind, said=told)

    eventually(lambda: it.up(received=1), f"no session: {it.status()}", LONG)
    eventually(lambda: it.b.reaches(HOST), "b does not reach the host outside")
    eventually(lambda: it.status().refused == 4, "not everything was told")
    table = it.learned()
    assert [(one.prefix, one.as_path, one.next_hop) for one in table.learned] == [(GOOD, (ASN,), f"{LINK}2")]
    assert {one.prefix: one.reason for one in table.refused} == {
        DEFAULT: "default_route",
        HIJACK: "own_prefix",
        IN_SITE: "site_prefix",
        FOREIGN: "not_in_rules",
    }
    assert all(one.peering == PEERING and one.as_path == (ASN,) for one in table.refused)
    for relay in (it.a, it.b):
        assert it.route(relay, GOOD)
        for prefix in (FOREIGN, DEFAULT, IN_SITE):
            assert not it.route(relay, prefix), f"{relay.name} has {prefix}"
    assert "altl2" in it.route(it.a, HIJACK), "the clients of b are where they were"
    eventually(lambda: str(PLAN.prefix) in it.outside.heard(), "nothing is announced to the outside")
    assert it.outside.heard() == {str(PLAN.prefix), str(PLAN.client_prefix(1)), str(PLAN.client_prefix(2))}
