"""What is done to a system, one thing after another, and what became of a stream of packets meanwhile.

Four relays. Two of them send each other 100 packets a second; the path between them is cut, and from then on another
relay carries their traffic: the path to that one is cut as well and healed, it is restarted, drained and at last loses
its power. A second and a third pair are used for loss and for a cut in one direction, because they still have their
direct path.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from altnet.host.lab.prober import Endpoint, Prober

from bench.routing.place import Place
from bench.routing.systems import Altnet, System, transit

RELAYS: Final = 4
RATE: Final = 100.0
"""Packets a second and direction."""
CONVERGED: Final = 150.0
"""Seconds for the first packets between a pair: babeld's defaults take over half a minute."""
BEFORE: Final = 1.0
"""Seconds of the stream that are kept from before a failure."""
MOST: Final = 45.0
"""Seconds after which a failure is said to be not repaired."""
AFTER: Final = 1.5
"""Seconds that are watched on after the first packets that came through again; a flap would show."""
QUIET: Final = 3.0
"""Seconds that a stream is watched when nothing should happen to it: longer than any timer that could strike late."""
RETURN: Final = 5.0
"""Seconds for traffic to take a healed path again, before it is cut once more."""
MISSES: Final = 6
"""Cuts that may hit nothing because traffic went another way; under load a relay may measure a detour to be faster."""
SETTLE: Final = 0.3
"""Seconds left to packets on their way."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One failure of one system. `gap` is the longest silence in seconds, of the worse direction."""

    failure: str
    system: str
    gap: float
    lost: int
    sent: int
    repaired: bool
    timeline: tuple[tuple[float, bool], ...]
    """Seconds since the failure was begun, and whether the packets of that instant came both ways."""


def observe(place: Place, system: System, *, whole: bool, again: int, say: Callable[[str], None]) -> list[Seen]:
    """All failures, in an order in which none has to wear off first. `whole` False: only the two main ones.

    The cuts are repeated `again` times, where a system recovers quickly enough, and the one in the middle counts.
    """
    found: list[Seen] = []

    def note(seen: Seen) -> None:
        found.append(seen)
        verdict = f"gap {seen.gap * 1000:.0f} ms" if seen.repaired else f"not repaired within {MOST:g} s"
        say(f"     {system.name}: {seen.failure}: {verdict}, {seen.lost} of {seen.sent} lost")

    lab = place.lab
    if whole:
        with stream(place, system, "relay2", "relay3") as packets:
            note(_watch(packets, system, "loss_30", lambda: lab.impair("relay2", "relay3", loss=0.3), quiet=6.0))
        lab.impair("relay2", "relay3")
        with stream(place, system, "relay3", "relay4") as packets:
            note(_cut(packets, place, system, "one_way", ("relay3", "relay4"), again=again))
        lab.impair("relay3", "relay4")
    with stream(place, system, "relay1", "relay2") as packets:
        note(_cut(packets, place, system, "silent_link", ("relay1", "relay2"), again=again))
        if whole:
            on_the_way = transit(place, "relay1", "relay2")
            note(
                _watch(packets, system, "second_link", lambda: lab.impair("relay1", on_the_way, cut=True), quiet=QUIET)
            )
            note(_watch(packets, system, "healed", lambda: lab.impair("relay1", on_the_way), quiet=RETURN))
            on_the_way = transit(place, "relay1", "relay2")
            note(_watch(packets, system, "daemon_restart", lambda: system.kill_daemon(place, on_the_way), quiet=QUIET))
            if isinstance(system, Altnet):
                ours = system
                note(_watch(packets, system, "agent_restart", lambda: ours.kill_agent(place, on_the_way), quiet=QUIET))
            on_the_way = transit(place, "relay1", "relay2")
            note(_watch(packets, system, "drain", lambda: system.drain(place, on_the_way), quiet=QUIET))
            system.undrain(place, on_the_way)
            packets.flows(since=packets.now(), timeout=MOST)
            time.sleep(QUIET)
        if system.needs_control:
            note(_watch(packets, system, "control_plane_dead", lambda: lab.kill("control"), quiet=QUIET))
        on_the_way = transit(place, "relay1", "relay2")
        note(_watch(packets, system, "dead_relay", lambda: lab.kill(on_the_way)))
    return found


def _cut(packets: Prober, place: Place, system: System, failure: str, pair: tuple[str, str], *, again: int) -> Seen:
    """Cut the path between a pair, which stays cut.

    A cut that hits nothing, as traffic went another way, is no measure: the path is healed, and it is tried again when
    the system has had time to take it.
    """
    one_way = failure == "one_way"
    seen: list[Seen] = []
    for _ in range(again + MISSES):
        if seen:
            place.lab.impair(*pair)
            packets.flows(since=packets.now(), timeout=MOST)
            time.sleep(RETURN)
        now = _watch(packets, system, failure, lambda: place.lab.impair(*pair, cut=True, one_way=one_way))
        seen.append(now)
        hits = [one for one in seen if one.lost]
        if len(hits) >= again:
            break
    hits = sorted((one for one in seen if one.lost), key=lambda one: one.gap)
    if not hits:
        raise RuntimeError(f"{system.name}: traffic never took the direct path between {' and '.join(pair)}")
    return hits[len(hits) // 2]


def _watch(
    packets: Prober, system: System, failure: str, strike: Callable[[], object], *, quiet: float = AFTER
) -> Seen:
    """Strike, wait until packets flow both ways again, watch on for `quiet` seconds, and count."""
    began = packets.now()
    strike()
    struck = packets.now()
    flows = packets.flows(since=struck, timeout=MOST)
    time.sleep(quiet + SETTLE)
    end = packets.now() - SETTLE
    loss = packets.window(began, end)
    return Seen(
        failure=failure,
        system=system.name,
        gap=loss.longest_gap,
        lost=loss.lost,
        sent=loss.sent,
        repaired=flows is not None,
        timeline=tuple((at - BEFORE, came) for at, came in packets.timeline(began - BEFORE, end)),
    )


@contextlib.contextmanager
def stream(place: Place, system: System, one: str, other: str) -> Iterator[Prober]:
    """A stream between two relays that has flown for a while when it is handed over."""
    ends = [Endpoint(namespace=place.namespace(relay), address=system.address(place, relay)) for relay in (one, other)]
    with Prober(*ends, rate=RATE) as packets:
        if packets.flows(since=packets.now(), timeout=CONVERGED) is None:
            raise TimeoutError(f"{system.name}: nothing flows between {one} and {other} within {CONVERGED:g} s")
        time.sleep(2 * BEFORE)
        yield packets
