"""Keys between relays and clients are replaced in a whole lab, under traffic: relays' access keys and clients' own.

One client runs altnetd and follows by itself; the others have wg-quick files, and change when they are given new ones.
What this leaves to others: keys between relays (test_key_rotation.py), and each part alone (the agent's and the
client's own tests).
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from altnet.common.contracts.client import ClientConfig
from altnet.common.files import write_private
from altnet.common.keys import PrivateKey
from altnet.host.lab import enrol, launcher, members, tunnel
from altnet.host.lab.api import Api
from altnet.host.lab.lab import Target
from altnet.host.lab.prober import Prober
from altnet.host.lab.topology import Spec
from altnet_sdk.models.network_client import NetworkClient
from altnet_sdk.models.rotation import Rotation
from support.roaming import NAME, Roamer, roamer
from support.routing import Mesh, heal, mesh

pytestmark = [
    pytest.mark.netns,
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.timeout(420),
    pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: rotation of clients' keys in a whole lab needs root"),
]

SPEC = Spec(prefix=f"laba{os.getpid() % 100_000}", relays=3, clients=2, roaming=1)
PLAIN = "client2"
FULL, RATE = 1000.0, 100.0
"""Packets a second, each way: where all keys are rotated in peace, and where something dies besides."""
QUICK: dict[str, float | str] = {"prepare_timeout": 20, "wave_timeout": 30, "drain": 1}


@dataclass
class Place:
    lab: Mesh
    client: Roamer

    @property
    def api(self) -> Api:
        return enrol.open_api(self.lab.lab.await_control())

    @property
    def other(self) -> str:
        """A relay that the client with altnetd is not at."""
        return self.client.others[0]

    def rotate(self, kind: str, **plan: float | str) -> str:
        return str(self.api.rotate(kind=kind, **{**QUICK, **plan}).id)

    def ended(self, id: str, phase: str) -> Rotation:
        """The rotation, once it is over, as it should end."""
        found: list[Rotation] = []

        def over() -> bool:
            found[:] = [self.api.rotation(id)]
            return found[0].ended_at is not None

        try:
            self.lab.until(over, f"rotation {id} is over")
        except AssertionError as error:
            raise AssertionError(f"{found[0].to_dict()} {self.words()} {error}") from None
        assert found[0].phase == phase, found[0].to_dict()
        return found[0]

    def words(self) -> str:
        """What the client says, for a failure's message."""
        log = launcher.log_file(self.lab.lab.files, NAME, members.ALTNETD)
        return f"{self.client.view()} {launcher.last_words(log, 20)}"

    def behind(self, id: str) -> int:
        return sum(part.behind for part in self.api.rotation(id).relays)

    def until_phase(self, id: str, phase: str) -> None:
        found: list[Rotation] = []

        def there() -> bool:
            found[:] = [self.api.rotation(id)]
            return found[0].phase == phase or found[0].ended_at is not None

        try:
            self.lab.until(there, f"rotation {id} comes to {phase}")
            assert found[0].phase == phase
        except AssertionError as error:
            raise AssertionError(f"{found[0].to_dict()} {self.words()} {error}") from None

    def access_keys(self) -> dict[str, str]:
        """Each relay's present access key, as the host has it: the private half is compared, and never shown."""
        return {relay: str(self._identity(relay)["access_key"]) for relay in self.lab.relays}

    def every_key(self) -> set[str]:
        """Each relay's present mesh key and access key."""
        return {str(self._identity(relay)[use]) for relay in self.lab.relays for use in ("mesh_key", "access_key")}

    def _identity(self, relay: str) -> dict[str, object]:
        file: Path = next(self.lab.lab.files.host(relay).rglob("identity.json"))
        found: dict[str, object] = json.loads(file.read_text())
        return found

    def devices(self, host: str, start: str) -> list[str]:
        return [
            link["ifname"]
            for link in json.loads(self.lab.run(host, "ip", "-j", "link"))
            if link["ifname"].startswith(start)
        ]

    def until_settled(self) -> None:
        """One access device at each relay, one interface at the client, and everybody in sync."""
        self.lab.until(
            lambda: all(len(self.devices(relay, "alta")) == 1 for relay in self.lab.relays),
            f"one access device each, now { {relay: self.devices(relay, 'alta') for relay in self.lab.relays} }",
        )
        self.until_client_settled()
        self.lab.until_in_sync()

    def until_client_settled(self) -> None:
        def settled() -> bool:
            view = self.client.view()
            return view is not None and not view.changing_keys and len(self.devices(NAME, "altnet0")) == 1

        self.lab.until(settled, f"the client goes by one pair of keys, now {self.client.view()}")

    def config(self) -> ClientConfig:
        file = members.altnetd_dir(self.lab.lab.files, NAME) / "configuration.json"
        return msgspec.json.decode(file.read_bytes(), type=ClientConfig)

    def registered(self, name: str) -> NetworkClient:
        """As the registry knows a client."""
        found = self.api.client(name)
        assert found is not None
        return found

    def until_key_changed(self, before: str) -> None:
        """The client with altnetd goes by another key, and everybody knows it by that one alone."""

        def changed() -> bool:
            known, view = self.registered(NAME), self.client.view()
            return known.key != before and not known.next_key and view is not None and view.key == known.key

        try:
            self.lab.until(changed, "the client has another key")
        except AssertionError as error:
            raise AssertionError(f"{self.registered(NAME).to_dict()} {self.words()} {error}") from None
        self.until_client_settled()

    def new_file(self, key: PrivateKey | None = None) -> None:
        """Install what the registry has for the plain client now, as its owner would: with the private key put in."""
        files = self.lab.lab.files
        path, kept = files.host(PLAIN) / "alt0.conf", files.host(PLAIN) / "private-key"
        if key is not None:
            write_private(kept, base64.b64encode(key.reveal()))
        text = enrol.with_private_key(
            self.api.client_config(self.registered(PLAIN).id), PrivateKey.parse(kept.read_text())
        )
        write_private(path, text.encode())
        host = self.lab.lab.topology().host(PLAIN)
        tunnel.bring_up(host, path, files=files, lock=-1, env={})


@pytest.fixture(scope="module")
def whole() -> Iterator[Mesh]:
    with mesh(SPEC) as made:
        made.until(lambda: enrol.open_api(made.lab.await_control()).proven() == SPEC.relays, "every identity is proven")
        yield made


@pytest.fixture
def place(whole: Mesh) -> Iterator[Place]:
    """At rest, and left so."""
    made = Place(whole, roamer(whole))
    made.until_client_settled()
    yield made
    heal(whole)


def during(place: Place, what: Callable[[Prober], None], *, rate: float = RATE) -> None:
    """Do something under traffic between a relay and the client with altnetd, and assert that no packet is lost."""
    with place.lab.stream(NAME, place.other, rate=rate) as packets:
        since = packets.now()
        what(packets)
        assert place.client.loss(packets, since, "keys change").lost == 0


def test_relays_change_their_access_keys_and_a_client_with_altnetd_loses_no_packet(place: Place) -> None:
    before = place.access_keys()

    def rotate(_: Prober) -> None:
        id = place.rotate("access")
        place.until_phase(id, "drain")  # all that follow by themselves have followed
        place.lab.until(lambda: place.behind(id) == 1, "the plain client alone is waited for")
        assert place.access_keys() == before
        place.new_file()
        place.ended(id, "done")
        place.until_settled()

    for rate in (FULL, RATE):  # there and back: each rotation takes the other devices
        during(place, rotate, rate=rate)
        after = place.access_keys()
        assert set(after.values()).isdisjoint(before.values())
        before = after


def test_a_relays_agent_and_altnetd_are_killed_while_access_keys_change_and_no_packet_is_lost(place: Place) -> None:
    before = place.access_keys()

    def rotate(_: Prober) -> None:
        id = place.rotate("access", canary=3)
        for _number in range(3):
            place.lab.lab.kill(place.client.first, Target.AGENT)
            place.lab.lab.kill(NAME, Target.ALTNETD)
            place.lab.lab.heal()
        place.until_phase(id, "drain")
        place.new_file()
        place.ended(id, "done")
        place.until_settled()

    during(place, rotate)
    assert set(place.access_keys().values()).isdisjoint(before.values())


def test_a_rotation_of_access_keys_that_is_rolled_back_leaves_the_old_ones_and_loses_no_packet(place: Place) -> None:
    before = place.access_keys()

    def rotate(_: Prober) -> None:
        id = place.rotate("access")
        place.until_phase(id, "drain")
        place.api.steer_rotation(id, "rollback")
        assert place.ended(id, "rolled_back").ended == "asked"
        place.until_settled()

    during(place, rotate)
    assert place.access_keys() == before


def test_an_access_key_that_is_revoked_is_rotated_away_without_anybody_asking_and_no_packet_is_lost(
    place: Place,
) -> None:
    leaked = next(str(relay.access_key) for relay in place.api.relays() if relay.name == place.client.first)
    known = {rotation.id for rotation in place.api.rotations()}
    found: list[Rotation] = []

    def started() -> bool:
        found[:] = [rotation for rotation in place.api.rotations() if rotation.id not in known]
        return bool(found)

    def revoke(_: Prober) -> None:
        told = place.api.revoke(key=leaked, reason="leaked")
        assert (told.use, told.still_in_use) == ("access", True)
        place.lab.until(started, "a rotation that nobody asked for")
        (one,) = found
        assert (one.kind, one.reason) == ("access", "a key was revoked")
        assert one.until is not None
        assert one.until - one.created_at <= timedelta(hours=1), "the plain client's time is short"
        place.until_phase(one.id, "drain")
        place.new_file()
        place.ended(one.id, "done")
        place.until_settled()

    during(place, revoke)
    assert leaked not in {str(relay.access_key) for relay in place.api.relays()}
    assert len(place.api.rotations()) == len(known) + 1, "what is paid is not owed any more"


def test_a_client_changes_its_own_key_when_it_is_asked_and_loses_no_packet(place: Place) -> None:
    def change(_: Prober) -> None:
        before = place.registered(NAME)
        place.api.change_key(before.id)
        place.until_key_changed(before.key)

    for _ in range(2):  # by either door
        during(place, change)


def test_altnetd_is_killed_while_it_changes_its_own_key_and_no_packet_is_lost(place: Place) -> None:
    def change(_: Prober) -> None:
        before = place.registered(NAME)
        place.api.change_key(before.id)
        for _number in range(4):
            place.lab.lab.kill(NAME, Target.ALTNETD)
            place.lab.lab.heal([NAME])
        place.until_key_changed(before.key)

    during(place, change)


def test_one_call_changes_every_clients_key_and_who_has_a_file_keeps_its_own_until_the_date(place: Place) -> None:
    before, plain = place.registered(NAME), place.registered(PLAIN)

    def change(_: Prober) -> None:
        done = place.ended(place.rotate("client", grace=12), "done")
        place.until_key_changed(before.key)
        assert done.clients.to_dict()["done"] == 1

    during(place, change)
    assert place.registered(PLAIN).key == plain.key


def test_one_call_changes_every_key_of_the_network_at_the_same_time_and_no_packet_is_lost(place: Place) -> None:
    before, client, plain = place.every_key(), place.registered(NAME), place.registered(PLAIN)

    def rotate(_: Prober) -> None:
        opened = {kind: str(one.id) for kind, one in place.api.rotate_all(**QUICK, grace=15).items()}
        assert sorted(opened) == ["access", "client", "mesh"]
        for id in opened.values():
            place.ended(id, "done")
        place.until_key_changed(client.key)
        place.lab.until_in_sync()

    during(place, rotate)
    assert place.every_key().isdisjoint(before)
    assert place.registered(PLAIN).key == plain.key, "it announced none"
    place.new_file()


def test_a_plain_client_is_let_in_by_its_old_and_its_new_key_until_the_old_one_is_out(place: Place) -> None:
    plain, following = place.registered(PLAIN), PrivateKey.generate()
    public = following.public().base64
    with place.lab.stream(PLAIN, place.other, rate=100) as packets:
        place.api.change_key(plain.id, key=public)
        place.lab.until_in_sync()
        since = packets.now()
        place.lab.run(PLAIN, "sleep", "1")
        assert place.lab.lost(packets, since) == 0, "the old file goes on"
        place.new_file(following)
        place.lab.flow(packets)
        place.api.keep_key(plain.id, public)
        place.lab.until_in_sync()
        since = packets.now()
        place.lab.run(PLAIN, "sleep", "1")
        assert place.lab.lost(packets, since) == 0, "the new one alone goes on"
    assert place.registered(PLAIN).key == public
