"""Relays and clients are put out of a whole lab: seen by `wg` on the hosts, with real relays, registry and NATS."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest
from altnet.host.lab import commands, enrol
from altnet.host.lab.topology import Spec
from support.roaming import NAME, roamer
from support.routing import Mesh, mesh

pytestmark = [
    pytest.mark.netns,
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.timeout(420),
    pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: revocation in a whole lab needs root"),
]

SPEC = Spec(prefix=f"labv{os.getpid() % 100_000}", relays=5, clients=2, roaming=1)
PLAIN = "client2"
"""One with a wg-quick file; `NAME` runs altnetd."""
SOON = 5.0
"""Seconds that a loaded machine may take; on an idle one it is well under a second."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Mesh]:
    """One for all: each test puts somebody else out."""
    with mesh(SPEC) as made:
        made.until_all_links()
        yield made


def relays(lab: Mesh) -> dict[str, tuple[str, str]]:
    """By name: the id and the mesh key of each relay that is in."""
    api = enrol.open_api(lab.lab.await_control())
    return {str(one.name): (str(one.id), str(one.key)) for one in api.relays()}


def peers(lab: Mesh, relay: str) -> set[str]:
    """Every peer of every WireGuard interface of a host, as `wg` sees it."""
    argv = lab.lab.exec_argv(relay, ["wg", "show", "all", "peers"])
    return set(commands.run(argv, timeout=20, check=False).stdout.split())


def gone_after(lab: Mesh, key: str, hosts: list[str], since: float) -> float:
    """Seconds until none of these hosts has the peer."""
    while any(key in peers(lab, host) for host in hosts):
        assert time.monotonic() - since < SOON, f"{[host for host in hosts if key in peers(lab, host)]} still have it"
    return time.monotonic() - since


def test_a_client_whose_key_is_revoked_is_dropped_by_its_relay(lab: Mesh) -> None:
    client = enrol.open_api(lab.lab.await_control()).client(PLAIN)
    assert client is not None
    key = str(client.key)
    (relay,) = [name for name in lab.relays if key in peers(lab, name)]
    since = time.monotonic()
    told = enrol.open_api(lab.lab.await_control()).revoke(key=key, reason="stolen")
    assert (told.kind, told.subject, told.still_in_use) == ("key", client.id, False)
    gone_after(lab, key, [relay], since)


def test_a_revoked_relay_is_dropped_by_all_others_and_takes_its_own_tunnels_down(lab: Mesh) -> None:
    gone = roamer(lab).others[-1]
    id, key = relays(lab)[gone]
    others = [name for name in lab.relays if name != gone]
    assert all(key in peers(lab, other) for other in others)
    since = time.monotonic()
    enrol.open_api(lab.lab.await_control()).revoke(relay=id)
    took = gone_after(lab, key, others, since)
    print(f"dropped by all after {took:.2f} s")
    lab.until(lambda: not peers(lab, gone), "the revoked relay has no tunnel left")


def test_altnetd_lets_go_of_a_revoked_relay_at_once_be_it_the_one_that_stands_by_or_the_one_in_use(lab: Mesh) -> None:
    """Its refresh, minutes later, has no part in it: the relay that is left says that there is news."""
    api, host = enrol.open_api(lab.lab.await_control()), roamer(lab)
    host.until_at(host.first)
    access = {str(one.id): str(one.access_key) for one in api.relays()}
    names = {str(one.id): str(one.name) for one in api.relays()}

    def tunnels() -> set[str]:
        """The relays that altnetd has a tunnel to."""
        found = peers(lab, NAME)
        return {id for id, key in access.items() if key in found}

    def known() -> tuple[str, str]:
        client = api.client(NAME)
        assert client is not None
        return str(client.relay), str(client.standby)

    home, standby = known()
    since = time.monotonic()
    api.revoke(relay=standby)
    took = [gone_after(lab, access[standby], [NAME], since)]
    assert tunnels() == {home}

    api.stand_by_automatically(NAME)
    home, standby = known()
    lab.until(lambda: tunnels() == {home, standby}, "altnetd has a second one again")
    host.until_at(names[home])
    since = time.monotonic()
    api.revoke(relay=home)
    took.append(gone_after(lab, access[home], [NAME], since))
    host.until_at(names[standby])
    print(f"the relay that stood by is let go of after {took[0]:.2f} s, the one in use after {took[1]:.2f} s")
