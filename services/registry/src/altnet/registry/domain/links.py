"""Links between relays: which may exist, why each does, and the bounds that their choice keeps.

Leaves out how they are chosen (`choosing`) and where relays without chosen ones begin (`topology`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from altnet.common.contracts.desired import Encapsulation
from altnet.registry.domain.latency import Pair

DEGREE_BOUND: Final = 14
"""Links of one relay, unless relays that others can reach are so few that each must carry more."""


class LinkKind(StrEnum):
    """Why a link exists."""

    MESH = "mesh"
    """Everybody has a link to everybody in a small network."""
    NEAR = "near"
    """Among the nearest that one of its ends has in its region."""
    SHORTCUT = "shortcut"
    """Across a large region, so that paths stay short."""
    REGION = "region"
    """One of at least two between these two regions."""
    PATH = "path"
    """Without it the loss of one relay would cut somebody off."""
    DRAINED = "drained"
    """One of two on which a draining relay hangs; nothing passes through it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A relay as the choice of links sees it. `reachable`: it has an endpoint."""

    id: str
    region: str = ""
    active: bool = True
    reachable: bool = True
    encapsulations: frozenset[Encapsulation] = frozenset({Encapsulation.VXLAN})


@dataclass(frozen=True, kw_only=True)
class LinkRule:
    """The bounds. Counts of links unless said otherwise."""

    degree: int = DEGREE_BOUND
    spare: int = 2
    """Of the degree, kept for what connectivity needs."""
    near: int = 4
    """That each relay wants in its region."""
    near_most: int = 8
    """That a relay takes part in because others want it."""
    shortcuts: int = 1
    """That each relay of a large region wants."""
    large_region: int = 16
    """Members from which a region has shortcuts."""
    regions: int = 4
    """Other regions that each region wants two links to: the nearest."""
    far_regions: int = 1
    """And so many more, anywhere, where there are more than `regions`."""
    gain_share: float = 2 / 3
    """A link gives way only to one with less than this share of its latency …"""
    gain_least: float = 5.0
    """… that is faster by so many milliseconds at least."""

    def better(self, one: float, other: float) -> bool:
        """Whether latency `one` is so much lower than `other` that a link should move."""
        return one < other * self.gain_share and other - one > self.gain_least


@dataclass(frozen=True)
class Choice:
    """The links, each with why it exists, and the relays that could not get two."""

    links: Mapping[Pair, LinkKind] = field(default_factory=dict)
    short: tuple[str, ...] = ()
    """Relays that share an encapsulation with fewer than two others that they can reach."""


def may_link(one: Member, other: Member) -> bool:
    """Whether a link between the two can come up and may carry anything: they share an encapsulation, one of them can
    be reached, and one of them is active.
    """
    return bool(
        (one.reachable or other.reachable)
        and (one.active or other.active)
        and one.encapsulations & other.encapsulations
    )
