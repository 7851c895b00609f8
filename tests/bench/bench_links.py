"""The choice of links alone: 1,000 relays from nothing, one more relay, a review; and how good the links are.

The internet is made up (`support.internet`). The named alternative is the rule of before: a ring in the order of slots
and a hypercube over slot numbers, which looks at no latency. No I/O.
"""

from __future__ import annotations

import heapq
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Final

from altnet.registry.domain.choosing import choose_links
from altnet.registry.domain.latency import Latencies, Pair, pair_of
from altnet.registry.domain.links import Choice, LinkKind, Member
from support.internet import Internet, make_internet

from bench.report import Measure

REGIONS: Final = 20
REVIEWS: Final = 60
"""Five hours of reviews, one every five minutes."""
SHARE_MOVED: Final = 0.02
SOURCES: Final = 25
JOINS: Final = 20
RING: Final = "ring and hypercube over slots"


async def run(say: Callable[[str], None], *, scale: int = 1000) -> dict[str, Measure]:
    say(f"   making up an internet of {scale} relays in {REGIONS} regions")
    net = make_internet(scale, regions=REGIONS)
    members = [Member(id=relay, region=region) for relay, region in sorted(net.region.items())]
    begin = time.perf_counter()
    choice = choose_links(members, Latencies({}, net.region), {})
    blind = time.perf_counter() - begin
    say(f"   from nothing, knowing regions alone: {blind:.2f} s, {len(choice.links)} links")
    first = _mean_near(net, choice)
    choice, measured, review, moved = _reviewed(net, members, choice)
    say(f"   {REVIEWS} reviews moved {moved} links; the last one took {review:.2f} s")
    begin = time.perf_counter()
    known = Latencies(measured, net.region)
    afresh = choose_links(members, known, {})
    full = time.perf_counter() - begin
    say(f"   from nothing, with {len(measured)} latencies: {full:.2f} s")
    join, touched = _joins(members, known, choice)
    say(f"   one relay that joins: {join * 1000:.0f} ms, {touched:.1f} others get another document")
    best = _mean_near(net, choose_links(members, Latencies(_within_regions(net), net.region), {}))
    ours, rings = _mean_path(net, choice.links), _mean_path(net, _ring(sorted(net.region)))
    hops, ring_hops = _mean_path(net, choice.links, hops=True), _mean_path(net, _ring(sorted(net.region)), hops=True)
    degree, ring_degree = (2 * len(links) / scale for links in (choice.links, _ring(sorted(net.region))))
    return {
        f"links_{scale}_relays": Measure(
            value=full, unit="s", note=f"from nothing, {len(measured)} latencies known; {len(afresh.links)} links"
        ),
        f"links_one_join_{scale}_relays": Measure(
            value=join,
            unit="s",
            ratio=join / full,
            against="the whole choice anew",
            note=f"{touched:.1f} others change",
        ),
        f"links_review_{scale}_relays": Measure(
            value=review,
            unit="s",
            note=f"every five minutes, in a thread; moves {SHARE_MOVED:.0%} of the links at most",
        ),
        f"links_path_latency_{scale}_relays": Measure(
            value=ours,
            unit="ms",
            ratio=ours / rings,
            against=RING,
            note=f"mean round trip along the shortest path; {degree:.1f} links a relay against {ring_degree:.1f}",
        ),
        f"links_path_hops_{scale}_relays": Measure(
            value=hops, unit="links", ratio=hops / ring_hops, against=RING, note="mean length of the fewest-hops path"
        ),
        f"links_near_latency_{scale}_relays": Measure(
            value=_mean_near(net, choice),
            unit="ms",
            ratio=_mean_near(net, choice) / best,
            against="chosen with every latency known",
            note=f"mean round trip of near links; {first:.1f} ms at the blind beginning",
        ),
    }


def _reviewed(net: Internet, members: list[Member], choice: Choice) -> tuple[Choice, dict[Pair, float], float, int]:
    """Links measured and moved as in life: the choice, what was measured, what the last review took, links moved."""
    measured: dict[Pair, float] = {}
    took, moved = 0.0, 0
    for _ in range(REVIEWS):
        measured.update((pair, net.latency(*pair)) for pair in choice.links if pair not in measured)
        begin = time.perf_counter()
        after = choose_links(
            members, Latencies(measured, net.region), choice.links, moves=int(len(choice.links) * SHARE_MOVED)
        )
        took = time.perf_counter() - begin
        moved += len(set(choice.links) - set(after.links))
        if after.links == choice.links:
            break
        choice = after
    return choice, measured, took, moved


def _joins(members: list[Member], known: Latencies, choice: Choice) -> tuple[float, float]:
    """What choosing costs when one relay joins, and how many others it concerns: medians."""
    costs, touched = [], []
    for number in range(JOINS):
        newcomer = Member(id=f"x{number:04d}", region=members[number * 37 % len(members)].region)
        begin = time.perf_counter()
        after = choose_links([*members, newcomer], known, choice.links)
        costs.append(time.perf_counter() - begin)
        changed = {end for pair in set(after.links) ^ set(choice.links) for end in pair}
        touched.append(len(changed - {newcomer.id}))
    return statistics.median(costs), statistics.mean(touched)


def _within_regions(net: Internet) -> dict[Pair, float]:
    """The latencies of all pairs of one region: what near links are chosen from."""
    relays: dict[str, list[str]] = {}
    for relay, region in sorted(net.region.items()):
        relays.setdefault(region, []).append(relay)
    return {
        (one, other): net.latency(one, other)
        for names in relays.values()
        for at, one in enumerate(names)
        for other in names[at + 1 :]
    }


def _mean_near(net: Internet, choice: Choice) -> float:
    return statistics.mean(net.latency(*pair) for pair, kind in choice.links.items() if kind is LinkKind.NEAR)


def _mean_path(net: Internet, links: Iterable[Pair], *, hops: bool = False) -> float:
    """The mean over some sources and all destinations of the cheapest path, in milliseconds or links."""
    near: dict[str, list[tuple[float, str]]] = {}
    for one, other in links:
        cost = 1.0 if hops else net.latency(one, other)
        near.setdefault(one, []).append((cost, other))
        near.setdefault(other, []).append((cost, one))
    names, costs = sorted(near), []
    for source in names[:: max(1, len(names) // SOURCES)]:
        best, waiting = {source: 0.0}, [(0.0, source)]
        while waiting:
            cost, node = heapq.heappop(waiting)
            if cost > best[node]:
                continue
            for step, other in near[node]:
                if cost + step < best.get(other, float("inf")):
                    best[other] = cost + step
                    heapq.heappush(waiting, (cost + step, other))
        costs += [cost for node, cost in best.items() if node != source]
    return statistics.mean(costs)


def _ring(relays: list[str]) -> set[Pair]:
    """The alternative: slots 1, 2, … in the order of names."""
    slots = dict(enumerate(relays, start=1))
    partners = [(slot, slot ^ (1 << bit)) for slot in slots for bit in range(12)]
    partners += [(slot, slot % len(slots) + 1) for slot in slots]
    return {pair_of(slots[one], slots[other]) for one, other in partners if other in slots and one != other}
