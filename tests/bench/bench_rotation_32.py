"""How long it takes to rotate every mesh key of 32 real relays while packets cross the mesh. Needs root and minutes.

The mesh has the links that the planner chooses beyond the full mesh, which here ends at eight relays: 496 links with
BFD at its default are 20,000 packets a second, and two processors never bring them up.
"""

from __future__ import annotations

from collections.abc import Callable

from bench.bench_rotation import rotate_for_real
from bench.report import Measure
from bench.routing.place import place

RELAYS = 32
SPARSE = {"ALTNET_REGISTRY_PLANNING__FULL_MESH_UP_TO": "8"}
CALM = {"bfd_interval": 0.5, "probe": 5.0, "heartbeat": 15.0}
"""Of the network, in seconds: at the defaults 32 agents and a control plane want more than two processors at rest."""
RATE = 100.0
"""Packets a second, each way: they cross several relays, and each costs as much as the whole stream."""
POLL = 1.0


def run(say: Callable[[str], None], *, scale: int = 1000) -> dict[str, Measure]:
    """`scale` is not used: every packet is real."""
    del scale
    with place(RELAYS, until="relays", settings=CALM, control_env=SPARSE) as where:
        took, loss, _ = rotate_for_real(where, say, rate=RATE, poll=POLL)
    note = f"links as beyond a full mesh, 1 s of it draining; {loss.lost} of {loss.sent} packets lost"
    return {f"rotation_{RELAYS}_relays": Measure(value=took, unit="s", note=note)}
