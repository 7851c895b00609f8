"""Members and links by number while a choice is made, and what each of its steps asks of them.

Leaves out the steps themselves (`choosing`, `improving`). Invariant: only links that may exist are ever added.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from heapq import nsmallest
from typing import Final

from altnet.common.contracts.desired import Encapsulation
from altnet.registry.domain.graph import components, cut_nodes
from altnet.registry.domain.latency import Distances, Latencies, pair_of
from altnet.registry.domain.links import Choice, LinkKind, LinkRule, Member, may_link

Edge = tuple[int, int]
"""Two members by number, the lower first."""

Kind = tuple[bool, bool, frozenset[Encapsulation]]
"""What decides with whom a member may have links: reachable, active, encapsulations."""

_MASK: Final = 2**64 - 1
_ODD: Final = 0x9E3779B97F4A7C15
_SAMPLE: Final = 6
"""Members of a region that stand for it when distances between regions are compared."""


def edge_of(one: int, other: int) -> Edge:
    return (one, other) if one < other else (other, one)


class LinkGraph:
    """Members and links by number, while a choice is made."""

    def __init__(self, members: Sequence[Member], known: Latencies, rule: LinkRule) -> None:
        if sum(member.active and member.reachable for member in members) < 2:
            members = [replace(member, active=True) for member in members]
        self.members = members
        self.rule = rule
        self.distances = Distances([(member.id, member.region) for member in members], known)
        self.links: dict[Edge, LinkKind] = {}
        self.of: list[set[int]] = [set() for _ in members]
        self.counts: dict[LinkKind, list[int]] = {kind: [0] * len(members) for kind in LinkKind}
        self.regions: dict[str, list[int]] = {}
        for at, member in enumerate(members):
            if member.active:
                self.regions.setdefault(member.region, []).append(at)
        self.everybody = [at for at, member in enumerate(members) if member.active]
        self.marks = [int.from_bytes(hashlib.blake2b(member.id.encode(), digest_size=8).digest()) for member in members]
        kinds: dict[Kind, Member] = {(one.reachable, one.active, one.encapsulations): one for one in members}
        self._may = {(a, b): may_link(kinds[a], kinds[b]) for a in kinds for b in kinds}
        self._kind = [(one.reachable, one.active, one.encapsulations) for one in members]
        self._pools: dict[int, list[int]] = {}
        self._able: dict[Kind, list[int]] = {}
        self._near: dict[tuple[str, Kind], list[int]] = {}
        self._closest: dict[int, list[tuple[float, int, int]]] = {}

    def may(self, one: int, other: int) -> bool:
        return one != other and self._may[self._kind[one], self._kind[other]]

    def add(self, one: int, other: int, kind: LinkKind) -> None:
        self.links[edge_of(one, other)] = kind
        self.of[one].add(other)
        self.of[other].add(one)
        self.counts[kind][one] += 1
        self.counts[kind][other] += 1

    def drop(self, edge: Edge) -> None:
        one, other = edge
        kind = self.links.pop(edge)
        self.of[one].discard(other)
        self.of[other].discard(one)
        self.counts[kind][one] -= 1
        self.counts[kind][other] -= 1

    def able(self, one: int) -> list[int]:
        """The active members with whom a member may have links; itself may be among them."""
        kind = self._kind[one]
        found = self._able.get(kind)
        if found is None:
            found = self._able[kind] = [other for other in self.everybody if self._may[kind, self._kind[other]]]
        return found

    def pool(self, one: int) -> list[int]:
        """Where an active relay looks for near ones: its region, or everywhere if that has too few to link with."""
        found = self._pools.get(one)
        if found is None:
            found = [other for other in self._around(one) if other != one]
            self._pools[one] = found
        return found

    def pooled(self, one: int, other: int) -> bool:
        """Whether `other` is in the pool of an active relay; the pool itself is not made for it."""
        if not self.members[other].active or not self.may(one, other):
            return False
        return self._around(one) is self.able(one) or self.members[one].region == self.members[other].region

    def _around(self, one: int) -> list[int]:
        """The pool of a relay, with itself in it where it may be: the same for all of its kind in its region."""
        region, kind = self.members[one].region, self._kind[one]
        found = self._near.get((region, kind))
        if found is None:
            found = [other for other in self.regions[region] if self._may[kind, self._kind[other]]]
            itself = self._may[kind, kind]  # every relay of this kind is in the list, or none is
            if len(found) - itself < 2:
                found = self.able(one)
            self._near[region, kind] = found
        return found

    def mark(self, one: int, other: int) -> int:
        """A number of this pair that is as good as random: decides between equals and picks shortcuts."""
        return ((self.marks[one] ^ self.marks[other]) * _ODD) & _MASK

    def marks_of(self, one: int, others: Sequence[int]) -> list[tuple[int, int]]:
        """The marks with each of these, as (mark, number)."""
        mine, marks = self.marks[one], self.marks
        return [(((mine ^ marks[other]) * _ODD) & _MASK, other) for other in others]

    def nearest(self, one: int, others: Sequence[int], count: int) -> list[tuple[float, int, int]]:
        """The nearest of `others`, as (latency, mark, number)."""
        row = self.distances.row(one, others)
        rough = nsmallest(count, zip(row, others, strict=True)) if len(others) > 4 * count else None
        if rough is None or (len(rough) == count and row.count(rough[-1][0]) > 1):  # ties: let the mark decide
            marked = [
                (value, mark, other) for value, (mark, other) in zip(row, self.marks_of(one, others), strict=True)
            ]
            return nsmallest(count, marked)
        return sorted((value, self.mark(one, other), other) for value, other in rough)

    def room(self, one: int) -> bool:
        return len(self.of[one]) < self.rule.degree - self.rule.spare

    def takes(self, one: int) -> bool:
        return self.room(one) and self.counts[LinkKind.NEAR][one] < self.rule.near_most

    def over(self, one: int) -> int:
        """By how many links a relay would be over what it should have, with one more."""
        return max(0, len(self.of[one]) + 1 - (self.rule.degree - self.rule.spare))

    def apart(self, one: str, other: str) -> float:
        """How far two regions are: the shortest distance between samples of both."""
        sample = self.regions[other][:_SAMPLE]
        return min(min(self.distances.row(member, sample)) for member in self.regions[one][:_SAMPLE])

    def between(self) -> dict[tuple[str, str], list[Edge]]:
        """The links between active relays of different regions, by pair of regions."""
        found: defaultdict[tuple[str, str], list[Edge]] = defaultdict(list)
        for edge in sorted(self.links):
            one, other = (self.members[end] for end in edge)
            if one.active and other.active and one.region != other.region:
                found[pair_of(one.region, other.region)].append(edge)
        return dict(found)

    def connect(self, pair: tuple[str, str], has: Sequence[Edge]) -> list[Edge]:
        """Links between two regions until two have no relay in common; answers all that there are."""
        edges = list(has)
        ours, theirs = self.regions[pair[0]], self.regions[pair[1]]
        wanted = min(2, len(ours), len(theirs))
        while _disjoint(edges) < wanted:
            taken = set(edges[0]) if edges else set()
            best = self.best_between(ours, theirs, taken)
            if best is None:
                break
            self.add(*best[1], LinkKind.REGION)
            edges.append(best[1])
        return edges

    def best_between(self, ours: Sequence[int], theirs: Sequence[int], taken: set[int]) -> tuple[float, Edge] | None:
        """The shortest possible link between two regions that leaves out `taken`, sparing relays that have many."""
        most = self.rule.near
        kinds = {self._kind[one] for one in ours}, {self._kind[other] for other in theirs}
        if not any(self._may[one, other] for one in kinds[0] for other in kinds[1]):
            return None
        best: tuple[tuple[int, float, int], Edge, float] | None = None
        free = [other for other in theirs if other not in taken and self.room(other)]
        count = self.counts[LinkKind.REGION]
        for one in ours:
            if one in taken or not self.room(one):
                continue
            mine = max(0, count[one] + 1 - most)
            for other, value in zip(free, self.distances.row(one, free), strict=True):
                crowd = mine + max(0, count[other] + 1 - most)
                if best is not None and (crowd, value) > best[0][:2]:
                    continue
                if other not in self.of[one] and self.may(one, other):
                    key = crowd, value, self.mark(one, other)
                    if best is None or key < best[0]:
                        best = key, edge_of(one, other), value
        return None if best is None else (best[2], best[1])

    def pieces(self) -> list[tuple[int | None, set[int]]]:
        """What is apart from the largest part: as it is, or without a cut node. Small ones first."""
        core = [self.of[at] if member.active else set[int]() for at, member in enumerate(self.members)]
        draining = {at for at, member in enumerate(self.members) if not member.active}
        graph = [others - draining for others in core] if draining else core
        found: list[tuple[int | None, set[int]]] = []
        for cut in (None, *cut_nodes(graph)):
            parts = [part for part in components(graph, without=cut) if not part <= draining]
            found.extend((cut, part) for part in parts[1:])
        found.sort(key=lambda item: (len(item[1]), min(item[1]), -1 if item[0] is None else item[0]))
        return found

    def choice(self) -> Choice:
        links = {
            (self.members[one].id, self.members[other].id): kind for (one, other), kind in sorted(self.links.items())
        }
        short = [member.id for at, member in enumerate(self.members) if len(self.of[at]) < 2]
        return Choice(links=links, short=tuple(short) if len(self.members) > 2 else ())


def _disjoint(edges: Sequence[Edge]) -> int:
    """2 if some two of these links have no relay in common, else at most 1."""
    if any(not set(one) & set(other) for at, one in enumerate(edges) for other in edges[at + 1 :]):
        return 2
    return min(1, len(edges))
