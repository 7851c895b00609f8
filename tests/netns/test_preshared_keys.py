"""Pre-shared keys of a whole lab under traffic: real relays, WireGuard, BIRD, registry and keyd.

What the devices have is read from wireguard-go itself. Refreshes come every few seconds, by a setting for tests.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

import asyncpg
import msgspec
import pytest
from altnet.common.embedded.postgres import SUPERUSER
from altnet.common.kernel.uapi_text import DeviceParser
from altnet.common.kernel.wireguard import PeerState
from altnet.host.lab import enrol, launcher, members
from altnet.host.lab.api import Api
from altnet.host.lab.lab import Target
from altnet.host.lab.prober import Prober
from altnet.host.lab.topology import Spec
from altnet.relay_agent.control import ask_status
from altnet.relay_agent.psk.pair import Record, Step
from altnet.relay_agent.status import AgentStatus
from support.routing import Mesh, heal, mesh

pytestmark = [
    pytest.mark.netns,
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.timeout(420),
    pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: pre-shared keys in a whole lab need root"),
]

SPEC = Spec(prefix=f"labq{os.getpid() % 100_000}", relays=3, clients=2)
RATE = 100.0
"""Packets a second, each way."""
EVENTS = "SELECT payload::text FROM keyd.outbox WHERE kind = 'keyd.preshared_key.failed'"
REFRESH = 3
"""Seconds between two keys of a pair."""


@pytest.fixture(scope="module")
def whole() -> Iterator[Mesh]:
    with mesh(SPEC) as made:
        made.until(lambda: api(made).proven() == SPEC.relays, "every identity is proven")
        for relay in made.relays:
            with members.agent_config(made.lab.files, relay).open("a") as file:
                file.write(f"[timers]\npreshared_refresh = {REFRESH}\n")
            restart(made, relay)
        made.until_all_links()
        yield made


@pytest.fixture
def lab(whole: Mesh) -> Iterator[Mesh]:
    """As new, with a key for each pair; and left as new."""
    whole.until_all_links()
    policy(whole, "on")
    until_keys(whole)
    yield whole
    heal(whole)


def api(lab: Mesh) -> Api:
    return enrol.open_api(lab.lab.await_control())


def policy(lab: Mesh, wanted: str) -> None:
    api(lab).change_settings(preshared_keys=wanted)  # type: ignore[arg-type]  # of its settings only this is a word
    lab.until_in_sync()


def restart(lab: Mesh, relay: str) -> None:
    lab.lab.kill(relay, Target.AGENT)
    lab.lab.heal()


def status(lab: Mesh, relay: str) -> AgentStatus:
    """The agent's own word."""
    return asyncio.run(ask_status(str(members.agent_socket(lab.lab.files, relay)), timeout=10))


def ids(lab: Mesh) -> dict[str, str]:
    """Each relay's id, by its name."""
    return {str(relay.name): str(relay.id) for relay in api(lab).relays()}


def on_devices(lab: Mesh) -> dict[tuple[str, str], bytes]:
    """What each relay's mesh devices have as pre-shared key for each other relay; b"" for none."""
    return {pair: peer.psk.reveal() if peer.psk is not None else b"" for pair, peer in peers(lab).items()}


def peers(lab: Mesh) -> dict[tuple[str, str], PeerState]:
    """Each relay's mesh peers, by the names of both."""
    keys = {str(relay.key): str(relay.name) for relay in api(lab).relays()}
    found = {}
    for relay in lab.relays:
        for path in lab.lab.files.wireguard(relay).glob("altm*.sock"):
            with socket.socket(socket.AF_UNIX) as asked:
                asked.settimeout(10)
                asked.connect(str(path))
                asked.sendall(b"get=1\n\n")
                said = b""
                while not said.endswith(b"\n\n"):
                    said += asked.recv(1 << 20)
            parser = DeviceParser(path.stem)
            parser.feed(said.split(b"\n"))
            for key, peer in parser.device().peers.items():
                if key.base64 in keys:
                    found[relay, keys[key.base64]] = peer
    return found


def agreed(lab: Mesh) -> dict[tuple[str, str], bytes]:
    """The key of each pair, of those that have the same one at both ends."""
    found = on_devices(lab)
    pairs = combinations(lab.relays, 2)
    return {
        (one, other): found[one, other]
        for one, other in pairs
        if found.get((one, other)) and found[one, other] == found.get((other, one))
    }


def until_keys(lab: Mesh) -> dict[tuple[str, str], bytes]:
    found: list[dict[tuple[str, str], bytes]] = []

    def there() -> bool:
        found[:] = [agreed(lab)]
        return len(found[0]) == len(list(combinations(lab.relays, 2)))

    lab.until(there, "each pair has the same key at both ends")
    return found[0]


def kept(file: Path) -> Record | None:
    """What a relay keeps of a pair."""
    return msgspec.json.decode(file.read_bytes(), type=Record) if file.exists() else None


def pair_file(lab: Mesh, relay: str, other: str) -> Path:
    return lab.lab.files.host(relay) / "state" / "pairs" / f"{ids(lab)[other]}.json"


def initiator(lab: Mesh, one: str, other: str) -> tuple[str, str]:
    """The two of a pair, the initiator first."""

    def static(relay: str) -> bytes:
        return base64.b64decode(next(str(found.identity_key) for found in api(lab).relays() if found.name == relay))

    return (one, other) if static(one) < static(other) else (other, one)


def during(lab: Mesh, what: Callable[[Prober], None], *, rate: float = RATE) -> None:
    """Do something under traffic between clients and between relays, and assert that no packet of it is lost."""
    with (
        lab.stream("client1", "client2", rate=rate) as clients,
        lab.stream("relay1", "relay3", rate=rate / 4, port=7778) as relays,
    ):
        began = clients.now(), relays.now()
        what(clients)
        assert (lab.lost(clients, began[0]), lab.lost(relays, began[1])) == (0, 0)


def agent_pid(lab: Mesh, relay: str) -> int:
    process = launcher.find(lab.lab.files, relay, members.AGENT)
    assert process is not None
    return process.pid


def wait(seconds: float) -> None:
    time.sleep(seconds)  # time itself is what is waited for: keys are refreshed by age


def test_keys_are_refreshed_under_traffic_and_no_packet_is_lost(lab: Mesh) -> None:
    seen = refreshed(lab, seconds=15, rate=RATE)
    assert all(len(keys) > 3 for keys in seen.values()), {pair: len(keys) for pair, keys in seen.items()}


@pytest.mark.soak
def test_wireguard_rekeys_by_keys_that_were_refreshed_meanwhile_and_no_packet_is_lost(lab: Mesh) -> None:
    began = time.time()
    seen = refreshed(lab, seconds=140, rate=1000)  # a rekey of WireGuard is due after 120 s
    shaken = {pair: peer.last_handshake for pair, peer in peers(lab).items()}
    assert all(last is not None and last > began for last in shaken.values()), (began, shaken)
    assert all(len(keys) > 10 for keys in seen.values()), {pair: len(keys) for pair, keys in seen.items()}


def refreshed(lab: Mesh, *, seconds: float, rate: float) -> dict[tuple[str, str], set[bytes]]:
    """The keys that each pair had, under traffic of which nothing was lost."""
    seen: dict[tuple[str, str], set[bytes]] = {pair: {key} for pair, key in until_keys(lab).items()}

    def watch(_: Prober) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for pair, key in agreed(lab).items():
                seen[pair].add(key)
            wait(1)

    during(lab, watch, rate=rate)
    return seen


def test_an_agent_that_is_killed_at_each_step_of_an_exchange_loses_no_packet(lab: Mesh) -> None:
    def kill(_: Prober) -> None:
        for relay in ("relay1", "relay2", "relay1", "relay3", "relay2", "relay1"):
            caught(lab, relay)
            restart(lab, relay)
            until_keys(lab)

    during(lab, kill)
    lab.until_in_sync()


def caught(lab: Mesh, relay: str) -> None:
    """Wait until the relay has touched its devices for an exchange that is not over."""
    files = [pair_file(lab, relay, other) for other in lab.relays if other != relay]
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:  # a step takes milliseconds: where none is caught, it dies between exchanges
        found = [kept(file) for file in files]
        if any(one is not None and one.step in (Step.CONFIRMED, Step.INSTALLING, Step.INSTALLED) for one in found):
            return
        wait(0.002)


def test_a_side_that_does_not_answer_is_rolled_back_and_said_and_no_packet_is_lost(lab: Mesh) -> None:
    one, other = initiator(lab, "relay1", "relay2")

    def stop(_: Prober) -> None:
        os.kill(agent_pid(lab, other), signal.SIGSTOP)
        try:
            lab.until(lambda: "no_answer" in status(lab, one).preshared, "the initiator says that nobody answers")
            found = on_devices(lab)
            assert found[one, other] == found[other, one] != b""
        finally:
            os.kill(agent_pid(lab, other), signal.SIGCONT)
        before = found[one, other]
        lab.until(lambda: agreed(lab).get(pair_of(lab, one, other), before) != before, "they agree on a new key")

    during(lab, stop)
    lab.until(lambda: failed(lab, one, other, "no_answer"), "keyd has a security event of it")


def pair_of(lab: Mesh, one: str, other: str) -> tuple[str, str]:
    return (one, other) if lab.relays.index(one) < lab.relays.index(other) else (other, one)


def failed(lab: Mesh, relay: str, other: str, why: str) -> bool:
    """Whether keyd has told of this trouble."""
    names = ids(lab)
    said = [json.loads(row) for row in sql(lab, EVENTS)]
    return any((it["relay"], it["neighbour"], it["why"]) == (names[relay], names[other], why) for it in said)


def sql(lab: Mesh, query: str) -> list[str]:
    """The first column of the answer, from the lab's Postgres."""
    data = members.data_dir(lab.lab.files)
    place = json.loads(members.ready_file(lab.lab.files).read_bytes())["database"]
    password = (data / "postgres.password").read_text().strip()

    async def ask() -> list[str]:
        connection = await asyncpg.connect(
            host=place["host"],
            port=place["port"],
            database=place["name"],
            user=SUPERUSER,
            password=password,
            timeout=10,
        )
        try:
            return [str(row[0]) for row in await connection.fetch(query)]
        finally:
            await connection.close()

    return asyncio.run(ask())


def test_where_a_key_is_required_a_pair_without_one_is_closed_until_it_has_one(lab: Mesh) -> None:
    policy(lab, "required")
    until_keys(lab)
    lab.lab.kill("relay2", Target.AGENT)  # its devices stay, with what they have
    lab.lab.kill("relay1")
    pair_file(lab, "relay1", "relay2").unlink()
    lab.lab.heal(["relay1"])
    lab.until(lambda: failed(lab, "relay1", "relay2", "no_key"), "keyd has a security event of it")
    closed = on_devices(lab)
    assert closed["relay1", "relay2"] not in (b"", closed["relay2", "relay1"])
    assert closed["relay1", "relay3"] == closed["relay3", "relay1"] != b""
    seen = {link.neighbour: link.handshake_age for link in status(lab, "relay1").links}
    assert seen[ids(lab)["relay2"]] is None
    assert seen[ids(lab)["relay3"]] is not None
    lab.lab.heal()
    until_keys(lab)
    lab.until_all_links()


def test_mesh_keys_are_rotated_while_keys_are_refreshed_and_no_packet_is_lost(lab: Mesh) -> None:
    before = {str(relay.key) for relay in api(lab).relays()}

    def rotate(_: Prober) -> None:
        started = api(lab).rotate(prepare_timeout=20, wave_timeout=20, drain=1).id
        lab.until(lambda: api(lab).rotation(started).ended_at is not None, "the rotation is over")
        assert api(lab).rotation(started).phase == "done"
        until_keys(lab)

    during(lab, rotate)
    assert {str(relay.key) for relay in api(lab).relays()}.isdisjoint(before)


def test_a_host_that_was_rebooted_without_a_control_plane_has_its_keys(lab: Mesh) -> None:
    policy(lab, "required")
    until_keys(lab)
    lab.lab.kill("control")
    try:
        lab.lab.kill("relay2")
        lab.lab.heal(["relay2"])
        lab.until_whole()
    finally:
        lab.lab.heal()
    until_keys(lab)


def test_keys_are_laid_down_by_both_when_nobody_wants_them_and_no_packet_is_lost(lab: Mesh) -> None:
    def there_and_back(_: Prober) -> None:
        policy(lab, "required")
        until_keys(lab)
        policy(lab, "off")
        lab.until(lambda: set(on_devices(lab).values()) == {b""}, "no device has a key")
        assert {status(lab, relay).preshared for relay in lab.relays} == {""}
        policy(lab, "on")
        until_keys(lab)

    during(lab, there_and_back)
