"""A client with altnetd in a whole lab of four relays that route: its relays die and come back under its traffic.

What this proves: the address stays, a TCP connection goes on, the mesh follows with a /128 and forgets it, with and
without the control plane. What it leaves to client/tests: the client alone, without routing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from altnet.host.lab.lab import Target
from altnet.host.lab.topology import Spec
from support.roaming import NAME, Roamer, roamer
from support.routing import STALE, Mesh, heal, mesh

pytestmark = [
    pytest.mark.netns,
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: failover of a client needs root"),
]

QUICKER = """
[timers]
standby_probe = 0.2
repoke_most = 2
"""
"""A relay that comes back is noticed at once; when the client goes home is as in earnest, some 10 s later."""
SPEC = Spec(prefix=f"labc{os.getpid() % 100_000}", relays=4, clients=4, roaming=1)


@pytest.fixture(scope="module")
def whole() -> Iterator[Mesh]:
    with mesh(SPEC) as made:
        with (made.lab.files.host(NAME) / "client.toml").open("a") as file:
            file.write(QUICKER)
        roamer(made).restart()
        yield made


@pytest.fixture
def client(whole: Mesh) -> Iterator[Roamer]:
    """At its first relay, and left there."""
    made = roamer(whole)
    yield made
    heal(whole)
    made.restart()
    made.until_at(made.first)
    made.until_covered()


def test_the_relay_in_use_dies_and_the_address_and_the_connection_stay(client: Roamer) -> None:
    with client.mesh.stream(NAME, client.peer) as packets, client.talk() as talk:
        since = packets.now()
        client.mesh.lab.kill(client.first)
        client.until_at(client.second)
        assert talk.goes_on()
        client.loss(packets, since, "the relay in use dies")
        print(f"longest silence of the connection: {talk.longest:.2f} s")
        client.until_all_send_to(client.second)

        back = packets.now()
        client.mesh.lab.heal([client.first])
        client.until_at(client.first)
        client.until_covered()
        assert talk.goes_on()
        client.loss(packets, back, "it comes back, and the client goes home")


def test_only_the_agent_of_the_relay_in_use_dies_and_nothing_moves(client: Roamer) -> None:
    with client.mesh.stream(NAME, client.peer) as packets, client.talk() as talk:
        before = client.view()
        assert before is not None
        since = packets.now()
        client.mesh.lab.kill(client.first, Target.AGENT)
        client.mesh.run(NAME, "sleep", "5")
        client.mesh.lab.heal([client.first])
        client.mesh.until_in_sync()
        client.until_at(client.first)
        assert talk.goes_on()
        after = client.view()
        assert after is not None
        assert after.moves == before.moves
        assert client.loss(packets, since, "the agent of the relay in use dies").lost == 0


def test_the_relay_that_took_over_dies_after_the_first_one_is_back_and_nobody_looks_for_the_client_there(
    client: Roamer,
) -> None:
    with client.mesh.stream(NAME, client.peer) as packets, client.talk() as talk:
        client.mesh.lab.kill(client.first)
        client.until_at(client.second)
        client.until_all_send_to(client.second)
        client.mesh.lab.heal([client.first])
        client.mesh.until(lambda: bool(client.routed_to(client.first)), "the first relay knows where the client is")

        since = packets.now()
        client.mesh.lab.kill(client.second)
        client.until_at(client.first)
        assert talk.goes_on()
        gap = client.loss(packets, since, "the relay that took over dies, and the client goes home").longest_gap
        assert gap < STALE, "a route to the dead relay, which is kept for so long, is no longer taken"


def test_with_the_control_plane_dead_the_client_fails_over_and_goes_home_all_the_same(client: Roamer) -> None:
    with client.mesh.stream(NAME, client.peer) as packets, client.talk() as talk:
        client.mesh.lab.kill("control")
        since = packets.now()
        client.mesh.lab.kill(client.first)
        client.until_at(client.second)
        assert talk.goes_on()
        client.loss(packets, since, "the relay in use dies without a control plane")
        client.until_all_send_to(client.second)
        back = packets.now()
        client.mesh.lab.heal([client.first])
        client.until_at(client.first)
        assert talk.goes_on()
        client.loss(packets, back, "it comes back without a control plane")
