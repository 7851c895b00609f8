"""Relays and clients are put out of a whole lab: seen by `wg` on the hosts, with real relays, registry and NATS."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest
from altnet.host.lab import commands, enrol
from altnet.host.lab.topology import Spec
from support.routing import Mesh, mesh

pytestmark = [
    pytest.mark.netns,
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.timeout(420),
    pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: revocation in a whole lab needs root"),
]

SPEC = Spec(prefix=f"labv{os.getpid() % 100_000}", relays=4, clients=1)
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
    client = enrol.open_api(lab.lab.await_control()).client("client1")
    assert client is not None
    key = str(client.key)
    (relay,) = [name for name in lab.relays if key in peers(lab, name)]
    since = time.monotonic()
    told = enrol.open_api(lab.lab.await_control()).revoke(key=key, reason="stolen")
    assert (told.kind, told.subject, told.still_in_use) == ("key", client.id, False)
    gone_after(lab, key, [relay], since)


def test_a_revoked_relay_is_dropped_by_all_others_and_takes_its_own_tunnels_down(lab: Mesh) -> None:
    id, key = relays(lab)["relay4"]
    others = ["relay1", "relay2", "relay3"]
    assert all(key in peers(lab, other) for other in others)
    since = time.monotonic()
    enrol.open_api(lab.lab.await_control()).revoke(relay=id)
    took = gone_after(lab, key, others, since)
    print(f"dropped by all after {took:.2f} s")
    lab.until(lambda: not peers(lab, "relay4"), "the revoked relay has no tunnel left")
