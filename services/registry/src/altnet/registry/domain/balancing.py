"""Which clients the registry itself should move, so that load stays within its bound and nobody stays on a dead relay.

A client moves only if it gains: its relay is not usable, or over its bound while another has room, or another is
clearly faster. Only clients that can follow are given to this (`movable`). Deterministic; what is done at once is
bounded by the caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from altnet.registry.domain.selection import Candidate, capacity, choose, clearly_faster, refusal


@dataclass(frozen=True, kw_only=True)
class Guest:
    """A client that can follow a move. `latencies` are milliseconds by relay, as it measured them."""

    client: str
    relay: str | None
    standby: str | None = None
    latencies: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Move:
    client: str
    before: str | None
    after: str
    reason: str


def moves(candidates: Iterable[Candidate], guests: Iterable[Guest], *, limit: int) -> list[Move]:
    """At most `limit` moves, the most urgent first, each reckoned with those before it.

    `Candidate.clients` count everybody who is there, whether movable or not.
    """
    relays = {candidate.relay: candidate for candidate in candidates}
    usable = {relay for relay, candidate in relays.items() if refusal(candidate) is None}
    if not usable:
        return []
    weights = sum(relays[relay].weight for relay in usable)
    waiting = sorted(guests, key=lambda guest: guest.client)
    stranded = [guest for guest in waiting if guest.relay not in usable]
    settled = [guest for guest in waiting if guest.relay in usable]
    settled.sort(key=lambda guest: (-_gain(guest, usable), _cost(guest, usable), guest.client))
    total = sum(relays[relay].clients for relay in usable)
    found: list[Move] = []
    for guest in (*stranded, *settled):
        if len(found) >= limit:
            break
        here = relays.get(guest.relay or "")
        crowded = here is not None and here.clients > capacity(here.weight, clients=total, weights=weights)
        if guest.relay in usable and not crowded and _gain(guest, usable) <= 0:
            continue
        move = _move(guest, relays, crowded=crowded)
        if move is None:
            continue
        found.append(move)
        for relay, count in ((move.before, -1), (move.after, 1)):
            if relay is not None and relay in relays:
                relays[relay] = replace(relays[relay], clients=relays[relay].clients + count)
                total += count if relay in usable else 0
    return found


def _move(guest: Guest, relays: Mapping[str, Candidate], *, crowded: bool) -> Move | None:
    here = relays.get(guest.relay or "")
    others = [
        replace(one, clients=one.clients - 1) if here is not None and one.relay == here.relay else one
        for one in relays.values()
    ]
    ranking = choose(others, latencies=guest.latencies, current=guest.relay, standby=guest.standby)
    if ranking.relay is None or ranking.relay == guest.relay:
        return None
    if guest.relay is None:
        reason = "it had no relay"
    elif here is None:
        reason = "its relay is gone"
    elif (refused := refusal(here)) is not None:
        reason = f"its relay is not usable: {refused}"
    elif crowded:
        reason = "its relay has more clients than its share"
    else:
        reason = "another relay is clearly faster"
    return Move(client=guest.client, before=guest.relay, after=ranking.relay, reason=reason)


def _gain(guest: Guest, usable: set[str]) -> float:
    """Milliseconds that the client would gain elsewhere, if that is clearly faster; else 0."""
    ours = guest.latencies.get(guest.relay or "")
    if ours is None:
        return 0.0
    best = min((value for relay, value in guest.latencies.items() if relay in usable), default=ours)
    return ours - best if clearly_faster(best, ours) else 0.0


def _cost(guest: Guest, usable: set[str]) -> float:
    """Milliseconds that leaving its relay for the next best would cost the client at least."""
    ours = guest.latencies.get(guest.relay or "", 0.0)
    others = (value for relay, value in guest.latencies.items() if relay in usable and relay != guest.relay)
    return max(0.0, min(others, default=ours) - ours)
