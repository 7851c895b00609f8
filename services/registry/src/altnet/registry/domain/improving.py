"""Letting chosen links give way to clearly better ones, at most so many at a time.

A near link goes only where both of its ends can do without: each has a clearly nearer relay to turn to, or more than it
wants without it. So nobody's nearest ones get worse, and repeating it comes to an end. Small differences move nothing.
"""

from __future__ import annotations

from altnet.registry.domain.linkgraph import Edge, LinkGraph, edge_of
from altnet.registry.domain.links import LinkKind


class Improving(LinkGraph):
    """The step that moves links."""

    def improve(self, moves: int) -> None:
        """Let links give way to clearly better ones, those that gain most first, and drop what nobody needs."""
        done = self._drop_needless(moves)
        near = sorted(
            ((self.distances.between(*edge), edge) for edge, kind in self.links.items() if kind is LinkKind.NEAR),
            key=lambda item: (-item[0], item[1]),
        )
        for latency, edge in near:
            if done >= moves:
                return
            first, second = self._instead(edge[0], edge[1], latency), self._instead(edge[1], edge[0], latency)
            if first is None or second is None:
                continue
            self.drop(edge)
            for one, other in zip(edge, (first, second), strict=True):
                if other >= 0 and other not in self.of[one] and self.takes(other) and self.takes(one):
                    self.add(one, other, LinkKind.NEAR)
            done += 1
        done += self._improve_regions(moves - done)
        for latency, edge in sorted(
            ((self.distances.between(*edge), edge) for edge, kind in self.links.items() if kind is LinkKind.REGION),
            key=lambda item: (-item[0], item[1]),
        ):
            if done >= moves:
                return
            done += self._move_between_regions(edge, latency)

    def _improve_regions(self, moves: int) -> int:
        """Link regions with clearly nearer ones than those they have, and let go of those that neither side wants."""
        names = sorted(self.regions)
        wanted = min(self.rule.regions, len(names) - 1)
        if wanted <= 0 or len(names) - 1 <= wanted + self.rule.far_regions:
            return 0  # everybody is linked with everybody
        pairs = self.between()
        apart = {(a, b): self.apart(a, b) for at, a in enumerate(names) for b in names[at + 1 :]}
        linked = {name: sorted(apart[pair] for pair in pairs if name in pair) for name in names}
        done = 0
        for pair in sorted(apart, key=lambda pair: (apart[pair], pair)):
            if pair in pairs or done + 2 > moves:
                continue
            short = [linked[name][wanted - 1] for name in pair if len(linked[name]) >= wanted]
            if any(self.rule.better(apart[pair], value) for value in short):
                done += len(self.connect(pair, []))
        enough = wanted + self.rule.far_regions
        for pair in sorted(pairs, key=lambda pair: (-apart[pair], pair)):
            edges = [edge for edge in pairs[pair] if self.links[edge] is LinkKind.REGION]
            needless = all(
                sum(self.rule.better(value, apart[pair]) for value in linked[name]) >= enough for name in pair
            )
            if needless and done + len(edges) <= moves:
                for edge in edges:
                    self.drop(edge)
                done += len(edges)
        return done

    def _instead(self, one: int, other: int, latency: float) -> int | None:
        """What an end of a near link would have instead: another relay, -1 for nothing, None if it needs the link."""
        rest = [
            value
            for third, value in zip(self.of[one], self.distances.row(one, list(self.of[one])), strict=True)
            if third != other and self.links[edge_of(one, third)] is LinkKind.NEAR
        ]
        if sum(self.rule.better(value, latency) for value in rest) >= self.rule.near:
            return -1
        if len(rest) > self.rule.near and sum(value < latency for value in rest) >= self.rule.near:
            return -1  # it has two more than it wants, and this is not one of its nearest
        closest = self._closest.get(one)
        if closest is None:
            closest = self._closest[one] = self.nearest(one, self.pool(one), 2 * self.rule.near_most)
        for value, _, third in closest:
            if not self.rule.better(value, latency):
                return None
            if third not in self.of[one] and self.takes(third):
                return third
        return None

    def _move_between_regions(self, edge: Edge, latency: float) -> int:
        """1 if a link between two regions gave way to a clearly better one that leaves them as well connected."""
        ours, theirs = (self.regions[self.members[end].region] for end in edge)
        there = set(theirs)
        others = {edge_of(one, other) for one in ours for other in self.of[one] & there} - {edge}
        taken = {end for other in others for end in other}
        best = self.best_between(ours, theirs, taken)
        if best is None or not self.rule.better(best[0], latency):
            return 0
        self.drop(edge)
        self.add(*best[1], LinkKind.REGION)
        return 1

    def _drop_needless(self, moves: int) -> int:
        """Links for connectivity alone that it no longer needs."""
        done, before = 0, len(self.pieces())
        for edge in [edge for edge, kind in sorted(self.links.items()) if kind is LinkKind.PATH]:
            if done >= moves:
                break
            if any(sum(self.members[other].active for other in self.of[end]) <= 2 for end in edge):
                continue  # with less than two links it would hang on one relay
            self.drop(edge)
            if len(self.pieces()) > before:
                self.add(*edge, LinkKind.PATH)
            else:
                done += 1
        return done
