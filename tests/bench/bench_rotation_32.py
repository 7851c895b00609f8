"""How long it takes to rotate every mesh key of 32 real relays while packets cross the mesh. Needs root and minutes."""

from __future__ import annotations

from collections.abc import Callable

from bench.bench_rotation import rotate_for_real
from bench.report import Measure
from bench.routing.place import place

RELAYS = 32
PATIENT = {"bfd_interval": 1.0, "probe": 15.0, "heartbeat": 15.0}
"""Settings of the network, in seconds: at their defaults the full mesh sends 20,000 packets of BFD a second, more than
two processors bear, and never comes up there."""


def run(say: Callable[[str], None], *, scale: int = 1000) -> dict[str, Measure]:
    """`scale` is not used: every packet is real."""
    del scale
    with place(RELAYS, until="relays", settings=PATIENT) as where:
        took, loss, _ = rotate_for_real(where, say)
    note = f"BFD of a second; 1 s of it draining; {loss.lost} of {loss.sent} packets lost"
    return {f"rotation_{RELAYS}_relays": Measure(value=took, unit="s", note=note)}
