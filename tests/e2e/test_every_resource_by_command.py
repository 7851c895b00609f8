"""Each resource by the command line, through the generated client: what it lists, changes, and takes out again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from altnet.common.bus import desired
from altnet.common.bus.connect import Bus, BusSettings
from altnet.common.bus.credentials import Credentials
from altnet.common.bus.subjects import RELAY_BUCKET, relay_status
from altnet.common.contracts.agent import Applied, Heartbeat, HostStatus, LinkStatus
from altnet.common.contracts.desired import unpack_relay_document
from altnet.common.keys import PrivateKey
from altnet.host.cli import app, exit_code
from integration.registry.running import Host, eventually
from support.control_plane import ControlPlane
from typer.testing import CliRunner

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


class Altnet:
    """`await altnet("sites", "list")`: one command in this process, as the first owner."""

    def __init__(self, plane: ControlPlane) -> None:
        self._env = {"ALTNET_API": plane.url, "ALTNET_TOKEN_FILE": str(plane.facts["owner_token"])}

    async def __call__(self, *arguments: str) -> Done:
        return await asyncio.to_thread(self._run, arguments)

    def _run(self, arguments: Sequence[str]) -> Done:
        result = CliRunner().invoke(app, arguments, env=self._env)
        error = result.exception
        if error is None or isinstance(error, SystemExit):
            return Done(result.exit_code, result.stdout, result.stderr)
        return Done(exit_code(error), result.stdout, str(error))  # type: ignore[arg-type]  # as `main` does


@pytest.fixture
def altnet(control: ControlPlane) -> Altnet:
    return Altnet(control)


async def enrol(plane: ControlPlane, name: str) -> tuple[Host, dict[str, Any]]:
    async with plane.client() as operator:
        host = Host(name)
        answer = await host.ask(operator.http, await operator.join_token(uses=1), endpoints=[f"{name}.example:51820"])
        assert answer.status_code == 201, answer.text
        return host, dict(answer.json())


async def test_sites_peers_services_and_networks(altnet: Altnet, control: ControlPlane) -> None:
    _, enrolled = await enrol(control, "oslo")
    relay = enrolled["relay"]["id"]

    made = await altnet(
        *("sites", "create", "--name", "office", "--prefix", "10.1.0.0/16", "--prefix", "2001:db8:1::/48"),
        *("--relay", relay, "--label", "floor=2", "--json"),
    )
    assert (made.json["prefixes"], made.json["relays"]) == (["10.1.0.0/16", "2001:db8:1::/48"], [relay])
    assert made.json["labels"] == {"floor": "2"}
    listed = await altnet("sites", "list", "--network", "default", "--json")
    assert [site["name"] for site in listed.json] == ["office"]
    assert "office" in (await altnet("sites", "list")).out
    overlap = await altnet("sites", "create", "--name", "lab", "--prefix", "10.1.2.0/24")
    assert (overlap.code, "/prefixes" in overlap.err) == (6, True)
    assert (await altnet("sites", "remove", "office")).code == 2, "not without --yes where nobody can be asked"
    assert (await altnet("sites", "remove", "office", "--yes")).code == 0
    assert (await altnet("sites", "remove", "office", "--yes")).code == 5

    peers = (await altnet("peers", "list", "--json")).json
    assert [(peer["kind"], peer["name"]) for peer in peers] == [("relay", "oslo")]
    table = await altnet("peers", "list", "--network", "default")
    assert table.out.splitlines()[0].split() == ["NAME", "KIND", "ADDRESSES", "HEALTH", "ID"]
    assert enrolled["relay"]["address"] in table.out

    service = await altnet("services", "register", "--name", "wiki", "--port", "80", "--owner", relay, "--json")
    assert service.json["health"] == "unknown"
    told = await altnet("services", "health", "wiki", "critical", "--note", "502 from the front", "--json")
    assert (told.json["health"], told.json["health_note"]) == ("critical", "502 from the front")
    listed = await altnet("services", "list", "--health", "critical", "--json")
    assert [one["name"] for one in listed.json] == ["wiki"]
    wrong = await altnet("services", "health", "wiki", "splendid")
    assert (wrong.code, wrong.err) == (2, "/health: 'splendid' is none of critical, passing, unknown, warning.")

    changed = await altnet("networks", "set", "default", "--heartbeat", "2.5", "--bfd-multiplier", "4", "--json")
    assert (changed.json["settings"]["heartbeat"], changed.json["settings"]["bfd_multiplier"]) == (2.5, 4)
    assert changed.json["settings"]["mtu"] == 1420, "the rest stays"
    small = await altnet("networks", "set", "default", "--mtu", "10")
    assert (small.code, "/settings/mtu" in small.err) == (2, True)
    assert (await altnet("networks", "set", "nowhere", "--mtu", "1400")).code == 5


async def test_relays_are_changed_measured_and_revoked(altnet: Altnet, control: ControlPlane) -> None:
    host, enrolled = await enrol(control, "rome")
    relay = enrolled["relay"]["id"]

    changed = await altnet(
        *("relays", "set", "rome", "--name", "roma", "--region", "eu-south", "--weight", "3", "--label", "rack=r7"),
        *("--endpoint", "roma.example:51820", "--endpoint", "[2001:db8::7]:51820", "--json"),
    )
    said = {name: changed.json[name] for name in ("name", "region", "weight", "labels", "endpoints")}
    assert said == {
        "name": "roma",
        "region": "eu-south",
        "weight": 3,
        "labels": {"rack": "r7"},
        "endpoints": ["roma.example:51820", "[2001:db8::7]:51820"],
    }
    assert (await altnet("relays", "set", "rome", "--weight", "1")).code == 5, "it has another name by now"
    bad = await altnet("relays", "set", "roma", "--endpoint", "nowhere")
    assert (bad.code, "/endpoints/0" in bad.err) == (2, True)

    assert (await altnet("relays", "metrics", "roma", "--json")).json["samples"] == []
    bus = BusSettings(servers=tuple(enrolled["bus"]["servers"]))
    async with Bus(bus, Credentials(enrolled["bus"]["jwt"], host.seed), name=relay) as connected:
        await connected.wait_connected(20)
        applied = Applied(mesh_generation=0, mesh_digest="", document_generation=0, document_digest="")
        link = LinkStatus(neighbour="rly_other", up=True, received=7, sent=9, rtt=0.004)
        status = HostStatus(load=0.5, memory_used=0.25, agent_rss=30_000_000, uptime=3.0)
        beat = Heartbeat(boot="b", number=0, applied=applied, links=(link,), host=status)
        await connected.publish(relay_status(relay), msgspec.json.encode(beat))
        await connected.flush(10)

        async def sampled() -> bool:
            return bool((await altnet("relays", "metrics", "roma", "--json")).json["samples"])

        await eventually(sampled)
    (sample,) = (await altnet("relays", "metrics", "roma", "--json")).json["samples"]
    assert (sample["load"], sample["memory_used"], sample["agent_rss"]) == (0.5, 0.25, 30_000_000)
    assert [(one["neighbour"], one["received"], one["sent"]) for one in sample["links"]] == [("rly_other", 7, 9)]
    heading, row = (await altnet("relays", "metrics", "roma")).out.splitlines()
    assert heading.split() == ["AT", "HEALTH", "LOAD", "MEMORY", "FAILED"]
    assert "0.25" in row

    assert (await altnet("relays", "revoke", "roma")).code == 2
    revoked = await altnet("relays", "revoke", "roma", "--yes", "--json")
    assert (revoked.json["revoked"], revoked.json["name"]) == (True, "roma")
    assert "roma" not in (await altnet("relays", "list")).out
    assert "roma" in (await altnet("relays", "list", "--revoked")).out


async def test_clients_get_their_file_their_ranking_and_go(altnet: Altnet, control: ControlPlane) -> None:
    await enrol(control, "wien")
    public = PrivateKey.generate().public().base64
    made = await altnet("clients", "create", "--name", "tablet", "--key", public, "--label", "owner=ann", "--json")
    assert (made.json["key"], made.json["labels"]) == (public, {"owner": "ann"})

    config = await altnet("clients", "config", "tablet")
    ranking = await altnet("clients", "relays", "tablet", "--json")
    table = await altnet("clients", "relays", "tablet")

    assert "PrivateKey = REPLACE-WITH-YOUR-PRIVATE-KEY" in config.out
    assert f"Address = {made.json['address']}/128" in config.out
    first = ranking.json[0]
    assert (first["relay"], first["usable"]) == (made.json["relay"], True)
    assert table.out.splitlines()[0].split() == ["RELAY", "USABLE", "SCORE", "WHY"]
    assert first["name"] in table.out
    assert (await altnet("clients", "remove", "tablet")).code == 2
    assert (await altnet("clients", "remove", "tablet", "--yes")).code == 0
    assert (await altnet("clients", "show", "tablet")).code == 5


async def test_every_document_is_published_anew_by_one_command(altnet: Altnet, control: ControlPlane) -> None:
    host, enrolled = await enrol(control, "bern")
    relay = enrolled["relay"]["id"]
    bus = BusSettings(servers=tuple(enrolled["bus"]["servers"]))
    async with Bus(bus, Credentials(enrolled["bus"]["jwt"], host.seed), name=relay) as connected:
        await connected.wait_connected(20)

        async def planned() -> bool:
            data = await desired.fetch(connected, RELAY_BUCKET, relay, timeout=10)
            return data is not None and unpack_relay_document(data).generation >= enrolled["change"]

        await eventually(planned)
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        subscription = await desired.subscribe(connected, RELAY_BUCKET, relay, heard.put)
        await connected.flush(10)

        done = await altnet("admin", "rebuild-desired", "--data-dir", str(control.data), "--json")

        assert done.json["documents"] >= 2, "a snapshot and a document at least"
        async with asyncio.timeout(20):
            document = unpack_relay_document(await heard.get())
        assert document.relay == relay
        await subscription.stop()
    nowhere = await altnet("admin", "rebuild-desired", "--data-dir", str(control.data.parent / "nothing"))
    assert (nowhere.code, "no `altnet up` runs" in nowhere.err) == (3, True)
