"""Every mesh key of a whole lab is rotated under traffic: real relays, WireGuard, BIRD, registry and keyd."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from altnet.host.lab import enrol
from altnet.host.lab.api import Api
from altnet.host.lab.lab import Target
from altnet.host.lab.prober import Prober
from altnet.host.lab.topology import Spec
from altnet_sdk.models.rotation import Rotation
from support.routing import Mesh, heal, mesh

pytestmark = [
    pytest.mark.netns,
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.timeout(420),
    pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: rotation of keys in a whole lab needs root"),
]

SPEC = Spec(prefix=f"labk{os.getpid() % 100_000}", relays=4, clients=2)
FULL, RATE = 1000.0, 100.0
"""Packets a second, each way: where all keys are rotated in peace, and where something dies besides."""
QUICK = {"prepare_timeout": 20, "wave_timeout": 20, "drain": 1}


@pytest.fixture(scope="module")
def whole() -> Iterator[Mesh]:
    with mesh(SPEC) as made:
        made.until(lambda: api(made).proven() == SPEC.relays, "every identity is proven")
        yield made


@pytest.fixture
def lab(whole: Mesh) -> Iterator[Mesh]:
    """As new, and left as new."""
    whole.until_all_links()
    yield whole
    heal(whole)


def api(lab: Mesh) -> Api:
    return enrol.open_api(lab.lab.await_control())


def keys(lab: Mesh) -> dict[str, str]:
    """Each relay's present mesh key, as the host has it: the private half is compared, and never shown."""
    found = {}
    for relay in lab.relays:
        said = json.loads(state_file(lab, relay).read_text())
        found[relay] = said["mesh_key"]
        assert not said["next_mesh_key"], relay
    return found


def state_file(lab: Mesh, relay: str) -> Path:
    return next(lab.lab.files.host(relay).rglob("identity.json"))


def ended(lab: Mesh, id: str, phase: str) -> Rotation:
    """The rotation, once it is over, as it should end."""
    found: list[Rotation] = []

    def over() -> bool:
        found[:] = [api(lab).rotation(id)]
        return found[0].ended_at is not None

    lab.until(over, f"rotation {id} is over")
    assert found[0].phase == phase, found[0].to_dict()
    return found[0]


def until_settled(lab: Mesh, relays: list[str]) -> None:
    """Each of these relays has one mesh device again."""

    def one_each() -> bool:
        return all(len(devices(lab, relay)) == 1 for relay in relays)

    lab.until(one_each, "the old devices are gone")


def devices(lab: Mesh, relay: str) -> list[str]:
    links = json.loads(lab.run(relay, "ip", "-j", "link"))
    return [link["ifname"] for link in links if link["ifname"] in ("altm0", "altm1")]


def during(lab: Mesh, what: Callable[[Prober], None], *, rate: float = RATE) -> None:
    """Do something under traffic between clients and between relays, and assert that no packet of it is lost."""
    with (
        lab.stream("client1", "client2", rate=rate) as clients,
        lab.stream("relay1", "relay3", rate=rate / 4, port=7778) as relays,
    ):
        began = clients.now(), relays.now()
        what(clients)
        assert (lab.lost(clients, began[0]), lab.lost(relays, began[1])) == (0, 0)


def test_all_keys_of_the_mesh_are_rotated_by_one_call_and_no_packet_is_lost(lab: Mesh) -> None:
    before = keys(lab)

    def rotate(_: Prober) -> None:
        done = ended(lab, api(lab).rotate(**QUICK).id, "done")
        assert [part.left for part in done.relays] == [""] * SPEC.relays
        until_settled(lab, lab.relays)

    for rate in (FULL, RATE):  # there and back: each rotation takes the other device
        during(lab, rotate, rate=rate)
        after = keys(lab)
        assert set(after.values()).isdisjoint(before.values())
        before = after
    lab.until_in_sync()


def test_an_agent_that_is_killed_in_the_middle_goes_on_and_no_packet_is_lost(lab: Mesh) -> None:
    before = keys(lab)

    def rotate(_: Prober) -> None:
        started = api(lab).rotate(**QUICK, canary=2, wave=1)
        for _number in range(4):
            lab.lab.kill("relay2", Target.AGENT)
            lab.lab.heal()
        ended(lab, started.id, "done")
        until_settled(lab, lab.relays)

    during(lab, rotate)
    assert set(keys(lab).values()).isdisjoint(before.values())


def test_a_rotation_that_is_rolled_back_leaves_the_old_keys_and_no_packet_is_lost(lab: Mesh) -> None:
    before = keys(lab)

    def rotate(_: Prober) -> None:
        started = api(lab).rotate(**{**QUICK, "drain": 60})
        lab.until(lambda: api(lab).rotation(started.id).phase == "drain", "every link goes by the next keys")
        api(lab).steer_rotation(started.id, "rollback")
        assert ended(lab, started.id, "rolled_back").ended == "asked"
        until_settled(lab, lab.relays)

    during(lab, rotate)
    assert keys(lab) == before


def test_a_relay_that_never_answers_is_left_behind_and_said_and_joins_again_when_it_is_back(lab: Mesh) -> None:
    # It is cut off when the others drop their old keys: what goes through it then has to go round, which is not free.
    lab.drain("relay4")
    lab.until_in_sync()
    lab.lab.kill("relay4", Target.AGENT)
    others = [relay for relay in lab.relays if relay != "relay4"]

    def rotate(_: Prober) -> None:
        done = ended(lab, api(lab).rotate(**{**QUICK, "prepare_timeout": 3}).id, "done")
        assert {part.name: part.left for part in done.relays} == {
            **dict.fromkeys(others, ""),
            "relay4": "no_key_in_time",
        }
        until_settled(lab, others)

    during(lab, rotate)
    lab.lab.heal()
    lab.drain("relay4", draining=False)
    lab.until_all_links()


def test_a_relay_that_never_answers_rolls_back_where_policy_says_so(lab: Mesh) -> None:
    before = keys(lab)
    lab.lab.kill("relay4", Target.AGENT)

    def rotate(_: Prober) -> None:
        done = ended(lab, api(lab).rotate(**{**QUICK, "prepare_timeout": 3, "silent": "roll_back"}).id, "rolled_back")
        assert (done.ended, len(done.blamed)) == ("silent", 1)

    during(lab, rotate)
    assert {**keys(lab)} == before
