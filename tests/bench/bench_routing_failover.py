"""What a failure costs a stream of packets: ours against babeld and yggdrasil on the same network with the same cuts.

Needs root. The reachability over time of every failure and system is drawn to `build/bench-routing.svg`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench.report import Measure
from bench.routing.drawing import draw
from bench.routing.failures import MOST, RELAYS, Seen, observe
from bench.routing.place import place
from bench.routing.systems import Altnet, Babeld, System, Yggdrasil

PICTURE: Final = Path("build/bench-routing.svg")
FAST_HELLO: Final = 0.1
"""Seconds. Ten hellos a second, as often as babeld's own use for fast links goes."""

GAPS: Final = {"dead_relay": "failover_dead_relay_gap", "silent_link": "failover_silent_link_gap",
               "one_way": "failover_one_way_gap", "second_link": "failover_second_link_gap"}  # fmt: skip
LOSSES: Final = {
    "drain": "drain_lost",
    "agent_restart": "agent_restart_lost",
    "daemon_restart": "bird_restart_lost",
    "control_plane_dead": "control_plane_dead_lost",
    "loss_30": "high_loss_lost",
    "healed": "healed_lost",
}


def run(say: Callable[[str], None], *, scale: int = 1000) -> dict[str, Measure]:
    """`scale` is not used: the lab's size is fixed, and comparing is the point."""
    del scale
    # Whole or only the two main failures, and how often a cut is repeated: some take too long for more.
    systems: list[tuple[System, bool, int]] = [
        (Altnet(), True, 3),
        (Babeld(FAST_HELLO), True, 3),
        (Yggdrasil(), True, 1),
        (Babeld(None), False, 1),
    ]
    seen: list[Seen] = []
    for system, whole, again in systems:
        say(f"   {system.name}: {system.settings}")
        try:
            with place(RELAYS, until="relays" if isinstance(system, Altnet) else "network") as where:
                system.start(where)
                seen += observe(where, system, whole=whole, again=again, say=say)
        finally:
            if seen:
                PICTURE.parent.mkdir(exist_ok=True)
                PICTURE.write_text(draw(seen))
    say(f"   reachability over time: {PICTURE}")
    return measures(seen)


def measures(seen: list[Seen]) -> dict[str, Measure]:
    """Ours under the names of the house, against the best alternative; the alternatives' own below them."""
    ours = Altnet.name
    found: dict[str, Measure] = {}
    for failure, name in (GAPS | LOSSES).items():
        here = {one.system: one for one in seen if one.failure == failure}
        others = {system: one for system, one in here.items() if system != ours}
        is_gap = failure in GAPS
        for system in ([ours] if ours in here else []) + list(others):
            one = here[system]
            value = (one.gap if one.repaired else MOST) if is_gap else float(one.lost)
            best = min(others.values(), key=lambda other: other.gap if is_gap else other.lost, default=None)
            against = best.system if best is not None and system == ours else ""
            ratio = one.gap / best.gap if against and best is not None and is_gap else None
            note = f"{one.lost} of {one.sent} lost" if is_gap else f"of {one.sent}, longest gap {one.gap:.2g} s"
            found[name if system == ours else f"{name}_{system}"] = Measure(
                value=value,
                unit="s" if is_gap else "packets",
                ratio=ratio,
                against=against if ratio is not None else "",
                note=note if one.repaired else f"{note}; not repaired within {MOST:g} s",
            )
    return found
