"""A site behind two relays of a whole lab: traffic goes to the nearer one, and to the other one when that dies.

The site is a host with a cable to each of the two, and a route back over each: what it sends goes by the second when
the first one's cable is dead. What is left to other tests: which prefixes the registry lets a site have.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from altnet.common.errors import Conflict
from altnet.host.lab import enrol
from altnet.host.lab.prober import Endpoint, Prober
from altnet.host.lab.topology import Spec
from altnet.host.operator import api as operator
from altnet_sdk.api.routing import get_path
from altnet_sdk.api.sites import create_site
from altnet_sdk.models.site_new import SiteNew
from support.netns import Namespace, namespaces
from support.routing import SETTLE, Mesh, heal, mesh

pytestmark = [
    pytest.mark.netns,
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: a site behind two relays needs root"),
]

SPEC = Spec(prefix=f"labs{os.getpid() % 100_000}", relays=4, clients=0)
SITE6, SITE4 = "fd77:1::/48", "10.77.0.0/16"
HOST6, HOST4 = "fd77:1::10", "10.77.0.10"
IN_BETWEEN = 8
"""Packets of both directions: what is sent in 40 ms. A withdrawn route would cost hundreds."""
MOST = 400
"""Packets of both directions: what is sent in 2 s, on a busy machine. A route that stays costs STALE seconds: 2000."""
NEAR, FAR, FROM = "relay2", "relay3", "relay1"


@dataclass
class Site:
    mesh: Mesh
    host: Namespace

    def plug(self, relay: str) -> None:
        """A cable from the site to a relay, and the relay's routes over it."""
        number, ns = relay.removeprefix("relay"), self.mesh.namespace(relay)
        cable = f"to-{relay}"
        self.host.run("ip", "link", "add", cable, "type", "veth", "peer", "name", "site", "netns", ns)
        self.host.run("ip", "addr", "add", f"fd78:{number}::2/64", "dev", cable, "nodad")
        self.host.run("ip", "addr", "add", f"10.78.{number}.2/24", "dev", cable)
        self.host.run("ip", "link", "set", cable, "up")
        self.mesh.run(relay, "ip", "addr", "add", f"fd78:{number}::1/64", "dev", "site", "nodad")
        self.mesh.run(relay, "ip", "addr", "add", f"10.78.{number}.1/24", "dev", "site")
        self.mesh.run(relay, "ip", "link", "set", "site", "up")
        self.mesh.run(relay, "ip", "route", "add", SITE6, "via", f"fd78:{number}::2")
        self.mesh.run(relay, "ip", "route", "add", SITE4, "via", f"10.78.{number}.2")

    def send_by(self, relay: str) -> None:
        """Let the site send by this relay too; the one with the lower number before all."""
        number = relay.removeprefix("relay")
        self.host.run("ip", "route", "add", "default", "via", f"fd78:{number}::1", "src", HOST6, "metric", number)
        self.host.run("ip", "route", "add", "default", "via", f"10.78.{number}.1", "src", HOST4, "metric", number)

    def delivered_by(self, address: str) -> str:
        """The relay that hands a packet from the third one to the site, by the kernels' tables; empty: none does."""
        by_slot = {f"altl{int(at.rpartition('::')[2], 16)}": name for name, at in self.mesh.addresses.items()}
        here, seen = FROM, set[str]()
        while here and here not in seen:
            seen.add(here)
            words = self.mesh.run(here, "ip", "route", "get", address, check=False).split()
            device = words[words.index("dev") + 1] if "dev" in words else ""
            if device == "site":
                return here
            here = by_slot.get(device, "")
        return ""

    def until_by(self, relay: str) -> None:
        self.mesh.until(
            lambda: {self.delivered_by(HOST6), self.delivered_by(HOST4)} == {relay}, f"the site is reached by {relay}"
        )

    @contextlib.contextmanager
    def stream(self) -> Iterator[Prober]:
        here = Endpoint(namespace=self.mesh.namespace(FROM), address=self.mesh.overlay(FROM))
        with Prober(here, Endpoint(namespace=self.host.name, address=HOST6)) as packets:
            self.mesh.flow(packets)
            yield packets

    def loss(self, packets: Prober, since: float, what: str) -> int:
        self.mesh.flow(packets)
        self.mesh.run(FROM, "sleep", str(SETTLE))
        loss = packets.window(since, packets.now() - SETTLE)
        there, back = (gap * 1000 for gap in loss.gaps)
        print(f"{what}: longest gap {there:.0f} ms to the site, {back:.0f} ms from it; {loss.lost} packets lost")
        return loss.lost


@pytest.fixture(scope="module")
def whole() -> Iterator[Site]:
    with mesh(SPEC) as made, namespaces() as make:
        host = make("site")
        host.run("ip", "addr", "add", HOST6, "dev", "lo")
        host.run("ip", "addr", "add", HOST4, "dev", "lo")
        site = Site(made, host)
        for relay in (NEAR, FAR):
            site.plug(relay)
            site.send_by(relay)
        relays = {str(relay.name): str(relay.id) for relay in enrol.open_api(made.lab.control_plane()).relays()}
        with opened(made) as api:
            body = SiteNew(name="office", prefixes=[SITE6, SITE4], relays=[relays[NEAR], relays[FAR]])
            api.ask(create_site.sync_detailed, body=body)
        made.until_in_sync()
        yield site


@contextlib.contextmanager
def opened(mesh: Mesh) -> Iterator[operator.Api]:
    control = mesh.lab.control_plane()
    api = operator.Api(operator.Place(url=control.api, token=control.token))
    with api.client:
        yield api


@pytest.fixture
def site(whole: Site) -> Iterator[Site]:
    """Reached by the nearer relay: the path to the other one is slow."""
    whole.mesh.lab.impair(FROM, FAR, delay=0.2)
    whole.until_by(NEAR)
    yield whole
    heal(whole.mesh)


def test_the_nearer_relay_is_taken_and_the_path_says_which_and_why(site: Site) -> None:
    for address in (HOST6, HOST4):
        with opened(site.mesh) as api:
            path = api.ask(get_path.sync_detailed, from_=FROM, to=address)
        names = [hop.name for hop in path.hops]
        assert path.complete
        assert names == [FROM, NEAR]
        assert path.hops[0].route.why.startswith("lowest cost"), path.hops[0].route.why
        assert path.hops[1].route.why == "this relay originates it"


def test_no_other_site_may_have_a_part_of_it_and_the_same_relays_are_no_excuse(site: Site) -> None:
    relays = [str(relay.id) for relay in enrol.open_api(site.mesh.lab.control_plane()).relays()]
    for prefix in ("fd77:1:0:2::/64", "10.0.0.0/8"):
        with opened(site.mesh) as api, pytest.raises(Conflict) as refused:
            api.ask(create_site.sync_detailed, body=SiteNew(name="other", prefixes=[prefix], relays=relays[:2]))
        assert refused.value.code == "prefix_overlaps"


def test_the_nearer_relay_is_drained_and_nothing_is_lost(site: Site) -> None:
    with site.stream() as packets:
        since = packets.now()
        site.mesh.drain(NEAR)
        site.until_by(FAR)
        site.mesh.drain(NEAR, draining=False)
        site.until_by(NEAR)
        assert site.loss(packets, since, "the nearer relay is drained and put back") == 0


def test_the_nearer_relay_dies_and_the_other_takes_over_until_it_is_back(site: Site) -> None:
    with site.stream() as packets:
        since = packets.now()
        site.mesh.lab.kill(NEAR)
        site.until_by(FAR)
        assert 0 < site.loss(packets, since, "the nearer relay dies") < MOST

        back = packets.now()
        site.mesh.lab.heal([NEAR])
        site.plug(NEAR)
        site.until_by(NEAR)
        site.mesh.until_whole()
        site.send_by(NEAR)
        assert site.loss(packets, back, "it comes back") <= IN_BETWEEN
