"""`/v1/paths` and `/v1/relays/{id}/routes` against a real traceroute and real routing tables, in a whole lab.

client1 ─ relay1 ─ relay2 ─ client2      relay3 ═ host of a site
             \\                /
             relay5 ─ relay4 ─ relay3     a ring: each relay reaches its two neighbours alone
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Final

import pytest
from altnet.common.net import AddressPlan, asn
from altnet.host.lab import commands
from altnet.host.lab.faults import Shape
from altnet.host.lab.lab import Target
from altnet.host.lab.topology import Spec
from support import routing
from support.netns import Namespace, NamespaceFactory, namespaces
from support.rest import Rest, rest
from support.routing import WITHIN, Mesh, heal

pytestmark = [
    pytest.mark.netns,
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: paths through a whole lab need root"),
]

COUNT: Final = 5
SPEC = Spec(prefix=f"labp{os.getpid() % 100_000}", relays=COUNT, clients=2)
RELAYS = [f"relay{number + 1}" for number in range(COUNT)]
SITE: Final = "fd77:5::/48"
SITE_HOST: Final = "fd77:5::9"
"""A machine of the site, behind relay3."""
LONG_WAY: Final = ["relay1", "relay5", "relay4", "relay3", "relay2"]
"""From client1 to client2 when the link between their relays is cut."""
_HOP: Final = re.compile(r"^\s*(\d+) +(\S+)(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Trace:
    """What a traceroute showed."""

    seen: tuple[str, ...]
    """By name: relays by any address of theirs, else the address. `*` where nobody answered."""
    refused: bool
    """The last one said that there is no way (`!N`, `!H`, `!X`)."""


@dataclass
class Asked:
    """The lab, its API, and where addresses belong."""

    mesh: Mesh
    api: Rest
    ids: dict[str, str]
    names: dict[str, str]
    """By address: a relay's own, and the one that its clients see."""
    plan: AddressPlan

    def path(self, source: str, target: str) -> Any:
        return self.api.get("/v1/paths", **{"from": source, "to": target})

    def relays(self, path: Any) -> list[str]:
        by_id = {identifier: name for name, identifier in self.ids.items()}
        return [by_id[relay] for relay in path["relays"]]

    def trace(self, host: str, target: str, *, queries: int = 1) -> Trace:
        argv = ["traceroute", "-6", "-n", "-q", str(queries), "-w", "0.5", "-N", "1", "-m", "10"]
        if host in self.ids:
            argv += ["-s", self.mesh.addresses[host]]
        said = self.mesh.run(host, *argv, target, timeout=WITHIN)
        hops = _HOP.findall(said)
        return Trace(
            seen=tuple(self.names.get(address, address) for _, address, _ in hops),
            refused=bool(hops) and any(mark in hops[-1][2] for mark in ("!N", "!H", "!X", "!A")),
        )

    def agree(self, host: str, target: str, expected: list[str] | None = None) -> Any:
        """Wait until the API names these relays (None: any) for a packet from `host`, and the traceroute from there
        shows the same ones in order; returns the API's answer."""
        address = self.address(target)
        found: dict[str, Any] = {}

        def same() -> bool:
            before, trace = self.path(host, target), self.trace(host, address)
            found.update(path=before, trace=trace)
            # A client sees all relays of the way, a relay all but itself; a target that is no relay comes last.
            way = self.relays(before)[0 if host not in self.ids else 1 :]
            if self.names.get(address) is None and before["outcome"] == "delivered":
                way.append(address)
            return way == list(trace.seen) and expected in (None, self.relays(before))

        try:
            self.mesh.until(same, f"{host} to {target} goes by {expected}")
        except AssertionError as error:
            raise AssertionError(f"the API says {found.get('path')}, the traceroute {found.get('trace')}") from error
        return found["path"]

    def address(self, target: str) -> str:
        return target if ":" in target else self.mesh.overlay(target)


@pytest.fixture(scope="module")
def lab() -> Iterator[Asked]:
    with routing.mesh(SPEC) as mesh, rest(mesh.lab) as api:
        network = api.items("/v1/networks")[0]
        plan = AddressPlan(ip_network(network["prefix"]))
        relays = {relay["name"]: relay for relay in api.items("/v1/relays")}
        names = {str(plan.access_address(relay["slot"])): name for name, relay in relays.items()}
        names |= {address: name for name, address in mesh.addresses.items()}
        yield Asked(mesh, api, {name: relays[name]["id"] for name in RELAYS}, names, plan)


@pytest.fixture
def ring(lab: Asked) -> Iterator[Asked]:
    lab.mesh.lab.shape(Shape.RING)
    lab.mesh.until_sessions(dict.fromkeys(RELAYS, 2))
    lab.mesh.until_whole()
    yield lab
    heal(lab.mesh)


@pytest.fixture(scope="module")
def site_host(lab: Asked) -> Iterator[Namespace]:
    """A machine behind relay3, on a network of its own, and the site in the registry."""
    with namespaces() as make:
        yield from _site_host(lab, make)


def _site_host(lab: Asked, make: NamespaceFactory) -> Iterator[Namespace]:
    host = make("site")
    behind = lab.mesh.namespace("relay3")
    commands.run(
        ["ip", "link", "add", "lan0", "type", "veth", "peer", "name", "eth0", "netns", host.name],
        namespace=behind,
        timeout=10,
    )
    lab.mesh.run("relay3", "ip", "addr", "add", "fd77:5::1/64", "dev", "lan0", "nodad")
    lab.mesh.run("relay3", "ip", "link", "set", "lan0", "up")
    host.run("ip", "addr", "add", f"{SITE_HOST}/64", "dev", "eth0", "nodad")
    host.run("ip", "link", "set", "eth0", "up")
    host.run("ip", "-6", "route", "add", "default", "via", "fd77:5::1")
    made = lab.api.post("/v1/sites", {"name": "shed", "prefixes": [SITE], "relays": [lab.ids["relay3"]]})
    lab.api.applied(made["change"])
    lab.mesh.lab.up(SPEC)  # so that the clients' files know the site, too
    yield host
    gone = lab.api.delete(f"/v1/sites/{made['id']}")
    lab.api.applied(gone["change"])
    lab.mesh.run("relay3", "ip", "link", "del", "lan0")


def test_after_a_drain_and_after_a_fault_api_and_traceroute_agree_again(ring: Asked) -> None:
    lab = ring.mesh.lab
    ring.agree("client1", "client2", ["relay1", "relay2"])
    ring.agree("relay1", "relay3")  # by whichever side costs less now

    # Before any fault, also of the other tests: a link that has just come back costs more than the long way for the
    # better part of a minute.
    lab.drain("relay2")
    ring.agree("relay1", "relay3", ["relay1", "relay5", "relay4", "relay3"])

    def first_hop() -> Any:
        return ring.path("relay1", "relay3")["hops"][0]

    ring.mesh.until(lambda: "drained" in first_hop()["route"]["why"], "nothing passes a drained relay, and that is why")
    others = first_hop()["alternatives"]
    assert [ring.ids["relay2"]] in [[way["relay"] for way in other["next_hops"]] for other in others]
    lab.drain("relay2", draining=False)
    ring.agree("relay1", "relay3")

    lab.impair("relay1", "relay2", cut=True)
    ring.agree("client1", "client2", LONG_WAY)
    ring.agree("relay1", "relay3", ["relay1", "relay5", "relay4", "relay3"])

    lab.impair("relay1", "relay2")
    ring.mesh.until_sessions(dict.fromkeys(RELAYS, 2))
    ring.agree("client1", "client2")  # where packets were lost, it costs more than the long way for a while


def test_from_client_to_client_each_hop_is_the_traceroutes_and_says_why(ring: Asked) -> None:
    ring.mesh.lab.impair("relay1", "relay2", cut=True)

    path = ring.agree("client1", "client2", LONG_WAY)

    assert (path["complete"], path["outcome"]) == (True, "delivered")
    assert (path["source"]["kind"], path["target"]["kind"]) == ("client", "client")
    assert [hop["name"] for hop in path["hops"]] == LONG_WAY
    assert [hop["depth"] for hop in path["hops"]] == list(range(COUNT))
    slots = {name: int(ring.mesh.addresses[name].rpartition(":")[2], 16) for name in RELAYS}
    costs = []
    for hop, rest_of_way in zip(path["hops"][:-1], (LONG_WAY[at + 1 :] for at in range(COUNT - 1)), strict=True):
        route = hop["route"]
        assert hop["outcome"] == "forwarded"
        assert route["as_path"] == [asn(slots[name]) for name in rest_of_way], "the BGP path is the way that is left"
        assert [way["relay"] for way in route["next_hops"]] == [ring.ids[rest_of_way[0]]]
        assert route["why"]
        costs.append(route["cost"])
    assert costs == sorted(costs, reverse=True), "the nearer, the cheaper"
    assert len(set(costs)) == len(costs)
    assert path["cost"] == costs[0]
    last = path["hops"][-1]
    assert last["outcome"] == "delivered"
    assert last["route"]["next_hops"][0]["device"] == "alta0"


def test_a_sites_address_is_delivered_by_the_relay_it_is_behind(ring: Asked, site_host: Namespace) -> None:
    ring.mesh.lab.impair("relay2", "relay3", cut=True)

    path = ring.agree("client1", SITE_HOST, ["relay1", "relay5", "relay4", "relay3"])

    assert path["target"] == {
        "kind": "site",
        "id": path["target"]["id"],
        "name": "shed",
        "address": SITE_HOST,
        "relay": ring.ids["relay3"],
    }
    assert path["hops"][-1]["outcome"] == "delivered"
    assert path["hops"][0]["route"]["prefix"] == SITE


def test_an_address_that_nobody_owns_ends_where_a_relay_says_that_there_is_no_way(ring: Asked) -> None:
    ring.mesh.lab.impair("relay1", "relay5", cut=True)  # one way is left, whatever links cost on a busy machine
    ring.agree("relay1", "relay3", ["relay1", "relay2", "relay3"])
    nobody = str(ring.plan.services[0xDEAD])
    path, trace = ring.path("client1", nobody), ring.trace("client1", nobody)

    assert (path["complete"], path["outcome"]) == (False, "unreachable")
    assert ring.relays(path) == ["relay1"]
    assert path["target"]["kind"] == "nobody"
    assert "unreachable" in path["hops"][0]["detail"]
    assert (trace.seen, trace.refused) == (("relay1",), True)

    # In the /64 of relay3's clients: the way leads there, and ends there.
    slot = int(ring.mesh.addresses["relay3"].rpartition(":")[2], 16)
    absent = str(ring.plan.client_prefix(slot)[0xBEEF])
    path, trace = ring.path("client1", absent), ring.trace("client1", absent)

    assert (path["complete"], path["outcome"]) == (False, "nobody")
    assert ring.relays(path) == ["relay1", "relay2", "relay3"]
    assert "no relay, client or service" in path["hops"][-1]["detail"]
    assert trace.seen[:3] == ("relay1", "relay2", "relay3")
    assert absent not in trace.seen, "nobody answers from there"

    path = ring.path("client1", "2001:db8:ffff::1")
    assert (path["complete"], path["outcome"], ring.relays(path)) == (False, "no_route", ["relay1"])


def test_nonsense_is_answered_with_the_field_and_the_mend(lab: Asked) -> None:
    for source, target, field in (("nobody", "client1", "/from"), ("client1", "nobody", "/to")):
        status, problem = lab.api.refusal("GET", "/v1/paths", params={"from": source, "to": target})
        assert status == 404
        assert problem["code"] == "no_such_place"
        assert [error["pointer"] for error in problem["errors"]] == [field]
        assert problem["mend"]


def test_with_one_agent_dead_the_answer_is_partial_and_says_so(ring: Asked) -> None:
    ring.mesh.lab.impair("relay1", "relay2", cut=True)
    ring.agree("client1", "client2", LONG_WAY)

    ring.mesh.lab.kill("relay4", Target.AGENT)
    path, trace = ring.path("client1", "client2"), ring.trace("client1", ring.address("client2"))

    assert trace.seen == (*LONG_WAY, ring.address("client2")), "packets go on"
    assert (path["complete"], path["outcome"]) == (False, "no_answer")
    assert ring.relays(path) == LONG_WAY[:3], "as far as it is known"
    silent = path["hops"][2]
    assert (silent["name"], silent["outcome"], silent["route"]) == ("relay4", "no_answer", None)
    assert "relay4" in silent["detail"]
    assert "did not answer" in path["detail"]

    ring.mesh.lab.heal(["relay4"])
    ring.mesh.lab.impair("relay1", "relay2", cut=True)
    ring.mesh.until_in_sync()
    ring.agree("client1", "client2", LONG_WAY)


def test_a_relays_routes_are_what_its_kernel_and_its_bird_have(ring: Asked, site_host: Namespace) -> None:
    for relay in RELAYS:
        found: dict[str, Any] = {}

        def same(relay: str = relay, found: dict[str, Any] = found) -> bool:
            found["api"], found["kernel"] = told(ring, relay), kernel(ring, relay)
            found["bird"] = bird(ring, relay)
            learned = {one for one in found["kernel"] if one[1].startswith("altl")}
            return bool(found["api"] == found["kernel"] and learned == found["bird"])

        try:
            ring.mesh.until(same, f"{relay}'s routes are its kernel's")
        except AssertionError:
            raise AssertionError(f"{relay}: {found}") from None
        prefixes = {prefix for prefix, _ in found["api"]}
        assert (SITE in prefixes) is (relay != "relay3"), "relay3 has it at its side, in no table of BIRD's or ours"
        assert len([prefix for prefix in prefixes if prefix.endswith("/128")]) >= COUNT - 1


def told(asked: Asked, relay: str) -> set[tuple[str, str]]:
    """(prefix, device) of every route that packets take, as the API tells; `unreachable` for none."""
    slots = {asked.ids[name]: int(asked.mesh.addresses[name].rpartition(":")[2], 16) for name in RELAYS}
    answer = asked.api.get(f"/v1/relays/{asked.ids[relay]}/routes")
    assert answer["next_after"] is None
    assert answer["engine"] == "bird"
    found = set()
    for route in answer["routes"]:
        if route["used"] and not all(way["device"] in ("lo", "host") for way in route["next_hops"] or [{"device": ""}]):
            for way in route["next_hops"] or [{"relay": "", "device": "unreachable"}]:
                found.add((route["prefix"], f"altl{slots[way['relay']]}" if way["relay"] else way["device"]))
    return found


def kernel(asked: Asked, relay: str) -> set[tuple[str, str]]:
    """The same of `ip -6 route`: what BIRD and the agent have put there. Locators are not routed: they are left out."""
    found = set()
    for route in json.loads(asked.mesh.run(relay, "ip", "-6", "-j", "-N", "route", "show", "table", "main")):
        if route.get("protocol") not in ("12", "186") or str(route.get("dev", "")).startswith("altm"):
            continue
        prefix = str(ip_network(route["dst"]))
        if route.get("type") in ("unreachable", "7"):
            found.add((prefix, "unreachable"))
            continue
        for way in route.get("nexthops", [route]):
            found.add((prefix, str(way["dev"])))
    return found


def bird(asked: Asked, relay: str) -> set[tuple[str, str]]:
    """(prefix, link) of the routes that BIRD has chosen among what neighbours told, by its own word."""
    socket = asked.mesh.lab.files.host(relay) / "state" / "bird" / "bird.ctl"
    said = asked.mesh.run(relay, "birdc", "-s", str(socket), "show", "route", "table", "master6", "primary", "all")
    found, prefix, learned = set(), "", False
    for line in said.splitlines():
        if match := re.match(r"^(\S+/\d+)\s+(\S+)\s+\[(\S+)", line):
            prefix, learned = str(ip_network(match[1])), match[3].startswith("m")
        elif learned and (way := re.match(r"^\s+via \S+ on (altl\d+)", line)):
            found.add((prefix, way[1]))
    return found
