"""What a client with two relays loses when the one in use loses its power, and when that one is back.

Needs root. The client runs altnetd at its defaults, in a lab of four relays that route, and sends to a client of a
relay that is neither of its own; its address and a TCP connection of it stay. The alternatives of the other benches
have no such client: a client there is a node of the mesh, and `failover_dead_relay_gap` measures those.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable
from typing import Final

from altnet.host.lab.topology import Spec
from support.roaming import NAME, roamer
from support.routing import heal, mesh

from bench.report import Measure

AGAIN: Final = 3
SPEC: Final = Spec(prefix=f"labr{os.getpid() % 100_000}", relays=4, clients=4, roaming=1)


def run(say: Callable[[str], None], *, scale: int = 1000) -> dict[str, Measure]:
    """`scale` is not used: the lab's size is fixed."""
    del scale
    gaps: list[float] = []
    lost: list[int] = []
    with mesh(SPEC) as made:
        client = roamer(made)
        for _ in range(AGAIN):
            with made.stream(NAME, client.peer) as packets, client.talk() as talk:
                since = packets.now()
                made.lab.kill(client.first)
                client.until_at(client.second)
                assert talk.goes_on()
                gone = client.loss(packets, since, "the relay in use dies")
                client.until_all_send_to(client.second)
                back = packets.now()
                made.lab.heal([client.first])
                client.until_at(client.first)
                client.until_covered()
                assert talk.goes_on()
                home = client.loss(packets, back, "it is back, and the client goes home")
                say(f"   gap {gone.longest_gap:.2f} s, the connection's {talk.longest:.2f} s; home: {home.lost} lost")
                gaps.append(gone.longest_gap)
                lost.append(home.lost)
            heal(made)
            client.restart()
            client.until_at(client.first)
            client.until_covered()
    return {
        "failover_client_gap": Measure(
            value=statistics.median(gaps), unit="s", note=f"median of {AGAIN}, worst {max(gaps):.2g} s"
        ),
        "failover_client_home_lost": Measure(value=float(max(lost)), unit="packets", note=f"worst of {AGAIN}"),
    }
