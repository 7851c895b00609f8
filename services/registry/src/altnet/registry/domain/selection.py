"""Which relay a client should use.

Filter by what is possible, score by latency and load, and say why. The rule is bounded load (research of the house:
1.25 of the fair share, latency times (1 + load / 2), sticky): it came out best of five in a simulation, both in
latency and in how few clients move when a relay dies. A client keeps its relay unless another is faster by a third
and by 10 ms, or its own is not usable.

Scores are milliseconds-like numbers, lower is better. Without a measurement the region stands in for latency.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from altnet.registry.domain.liveness import Health

BOUND: Final = 1.25
SAME_REGION: Final = 20.0
NEAR_REGION: Final = 60.0
OTHER_REGION: Final = 150.0
STICKY_SHARE: Final = 2 / 3
STICKY_GAIN: Final = 10.0

_HEALTH_FACTOR: Final = {Health.UP: 1.0, Health.NEW: 3.0, Health.LATE: 2.0, Health.DOWN: 100.0}


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A relay as the choice sees it. `load` is the host's (1.0: all processors busy), `weight` its share of clients."""

    relay: str
    name: str
    region: str
    health: Health
    draining: bool
    reachable: bool
    clients: int
    weight: float = 1.0
    load: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """One candidate with its score, its parts and the reasons in words."""

    relay: str
    name: str
    score: float
    usable: bool
    parts: Mapping[str, float] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()


def rank(
    candidates: Iterable[Candidate],
    *,
    region: str = "",
    latencies: Mapping[str, float] | None = None,
    current: str | None = None,
) -> list[Ranked]:
    """Best first. `latencies` are milliseconds by relay as the client measured them; `current` is its present relay."""
    everybody = list(candidates)
    measured = latencies or {}
    usable = [candidate for candidate in everybody if _refusal(candidate) is None]
    weights = sum(candidate.weight for candidate in usable) or 1.0
    clients = sum(candidate.clients for candidate in usable)
    ranked = [
        _score(candidate, region=region, latency=measured.get(candidate.relay), clients=clients, weights=weights)
        for candidate in everybody
    ]
    ranked.sort(key=lambda one: (not one.usable, one.score, one.relay))
    return _keep_current(ranked, current, measured)


def pick_standby(
    ranked: Iterable[Ranked], *, primary: str, apart: Callable[[str, str], Iterable[bool]] = lambda _one, _other: ()
) -> str | None:
    """The relay that a client goes to when `primary` is away; None where no other is usable.

    `ranked` is best first. `apart` says in what two relays differ, the weightiest first (their hosts, their regions):
    what would fail together with the primary comes last.
    """
    others = [one for one in ranked if one.usable and one.relay != primary]
    best = min(others, key=lambda one: tuple(not differs for differs in apart(primary, one.relay)), default=None)
    return best.relay if best is not None else None


def _refusal(candidate: Candidate) -> str | None:
    if candidate.health is Health.DOWN:
        return "down"
    if candidate.draining:
        return "draining"
    if not candidate.reachable:
        return "has no endpoint that clients can reach"
    if candidate.weight <= 0:
        return "weight 0: takes no clients"
    return None


def _score(candidate: Candidate, *, region: str, latency: float | None, clients: int, weights: float) -> Ranked:
    reasons: list[str] = []
    if latency is not None:
        distance = latency
        reasons.append(f"measured {latency:.1f} ms")
    elif region and candidate.region == region:
        distance = SAME_REGION
        reasons.append(f"same region {region}")
    elif region and candidate.region and candidate.region.split("-")[0] == region.split("-")[0]:
        distance = NEAR_REGION
        reasons.append(f"near region {candidate.region}")
    else:
        distance = OTHER_REGION if region else NEAR_REGION
        reasons.append(f"region {candidate.region}" if candidate.region else "region unknown")

    fair = max(1.0, (clients + 1) * max(candidate.weight, 0.001) / weights)
    share = candidate.clients / fair
    reasons.append(f"{candidate.clients} clients, fair share {fair:.1f}")
    over = 1.0
    if share >= BOUND:
        over = 4.0 * share / BOUND
        reasons.append(f"over {BOUND} of its fair share")
    crowd = 1 + share / 2
    host = 1 + max(0.0, candidate.load) / 2
    if candidate.load > 1:
        reasons.append(f"host load {candidate.load:.2f} per processor")
    health = _HEALTH_FACTOR[candidate.health]
    reasons.append(f"health {candidate.health}")

    refusal = _refusal(candidate)
    if refusal is not None:
        reasons.insert(0, f"not usable: {refusal}")
    parts = {"latency": distance, "clients": crowd, "bound": over, "host": host, "health": health}
    return Ranked(
        relay=candidate.relay,
        name=candidate.name,
        score=round(distance * crowd * over * host * health, 3),
        usable=refusal is None,
        parts={name: round(value, 4) for name, value in parts.items()},
        reasons=tuple(reasons),
    )


def _keep_current(ranked: list[Ranked], current: str | None, measured: Mapping[str, float]) -> list[Ranked]:
    mine = next((one for one in ranked if one.relay == current), None)
    if mine is None or not mine.usable or ranked[0].relay == current:
        return ranked
    best = ranked[0]
    ours, theirs = mine.parts["latency"], best.parts["latency"]
    overloaded = mine.parts["bound"] > 1 or mine.parts["health"] > 1
    if overloaded or (theirs < ours * STICKY_SHARE and ours - theirs > STICKY_GAIN):
        return ranked
    why = "kept: no other is faster by a third and by 10 ms"
    kept = Ranked(
        relay=mine.relay, name=mine.name, score=mine.score, usable=True, parts=mine.parts, reasons=(why, *mine.reasons)
    )
    return [kept, *(one for one in ranked if one.relay != current)]
