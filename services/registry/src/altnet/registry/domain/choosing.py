"""The choice of links in a network that is too large for a full mesh.

What exists is kept, as long as it may exist; what is missing is added; with `moves` links also give way to clearly
better ones, at most so many. So a relay that joins or leaves concerns its own neighbourhood, and jitter nobody. In
this order, since each step makes the next one's work small: draining relays get two links each; everybody gets two
near ones; regions get two links to each of their nearest regions, from different relays at both ends; everybody gets
its other near ones; large regions get shortcuts, at random but fixed by a hash, for short paths (and because network
coordinates need far neighbours too); last, what the loss of one relay would split is joined by the shortest links
that do.

The result is as connected as all permitted links together, whatever single relay is lost: with any relay able to link
with any other, two node-disjoint paths between any two active ones. The degree bound holds unless that needs more.
Draining relays are leaves, unless fewer than two others that can be reached are active: then draining counts for
nothing.

Pure: the same members, distances and present links give the same choice, in any order.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from heapq import nsmallest

from altnet.registry.domain.improving import Improving
from altnet.registry.domain.latency import Latencies, Pair
from altnet.registry.domain.linkgraph import Edge, edge_of
from altnet.registry.domain.links import Choice, LinkKind, LinkRule, Member


def choose_links(
    members: Iterable[Member],
    known: Latencies,
    current: Mapping[Pair, LinkKind],
    *,
    rule: LinkRule | None = None,
    moves: int = 0,
) -> Choice:
    """Choose the links of one network. At most `moves` links give way to better ones or are dropped as needless."""
    work = _Choosing(sorted(members, key=lambda member: member.id), known, rule or LinkRule())
    work.keep(current)
    work.hang_draining()
    work.link_near(work.rule.near // 2)
    work.link_regions()
    work.link_near(work.rule.near)
    work.link_shortcuts()
    if moves > 0:
        work.improve(moves)
        work.link_near(work.rule.near)
    work.join()
    return work.choice()


class _Choosing(Improving):
    """The steps that keep and add."""

    def keep(self, current: Mapping[Pair, LinkKind]) -> None:
        """Take over what exists and may exist."""
        number = {member.id: at for at, member in enumerate(self.members)}
        for (first, second), kind in sorted(current.items()):
            if first not in number or second not in number:
                continue
            one, other = number[first], number[second]
            if not self.may(one, other):
                continue
            ends = self.members[one], self.members[other]
            apart = ends[0].region != ends[1].region
            if not (ends[0].active and ends[1].active):
                kind = LinkKind.DRAINED
            elif kind is LinkKind.REGION and not apart:
                kind = LinkKind.NEAR
            elif kind in (LinkKind.DRAINED, LinkKind.MESH):
                kind = LinkKind.REGION if apart else LinkKind.NEAR
            elif kind is LinkKind.SHORTCUT and apart:
                continue
            near_enough = self.pooled(one, other) or self.pooled(other, one) if kind is LinkKind.NEAR else True
            if near_enough:
                self.add(one, other, kind)

    def hang_draining(self) -> None:
        """Two links for each draining relay, the nearest of what it has first."""
        for one, member in enumerate(self.members):
            if member.active:
                continue
            has = sorted(self.of[one], key=lambda other: (self.distances.between(one, other), other))
            for other in has[2:]:
                self.drop(edge_of(one, other))
            others = [other for other in self.able(one) if other not in self.of[one]]
            if len(self.of[one]) >= 2 or not others:
                continue
            row = dict(zip(others, self.distances.row(one, others), strict=True))
            others.sort(key=lambda other: (self.over(other), row[other], self.mark(one, other)))
            for other in others[: 2 - len(self.of[one])]:
                self.add(one, other, LinkKind.DRAINED)

    def link_near(self, wanted: int) -> None:
        """Near links until every active relay has `wanted`, the shortest first, where there is room."""
        count, most = self.counts[LinkKind.NEAR], max(wanted, self.rule.near_most)
        depth = 4 * self.rule.near
        wanting = [one for one in self.everybody if count[one] < wanted]
        while wanting:
            offers = set()
            for one in wanting:
                for value, mark, other in self.nearest(one, self.pool(one), depth):
                    if other not in self.of[one]:
                        offers.add((value, mark, *edge_of(one, other)))
            for _, _, one, other in sorted(offers):
                if (count[one] >= wanted and count[other] >= wanted) or other in self.of[one]:
                    continue
                if count[one] < most and count[other] < most and self.room(one) and self.room(other):
                    self.add(one, other, LinkKind.NEAR)
            wanting = [one for one in wanting if count[one] < wanted and self.room(one) and depth < len(self.pool(one))]
            depth *= 4

    def link_shortcuts(self) -> None:
        """In large regions, until every relay has one, the pairs of the lowest marks."""
        count, wanted = self.counts[LinkKind.SHORTCUT], self.rule.shortcuts
        for members in self.regions.values():
            if len(members) < self.rule.large_region:
                continue
            offers: set[tuple[int, int, int]] = set()
            for one in members:
                if count[one] < wanted:
                    offers.update(
                        (mark, *edge_of(one, other)) for mark, other in nsmallest(8, self.marks_of(one, self.pool(one)))
                    )
            for _, one, other in sorted(offers):
                if (count[one] >= wanted and count[other] >= wanted) or other in self.of[one]:
                    continue
                if max(count[one], count[other]) <= wanted and self.room(one) and self.room(other):
                    self.add(one, other, LinkKind.SHORTCUT)

    def link_regions(self) -> None:
        """Two links, with no relay in common, to as many other regions as each wants, the nearest first."""
        if len(self.regions) < 2:
            return
        between = self.between()
        linked: defaultdict[str, int] = defaultdict(int)
        for one, other in between:
            linked[one] += 1
            linked[other] += 1
        for pair in sorted(between):
            self.connect(pair, between[pair])
        names = sorted(self.regions)
        wanted = min(self.rule.regions, len(names) - 1)
        far = self.rule.far_regions if len(names) - 1 > self.rule.regions else 0
        if all(linked[name] >= wanted + far for name in names):
            return
        offers = sorted(
            (self.apart(one, other), one, other) for at, one in enumerate(names) for other in names[at + 1 :]
        )
        by_chance = sorted((_chance(one, other), one, other) for _, one, other in offers)
        for wishes, listed in ((wanted, offers), (wanted + far, by_chance)):
            for _, one, other in listed:
                if (linked[one] < wishes or linked[other] < wishes) and (one, other) not in between:
                    found = self.connect((one, other), [])
                    if found:
                        between[one, other] = found
                        linked[one] += 1
                        linked[other] += 1

    def join(self) -> None:
        """Join what is apart, or would be without some one relay, wherever permitted links can."""
        hopeless: set[tuple[int | None, frozenset[int]]] = set()
        while True:
            added: set[int] = set()
            for cut, piece in self.pieces():
                key = cut, frozenset(piece)
                if key in hopeless or added & piece:
                    continue
                found = self._shortest_way_out(piece, cut)
                if found is None:
                    hopeless.add(key)
                    continue
                self.add(*found, LinkKind.PATH)
                added.update(found)
            if not added:
                return

    def _shortest_way_out(self, piece: set[int], cut: int | None) -> Edge | None:
        out = {*piece} if cut is None else {*piece, cut}
        full = self.rule.degree - 1
        best: tuple[tuple[int, float, int], Edge] | None = None
        for one in sorted(piece):
            others = [other for other in self.able(one) if other not in out]
            mine = max(0, len(self.of[one]) - full)
            for other, value in zip(others, self.distances.row(one, others), strict=True):
                crowd = mine + max(0, len(self.of[other]) - full)
                if best is None or (crowd, value) <= best[0][:2]:
                    key = crowd, value, self.mark(one, other)
                    if best is None or key < best[0]:
                        best = key, edge_of(one, other)
        return None if best is None else best[1]


def _chance(one: str, other: str) -> int:
    digest = hashlib.blake2b(f"{one}\n{other}".encode(), digest_size=8).digest()
    return int.from_bytes(digest)
