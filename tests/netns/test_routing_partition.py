"""The mesh split in two and joined again: each half works inside, nothing stale stays, no address is given twice."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest
from altnet.common.keys import PrivateKey
from altnet.host.lab import enrol
from altnet.host.lab.topology import Spec
from support.routing import Mesh, heal, mesh

pytestmark = [
    pytest.mark.netns,
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: a partition of a whole lab needs root"),
]

SPEC = Spec(prefix=f"labp{os.getpid() % 100_000}", relays=4, clients=0)
HERE, THERE = ("relay1", "relay2"), ("relay3", "relay4")


@pytest.fixture(scope="module")
def whole() -> Iterator[Mesh]:
    with mesh(SPEC) as made:
        yield made


@pytest.fixture
def lab(whole: Mesh) -> Iterator[Mesh]:
    yield whole
    heal(whole)


def split(lab: Mesh) -> bool:
    """No relay has a route to a relay of the other half."""
    pairs = [(one, other) for one in HERE for other in THERE]
    return all(lab.path(one, other) == lab.path(other, one) == [] for one, other in pairs)


def stale(lab: Mesh) -> list[str]:
    """Routes of one half, in the kernel's eyes, for addresses or clients' prefixes of the other."""
    found = []
    for half, other in ((HERE, THERE), (THERE, HERE)):
        lost = {lab.addresses[name] for name in other}
        lost |= {relay.client_prefix for relay in _relays(lab) if relay.name in other}
        for name in half:
            routes = json.loads(lab.run(name, "ip", "-6", "-j", "route", "show"))
            found += [f"{name}: {route}" for route in routes if route["dst"] in lost and route.get("type") is None]
    return found


def _relays(lab: Mesh) -> list:
    return enrol.open_api(lab.lab.control_plane()).relays()


def test_each_half_works_inside_forgets_the_other_and_they_join_again(lab: Mesh) -> None:
    with lab.stream("relay1", "relay2") as here, lab.stream("relay3", "relay4", port=7778) as there:
        since = here.now(), there.now()
        lab.lab.partition(HERE, THERE)
        lab.until(lambda: split(lab), "both halves know of the split")

        assert stale(lab) == []
        lab.until_whole(*HERE)
        lab.until_whole(*THERE)

        lab.lab.heal()
        lab.until_all_links()
        assert (lab.lost(here, since[0]), lab.lost(there, since[1])) == (0, 0)


def test_the_half_without_a_control_plane_works_inside_and_no_address_is_given_twice(lab: Mesh) -> None:
    lab.lab.partition([*HERE, "control"], THERE)
    lab.until(lambda: split(lab), "both halves know of the split")
    api = enrol.open_api(lab.lab.control_plane())
    given = []
    for number, relay in enumerate([*HERE, *THERE]):
        key = PrivateKey.generate().public().base64
        made = api.create_client(name=f"during{number}", key=key, relay=next(
            str(one.id) for one in api.relays() if one.name == relay
        ))  # fmt: skip
        given.append(str(made.address))

    with lab.stream("relay3", "relay4") as packets:
        since = packets.now()
        lab.until_whole(*THERE)
        assert lab.lost(packets, since) == 0

    lab.lab.heal()
    lab.until_in_sync()
    lab.until_all_links()
    addresses = [*lab.addresses.values(), *given]
    assert len(set(addresses)) == len(addresses) == 8


def test_both_halves_without_a_control_plane_work_inside_and_join_again_before_it_is_back(lab: Mesh) -> None:
    lab.lab.kill("control")
    lab.lab.partition(HERE, THERE)
    lab.until(lambda: split(lab), "both halves know of the split")
    lab.until_whole(*HERE)
    lab.until_whole(*THERE)

    for one in HERE:
        lab.lab.heal([one])  # the cuts, not the control host

    lab.until_all_links()
    assert lab.lab.status().state == "up"
