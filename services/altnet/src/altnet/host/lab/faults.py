"""What is wrong with the lab's internet: cuts between sets of hosts, impaired paths, the shape of who reaches whom.

Values and arithmetic only; `render` makes rules of them, `delay` and `delays` hold packets back. A path is directed:
what goes from the host `source` to the host `target` over the internet, in both families.

Invariant: a fault concerns the paths that it names and no other, so the control plane is reached through all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from altnet.common.errors import Invalid
from altnet.host.lab.topology import Kind, Topology

LONGEST_DELAY: Final = 10.0
"""Seconds: more than any timer of routing, and still a bounded number of packets in flight."""
_SHARE: Final = re.compile(r"^(\d+(?:\.\d+)?)\s*%$")
_TIME: Final = re.compile(r"^(\d+(?:\.\d+)?)\s*(ms|s)$")


class Shape(StrEnum):
    """Which relays reach each other over the internet; in `chain` and `ring` each only its neighbours by number."""

    FULL = "full"
    CHAIN = "chain"
    RING = "ring"


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Packets from the hosts in `sources` to the hosts in `targets` are dropped in the routers. One direction."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Impairment:
    """A path that is worse than a cable. `loss` is a share, `delay` is in seconds."""

    source: str
    target: str
    cut: bool = False
    loss: float = 0.0
    delay: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.loss <= 1:
            raise Invalid("bad_loss", f"{self.loss:g} is not a share.", field="/loss", mend="Give 0% … 100%.")
        if not 0 <= self.delay <= LONGEST_DELAY:
            raise Invalid(
                "bad_delay",
                f"{self.delay:g} s is outside 0 … {LONGEST_DELAY:g} s.",
                field="/delay",
                mend="Give a delay such as 20ms.",
            )
        if self.cut and (self.loss or self.delay):
            raise Invalid(
                "cut_and_more",
                "a path that is cut loses and delays nothing else.",
                field="/cut",
                mend="Give either --cut, or --loss and --delay.",
            )

    @property
    def none(self) -> bool:
        return not (self.cut or self.loss or self.delay)


@dataclass(frozen=True, kw_only=True)
class Faults:
    """All that is wrong at one time."""

    cuts: tuple[Cut, ...] = ()
    impairments: tuple[Impairment, ...] = ()
    shape: Shape = Shape.FULL


NONE: Final = Faults()


def impair(present: Iterable[Impairment], wanted: Iterable[Impairment]) -> tuple[Impairment, ...]:
    """The impairments with these in place of what their paths had; one that does nothing takes the old one away."""
    replaced = list(wanted)
    paths = {(one.source, one.target) for one in replaced}
    kept = [one for one in present if (one.source, one.target) not in paths]
    return (*kept, *(one for one in replaced if not one.none))


def untouched_cuts(cuts: Iterable[Cut], names: set[str]) -> tuple[Cut, ...]:
    """Those that concern none of these hosts."""
    return tuple(cut for cut in cuts if not {*cut.sources, *cut.targets} & names)


def untouched_paths(impairments: Iterable[Impairment], names: set[str]) -> tuple[Impairment, ...]:
    """Those that concern none of these hosts."""
    return tuple(one for one in impairments if not {one.source, one.target} & names)


def unreached(topology: Topology, shape: Shape) -> dict[str, tuple[str, ...]]:
    """For each relay, the relays that the shape keeps it from reaching."""
    relays = [host.name for host in topology.of_kind(Kind.RELAY)]
    if shape is Shape.FULL:
        return {}
    count = len(relays)
    found = {}
    for at, name in enumerate(relays):
        beside = {at - 1, at + 1}
        if shape is Shape.RING:
            beside = {number % count for number in beside}
        found[name] = tuple(other for to, other in enumerate(relays) if to != at and to not in beside)
    return {name: others for name, others in found.items() if others}


def check_edges(topology: Topology, one: Iterable[str], other: Iterable[str]) -> None:
    """Raises `Invalid` where a path between these sets of hosts makes no sense, `NotFound` for an unknown host."""
    one, other = tuple(one), tuple(other)
    for name in (*one, *other):
        if not topology.edge(name):
            raise Invalid(
                "not_an_edge_host",
                f"{name} is a {topology.host(name).kind}; cuts are between relays, clients, homes and control.",
                mend="To take a router away: `altnet lab kill`.",
            )
    sides = [{str(net) for name in names for net in topology.edge(name)} for names in (one, other)]
    if both := sides[0] & sides[1]:
        raise Invalid(
            "same_side",
            f"both sides have {', '.join(sorted(both))}.",
            mend="Name each host (or home) on one side.",
        )


def parse_share(text: str) -> float:
    """`30%` as 0.3. Raises `Invalid` (`bad_loss`)."""
    match = _SHARE.match(text.strip())
    if match is None:
        raise Invalid("bad_loss", f"{text!r} is not a share.", field="/loss", mend="Write it as 30%.")
    return float(match[1]) / 100


def parse_seconds(text: str) -> float:
    """`20ms` or `0.5s` in seconds. Raises `Invalid` (`bad_delay`)."""
    match = _TIME.match(text.strip())
    if match is None:
        raise Invalid("bad_delay", f"{text!r} is not a time.", field="/delay", mend="Write it as 20ms or 0.5s.")
    return float(match[1]) / (1000 if match[2] == "ms" else 1)
