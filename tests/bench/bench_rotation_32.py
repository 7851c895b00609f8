"""How long it takes to rotate every mesh key of 32 real relays while packets cross the mesh. Needs root and minutes."""

from __future__ import annotations

from collections.abc import Callable

from bench.bench_rotation import rotate_for_real
from bench.report import Measure
from bench.routing.place import place

RELAYS = 32


def run(say: Callable[[str], None], *, scale: int = 1000) -> dict[str, Measure]:
    """`scale` is not used: every packet is real."""
    del scale
    with place(RELAYS, until="relays") as where:
        took, loss, _ = rotate_for_real(where, say)
    note = f"1 s of it draining; {loss.lost} of {loss.sent} packets lost"
    return {f"rotation_{RELAYS}_relays": Measure(value=took, unit="s", note=note)}
