"""Which relay a client should use, and which one stands by.

Filter by what is possible, rank by latency and load, and say why. The rule is bounded load: no relay gets more than
1.25 of its fair share (by weight) while another has room; among those with room, the lowest latency times
(1 + load / 2) wins; and a client keeps its relay unless that is not usable, over its bound, or another is faster by a
third and by 10 ms. In a simulation of the house (5,000 clients, ten relays of unequal capacity) it came out best of
five: nearest-first put 2.6 fair shares on one relay, rendezvous hashing over all more than doubled the latency, two
random choices moved half of the clients for nothing when a relay died.

A missed heartbeat is no reason to leave: it says something about the control plane, and traffic may well flow.

Scores are milliseconds-like numbers, lower is better. Without a measurement the region stands in for latency.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Final

from altnet.registry.domain.latency import NEAR_REGION, OTHER_REGION, SAME_REGION
from altnet.registry.domain.liveness import Health

BOUND: Final = 1.25
FAILURE_DOMAINS: Final = ("host", "rack", "site", "zone", "provider")
"""Labels of relays that name what may fail as a whole; the region is one as well."""
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
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """One candidate with its score, its parts and the reasons in words."""

    relay: str
    name: str
    score: float
    usable: bool
    parts: Mapping[str, float] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """All candidates, best first, and what follows: the relay to use, and another that stands by."""

    ranked: tuple[Ranked, ...]
    relay: str | None = None
    """None where no relay can take clients."""
    standby: str | None = None
    """None where there is no other."""


def choose(
    candidates: Iterable[Candidate],
    *,
    region: str = "",
    latencies: Mapping[str, float] | None = None,
    current: str | None = None,
    standby: str | None = None,
) -> Ranking:
    """The relay for a client and its standby, which `current` and `standby` are now (None: it has none).

    `latencies` are milliseconds by relay as the client measured them; `Candidate.clients` leave this client out. If
    the present relay is not usable and the standby is, the client is there already and stays. The standby is of
    another failure domain if possible: it shares the fewest labels of `FAILURE_DOMAINS`, then not the region, with
    the first; a present one is kept as long as it is usable.
    """
    everybody = list(candidates)
    ranked = rank(everybody, region=region, latencies=latencies, current=current)
    usable = [one for one in ranked if one.usable]
    if not usable:
        return Ranking(ranked=tuple(ranked))
    first = usable[0]
    if standby is not None and all(one.relay != current for one in usable):
        there = next((one for one in usable if one.relay == standby), None)
        if there is not None and there.parts["bound"] <= 1:
            first = replace(there, reasons=("the client's standby, where it is already", *there.reasons))
            ranked = [first, *(one for one in ranked if one.relay != standby)]
    if all(one.relay != standby or standby == first.relay for one in usable):
        standby = _standby(first.relay, usable, everybody)
    return Ranking(ranked=tuple(ranked), relay=first.relay, standby=standby)


def standby_for(
    primary: str,
    candidates: Iterable[Candidate],
    *,
    region: str = "",
    latencies: Mapping[str, float] | None = None,
) -> str | None:
    """The relay that stands by for a client of `primary`, by the same rule; None where there is no other usable one."""
    everybody = list(candidates)
    usable = [one for one in rank(everybody, region=region, latencies=latencies) if one.usable]
    return _standby(primary, usable, everybody)


def _standby(primary: str, usable: Iterable[Ranked], everybody: Iterable[Candidate]) -> str | None:
    known = {candidate.relay: candidate for candidate in everybody}

    def order(one: Ranked) -> tuple[int, bool, float, float]:
        shared = _shared(known[primary], known[one.relay]) if primary in known else (0, False)
        return (*shared, one.parts["bound"], one.score)

    best = min((one for one in usable if one.relay != primary), key=order, default=None)
    return None if best is None else best.relay


def _shared(one: Candidate, other: Candidate) -> tuple[int, bool]:
    """How much of what may fail as a whole two relays have in common: labels, and the region."""
    labels = sum(name in one.labels and one.labels[name] == other.labels.get(name) for name in FAILURE_DOMAINS)
    return labels, bool(one.region) and one.region == other.region


def capacity(weight: float, *, clients: int, weights: float) -> int:
    """How many clients a relay may have: 1.25 of its share, by weight, of all `clients` on usable relays."""
    return max(1, ceil(BOUND * clients * weight / weights)) if weights > 0 else 1


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
    usable = [candidate for candidate in everybody if refusal(candidate) is None]
    weights = sum(candidate.weight for candidate in usable) or 1.0
    clients = sum(candidate.clients for candidate in usable)
    ranked = [
        _score(candidate, region=region, latency=measured.get(candidate.relay), clients=clients, weights=weights)
        for candidate in everybody
    ]
    ranked.sort(key=lambda one: (not one.usable, one.parts["bound"] > 1, one.score, one.relay))
    return _keep_current(ranked, current, measured)


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
    if candidate.clients + 1 > capacity(candidate.weight, clients=clients + 1, weights=weights):
        over = 1.0 + share / BOUND
        reasons.append(f"over {BOUND} of its fair share")
    crowd = 1 + share / 2
    host = 1 + max(0.0, candidate.load) / 2
    if candidate.load > 1:
        reasons.append(f"host load {candidate.load:.2f} per processor")
    health = _HEALTH_FACTOR[candidate.health]
    reasons.append(f"health {candidate.health}")

    refused = refusal(candidate)
    if refused is not None:
        reasons.insert(0, f"not usable: {refused}")
    parts = {"latency": distance, "clients": crowd, "bound": over, "host": host, "health": health}
    return Ranked(
        relay=candidate.relay,
        name=candidate.name,
        score=round(distance * crowd * over * host * health, 3),
        usable=refused is None,
        parts={name: round(value, 4) for name, value in parts.items()},
        reasons=tuple(reasons),
    )


def clearly_faster(one: float, other: float) -> bool:
    """Whether latency `one` is so much lower than `other` that a client should move."""
    return one < other * STICKY_SHARE and other - one > STICKY_GAIN


def refusal(candidate: Candidate) -> str | None:
    """Why a relay can take no clients; None if it can."""
    if candidate.health is Health.DOWN:
        return "down"
    if candidate.draining:
        return "draining"
    if not candidate.reachable:
        return "has no endpoint that clients can reach"
    if candidate.weight <= 0:
        return "weight 0: takes no clients"
    return None


def _keep_current(ranked: list[Ranked], current: str | None, measured: Mapping[str, float]) -> list[Ranked]:
    mine = next((one for one in ranked if one.relay == current), None)
    if mine is None or not mine.usable or ranked[0].relay == current:
        return ranked
    best = ranked[0]
    ours, theirs = mine.parts["latency"], best.parts["latency"]
    if mine.parts["bound"] > best.parts["bound"] or (clearly_faster(theirs, ours)):
        return ranked
    kept = replace(mine, reasons=("kept: no other is faster by a third and by 10 ms", *mine.reasons))
    return [kept, *(one for one in ranked if one.relay != current)]
