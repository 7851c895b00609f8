"""The mesh split in two and joined again: each half works inside, nothing stale stays, no address is given twice."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from altnet.common.keys import PrivateKey
from altnet.host.lab import enrol
from altnet.host.lab.topology import Spec
from altnet.host.operator import api as operator
from altnet_sdk.api.services import register_service
from altnet_sdk.api.sites import create_site
from altnet_sdk.models.service_new import ServiceNew
from altnet_sdk.models.site_new import SiteNew
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


@dataclass
class Halves:
    """The lab, and what each relay announces: its address, its clients' prefix, a site of both families, a service."""

    mesh: Mesh
    announced: dict[str, list[str]]

    def split(self) -> bool:
        """No relay has a route to a relay of the other half."""
        pairs = [(one, other) for one in HERE for other in THERE]
        return all(self.mesh.path(one, other) == self.mesh.path(other, one) == [] for one, other in pairs)

    def until_split(self) -> None:
        """Wait until both halves know of it, of every kind of route: they go one after the other."""
        self.mesh.until(self.split, "both halves know of the split")
        self.mesh.until(lambda: self.stale() == [], "nothing stale stays")

    def stale(self) -> list[str]:
        """Routes of one half, in the kernel's eyes, for what the other half announces."""
        return [f"{name} has {prefix}" for name, prefix in self._across() if self._ways(name, prefix)]

    def missing(self) -> list[str]:
        """What one half announces and the other one has no route to."""
        return [f"{name} lacks {prefix}" for name, prefix in self._across() if not self._ways(name, prefix)]

    def until_joined(self) -> None:
        """Wait until all sessions are there again, and every kind of route; by which link is a matter of costs."""
        self.mesh.until_all_links()
        self.mesh.until(lambda: self.missing() == [], "everything is routed again")
        assert all(way.startswith("altl") for name, prefix in self._across() for way in self._ways(name, prefix))

    def _across(self) -> Iterator[tuple[str, str]]:
        """Each relay with each prefix that a relay of the other half announces."""
        for half, other in ((HERE, THERE), (THERE, HERE)):
            for name in half:
                for owner in other:
                    yield from ((name, prefix) for prefix in self.announced[owner])

    def _ways(self, name: str, prefix: str) -> list[str]:
        """Devices of a relay's routes to exactly this prefix; what is unreachable has none."""
        family = "-6" if ":" in prefix else "-4"
        routes = json.loads(self.mesh.run(name, "ip", family, "-j", "route", "show", "exact", prefix) or "[]")
        return [
            str(way["dev"]) for route in routes if route.get("type") is None for way in route.get("nexthops", [route])
        ]


@pytest.fixture(scope="module")
def whole() -> Iterator[Halves]:
    with mesh(SPEC) as made:
        announced = {str(relay.name): [f"{relay.address}/128", relay.client_prefix] for relay in _relays(made)}
        ids = {str(relay.name): str(relay.id) for relay in _relays(made)}
        control = made.lab.control_plane()
        api = operator.Api(operator.Place(url=control.api, token=control.token))
        with api.client:
            for number, relay in enumerate((HERE[0], THERE[0]), 1):
                prefixes = [f"fd77:{number}::/48", f"10.{number}.0.0/16"]
                api.ask(create_site.sync_detailed, body=SiteNew(name=relay, prefixes=prefixes, relays=[ids[relay]]))
                body = ServiceNew(name=f"at-{relay}", port=80, owner=ids[relay])
                service = api.ask(register_service.sync_detailed, body=body)
                announced[relay] += [*prefixes, f"{service.address}/128"]
        made.until_in_sync()
        halves = Halves(made, announced)
        halves.until_joined()
        yield halves


@pytest.fixture
def halves(whole: Halves) -> Iterator[Halves]:
    yield whole
    heal(whole.mesh)


def _relays(lab: Mesh) -> list:
    return enrol.open_api(lab.lab.control_plane()).relays()


def test_each_half_works_inside_forgets_the_other_and_they_join_again(halves: Halves) -> None:
    lab = halves.mesh
    with lab.stream("relay1", "relay2") as here, lab.stream("relay3", "relay4", port=7778) as there:
        lab.lab.partition(HERE, THERE)
        halves.until_split()
        # From now on: on a busy machine a detour over the other half may have been the nearest way before.
        lab.flow(here)
        lab.flow(there)
        since = here.now(), there.now()

        lab.until_whole(*HERE)
        lab.until_whole(*THERE)

        lab.lab.heal()
        halves.until_joined()
        assert (lab.lost(here, since[0]), lab.lost(there, since[1])) == (0, 0)


def test_the_half_without_a_control_plane_works_inside_and_no_address_is_given_twice(halves: Halves) -> None:
    lab = halves.mesh
    lab.lab.partition([*HERE, "control"], THERE)
    halves.until_split()
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
    halves.until_joined()
    addresses = [*lab.addresses.values(), *given]
    assert len(set(addresses)) == len(addresses) == 8


def test_both_halves_without_a_control_plane_work_inside_and_join_again_before_it_is_back(halves: Halves) -> None:
    lab = halves.mesh
    lab.lab.kill("control")
    lab.lab.partition(HERE, THERE)
    halves.until_split()
    lab.until_whole(*HERE)
    lab.until_whole(*THERE)

    for one in HERE:
        lab.lab.heal([one])  # the cuts, not the control host

    halves.until_joined()
    assert lab.lab.status().state == "up"
