"""A peering by API, all the way: registry, agent, BIRD, a router outside, and back into the registry.

client1 ─ relay1 ─ relay2 ─ relay3 ══ eth1 ══ a router outside (FRR, GoBGP, BIRD), and a host behind it
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_network
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest
from altnet.common.embedded.postgres import SUPERUSER
from altnet.common.net import AddressPlan, asn
from altnet.host.lab import members
from altnet.host.lab.faults import Shape
from altnet.host.lab.topology import Spec
from altnet.relay_agent.bird.peerings import peering_name
from support import routing
from support.netns import Namespace, connect, namespaces
from support.outside import LINK, Outside, Speaker
from support.outside_routers import ROUTERS, each_time
from support.rest import Rest, rest
from support.routing import Mesh

pytestmark = [
    pytest.mark.netns,
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: a peering through a whole lab needs root"),
]

COUNT: Final = 3
SPEC = Spec(prefix=f"labo{os.getpid() % 100_000}", relays=COUNT, clients=1)
RELAYS = [f"relay{number + 1}" for number in range(COUNT)]
EDGE: Final = "relay3"
ASN: Final = 65_010
PASSWORD: Final = "correct-horse-battery"
HOST: Final = "fd77:1::1"
"""Behind the router outside."""
GOOD, FOREIGN, DEFAULT = "fd77:1::/48", "fd99:1::/48", "::/0"
IMPORTS: Final = {"prefix": "fd77::/16", "shortest": 16, "longest": 64}


@dataclass
class Edge:
    """The lab, its API, and the router outside."""

    mesh: Mesh
    api: Rest
    ids: dict[str, str]
    plan: AddressPlan
    outside: Outside
    peering: str = ""

    def create(self, **fields: Any) -> Any:
        """Make the peering and wait until all have applied it."""
        body = {
            "name": "upstream",
            "relay": self.ids[EDGE],
            "address": f"{LINK}2",
            "asn": ASN,
            "imports": [IMPORTS],
            "exports": [{"prefix": str(self.plan.prefix), "shortest": 48, "longest": 64}],
            "hold_time": 9,
            "password": PASSWORD,
        }
        made = self.api.post("/v1/peerings", body | fields)
        self.peering = made["id"]
        self.api.applied(made["change"])
        return made

    def remove(self) -> None:
        if self.peering:
            gone = self.api.delete(self.path)
            self.peering = ""
            self.api.applied(gone["change"])

    @property
    def path(self) -> str:
        return f"/v1/peerings/{self.peering}"

    def until(self, condition: Callable[[], bool], what: str) -> None:
        self.mesh.until(condition, what)

    def up(self) -> bool:
        told = self.api.get(self.path)
        return bool(told["standing"] == "up" and told["session"]["state"] == "established")

    def learned(self) -> list[tuple[Any, ...]]:
        """(prefix, path, origin, next hop, relay, peering) of every learned route, by the registry."""
        wanted = ("prefix", "as_path", "origin_asn", "next_hop", "relay_name", "peering_name")
        return [tuple(one[name] for name in wanted) for one in self.api.items("/v1/routes/learned")]

    def refused(self) -> dict[str, tuple[str, str]]:
        """Reason and severity by prefix, without what is our own word that comes back."""
        told = self.api.items("/v1/routes/refused")
        return {one["prefix"]: (one["reason"], one["severity"]) for one in told if one["reason"] != "path_loop"}

    def kernel(self, relay: str, prefix: str) -> str:
        """The route to exactly this prefix; empty if there is none."""
        return self.mesh.run(relay, "ip", "-6", "route", "show", "exact", prefix, "proto", "bird").strip()

    def reaches(self) -> bool:
        """Whether the client of relay1 gets an answer from the host outside."""
        return " 1 received" in self.mesh.run("client1", "ping", "-6", "-n", "-c", "1", "-W", "1", HOST, check=False)

    def birdc(self, *words: str) -> str:
        socket = self.state / "bird" / "bird.ctl"
        return self.mesh.run(EDGE, "birdc", "-s", str(socket), *words)

    @property
    def state(self) -> Path:
        return self.mesh.lab.files.host(EDGE) / "state"

    def sql(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """What the registry's database answers, asked as its superuser."""
        data = members.data_dir(self.mesh.lab.files)
        place = json.loads((data / "ready.json").read_bytes())["database"]

        async def ask() -> list[asyncpg.Record]:
            connection = await asyncpg.connect(
                host=place["host"],
                port=place["port"],
                database=place["name"],
                user=SUPERUSER,
                password=(data / "postgres.password").read_text().strip(),
                timeout=10,
            )
            try:
                return list(await connection.fetch(query, *arguments))
            finally:
                await connection.close()

        return asyncio.run(ask())

    def events(self, kind: str) -> list[dict[str, Any]]:
        """The payloads of one kind of event of this peering, in their order."""
        rows = self.sql(
            "SELECT payload::text FROM registry.outbox WHERE kind = $1 AND payload::jsonb ->> 'peering' = $2"
            " ORDER BY ordinal",
            kind,
            self.peering,
        )
        return [json.loads(row[0]) for row in rows]


@pytest.fixture(scope="module")
def lab() -> Iterator[tuple[Mesh, Rest]]:
    with routing.mesh(SPEC) as mesh, rest(mesh.lab) as api:
        mesh.lab.shape(Shape.CHAIN)
        mesh.until_path("relay1", EDGE, lambda path: len(path) == COUNT - 1)
        yield mesh, api


@pytest.fixture
def edge(lab: tuple[Mesh, Rest]) -> Iterator[Callable[..., Edge]]:
    """Makes the router outside, telling this from the start; all of it ends with the test."""
    mesh, api = lab
    with ExitStack() as stack:
        make = stack.enter_context(namespaces())

        def build(kind: str, *said: str, password: str = PASSWORD) -> Edge:
            relays = {relay["name"]: relay for relay in api.items("/v1/relays")}
            namespace = make("out")
            behind = Namespace(mesh.namespace(EDGE), Path("/nonexistent"))
            connect(behind, namespace, prefix=LINK, device="eth1")
            stack.callback(behind.run, "ip", "link", "del", "eth1")
            namespace.run("ip", "addr", "add", f"{HOST}/128", "dev", "lo", "nodad")
            namespace.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
            speaker = Speaker(asn=ASN, relay_asn=asn(relays[EDGE]["slot"]), password=password)
            outside = ROUTERS[kind](namespace, speaker)
            stack.callback(outside.close)
            plan = AddressPlan(ip_network(api.items("/v1/networks")[0]["prefix"]))
            if not outside.forwards:
                namespace.run("ip", "-6", "route", "add", str(plan.prefix), "via", f"{LINK}1")
            outside.tell(said)
            outside.start()
            made = Edge(mesh, api, {name: relays[name]["id"] for name in RELAYS}, plan, outside)
            stack.callback(made.remove)
            return made

        yield build


@each_time("frr")
def test_a_peering_by_api_brings_a_host_outside_to_a_client_of_another_relay_and_goes_without_a_trace(
    edge: Callable[..., Edge], kind: str
) -> None:
    it = edge(kind, GOOD)
    made = it.create()
    it.until(it.up, "the session is up by the registry's word")
    wanted = [(GOOD, [ASN], ASN, f"{LINK}2", EDGE, "upstream")]
    it.until(lambda: it.learned() == wanted, "the learned route is in the registry, with its origin")
    it.mesh.lab.up(SPEC)  # the client's file knows now what peerings bring in
    it.until(it.reaches, "the client reaches the host outside")

    path = it.api.get("/v1/paths", **{"from": "client1", "to": HOST})
    assert (path["complete"], path["outcome"]) == (True, "left")
    assert [hop["name"] for hop in path["hops"]] == RELAYS
    assert path["hops"][-1]["route"]["next_hops"][0]["peering"] == it.peering
    assert f"from AS{ASN} outside" in path["hops"][0]["route"]["why"]
    traced = it.mesh.run("client1", "traceroute", "-6", "-n", "-q", "1", "-w", "2", "-N", "1", "-m", "8", HOST)
    hops = [line.split()[1] for line in traced.splitlines()[1:]]
    slot = it.plan.slot_of_client(IPv6Address(path["source"]["address"]))
    assert hops[0] in (str(it.plan.access_address(slot)), it.mesh.addresses["relay1"])
    assert hops[1:] == [it.mesh.addresses["relay2"], it.mesh.addresses[EDGE], HOST], traced
    session = peering_name(it.peering)
    assert session in it.birdc("show", "protocols")
    assert it.outside.heard() >= {str(it.plan.prefix)}

    peering = it.peering
    it.remove()
    it.until(lambda: not any(it.kernel(relay, GOOD) for relay in RELAYS), "the routes go with the peering")
    it.until(lambda: session not in it.birdc("show", "protocols"), "BIRD has no such session any more")
    it.until(lambda: it.learned() == [], "the registry has no route of it any more")
    assert it.api.refusal("GET", f"/v1/peerings/{peering}")[0] == 404
    assert it.api.get("/v1/paths", **{"from": "client1", "to": HOST})["outcome"] == "no_route"
    assert not it.reaches()
    assert made["id"] == peering
    kinds = it.sql(
        "SELECT kind FROM registry.outbox WHERE payload::jsonb ->> 'peering' = $1 OR subject_id = $1 ORDER BY ordinal",
        peering,
    )
    told = [row[0].removeprefix("registry.") for row in kinds]
    assert told[0] == "peering.created"
    assert {"peering.up", "route.learned", "route.withdrawn", "peering.removed"} <= set(told)


@each_time("frr")
def test_a_leaked_default_route_and_a_hijack_are_refused_and_become_security_events_once(
    edge: Callable[..., Edge], kind: str
) -> None:
    it = edge(kind, GOOD)
    hijack = str(it.plan.client_prefix(int(it.mesh.addresses["relay1"].rpartition(":")[2], 16)))
    before = it.kernel(EDGE, hijack)
    assert "altl" in before
    it.outside.tell([GOOD, DEFAULT, hijack, FOREIGN])
    it.create()

    wanted = {DEFAULT: ("default_route", "medium"), hijack: ("own_prefix", "high"), FOREIGN: ("not_in_rules", "low")}
    it.until(lambda: it.refused() == wanted, "the registry has what was refused, and why")
    assert [one[0] for one in it.learned()] == [GOOD]
    for relay in RELAYS:
        assert not it.kernel(relay, DEFAULT), f"{relay} has the leaked default route"
        assert not it.kernel(relay, FOREIGN), f"{relay} has what no rule names"
    assert it.kernel(EDGE, hijack) == before, "relay1's clients are where they were"
    told = {route["prefix"]: (one["reason"], one["severity"]) for one in refusals(it) for route in one["routes"]}
    assert told == wanted
    assert {one["summary"] for one in refusals(it)} >= {"hijack of our own prefix", "leaked default route"}

    # Something else changes: what was refused before is not told again.
    it.outside.tell([GOOD, "fd77:2::/48", DEFAULT, hijack])
    it.until(lambda: len(it.learned()) == 2 and FOREIGN not in it.refused(), "the change is in the registry")
    assert len(refusals(it)) == 3
    it.outside.tell([GOOD])
    it.until(lambda: it.refused() == {}, "what is not told any more is not listed any more")
    it.outside.tell([GOOD, hijack])
    it.until(lambda: len(refusals(it)) == 4, "a second hijack is a second event")
    assert refusals(it)[-1]["severity"] == "high"


@each_time("frr")
def test_a_password_goes_to_bird_alone_and_a_wrong_one_is_said_and_mended(edge: Callable[..., Edge], kind: str) -> None:
    it = edge(kind, GOOD, password=PASSWORD)
    wrong = "wr0ng-staple"
    it.create(password=wrong)
    it.until(
        lambda: "wrong password" in (it.api.get(it.path)["session"] or {}).get("problem", ""),
        "the registry says that the password is wrong",
    )
    assert not it.up()

    changed = it.api.patch(it.path, {"password": PASSWORD})
    it.api.applied(changed["change"])
    it.until(it.up, "the right password makes a session")
    assert it.api.get(it.path)["session"]["problem"] == ""

    config = it.state / "bird" / "bird.conf"
    assert f'password "{PASSWORD}"' in config.read_text()
    assert config.stat().st_mode & 0o777 == 0o600
    for secret in (PASSWORD, wrong):
        assert not any(secret in text for text in it.api.said), "an answer has the password"
        assert tables_with(it, secret) == []
        found = files_with(it.mesh.lab.files.root, secret)
        assert [path for path in found if not bird_config(path)] == []
        assert config in found or secret == wrong, "the search finds it where it is"


def bird_config(path: Path) -> bool:
    """BIRD's own configuration on the relay that holds the session, or its candidate beside it."""
    return path.parts[-4:-1] == (EDGE, "state", "bird") and path.name.startswith("bird.conf")


def tables_with(it: Edge, text: str) -> list[str]:
    """The tables of any service with `text` in a row."""
    found = []
    tables = it.sql("SELECT schemaname, tablename FROM pg_tables WHERE schemaname !~ '^(pg_|information_schema)'")
    for schema, table in tables:
        query = f'SELECT count(*) FROM "{schema}"."{table}" AS row WHERE strpos(row::text, $1) > 0'
        if it.sql(query, text)[0][0]:
            found.append(f"{schema}.{table}")
    return found


def files_with(root: Path, text: str) -> list[Path]:
    """The files of the whole lab (disks of all hosts, JetStream, Postgres, logs) that have `text` in them."""
    found = []
    for path in root.rglob("*"):
        if path.is_file() and not path.is_socket():
            try:
                if text.encode() in path.read_bytes():
                    found.append(path)
            except FileNotFoundError:  # Postgres has removed it meanwhile
                continue
    return found


def refusals(it: Edge) -> list[dict[str, Any]]:
    """The security events of refused routes, without those about our own word that comes back."""
    return [one for one in it.events("registry.route.refused") if one["reason"] != "path_loop"]
