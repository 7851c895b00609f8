"""What neighbours outside told, compared with what is recorded of it.

A relay answers with its whole table; here is what that changes. Whatever a relay says is bounded and checked: a route
of a peering that is not its own, or a prefix that is none, is left out and counted.

Invariant: a refused route is told of once, until a whole table no longer has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Final, TypeVar

import msgspec
from altnet.common.contracts.routing import MOST_ROUTES, LearnedRoute, LearnedTable, RefusedRoute

OWN_PREFIX: Final = "own_prefix"
DEFAULT_ROUTE: Final = "default_route"
SITE_PREFIX: Final = "site_prefix"

_SEVERITY: Final[Mapping[str, str]] = {OWN_PREFIX: "high", SITE_PREFIX: "high", DEFAULT_ROUTE: "medium"}
_ORDER: Final = ("high", "medium", "low")
_SUMMARY: Final[Mapping[str, str]] = {
    OWN_PREFIX: "hijack of our own prefix",
    SITE_PREFIX: "hijack of a site's prefix",
    DEFAULT_ROUTE: "leaked default route",
    "not_in_rules": "routes that no import rule names",
    "path_loop": "routes that come from ourselves",
}

LearnedKey = tuple[str, str]
"""Peering and prefix."""
RefusedKey = tuple[str, str, str]
"""Peering, prefix and reason."""

LONGEST_PATH: Final = 255
MOST_COMMUNITIES: Final = 64
LONGEST_TEXT: Final = 64
"""Bounds of one route, so that a batch of them always fits into an event."""

Item = TypeVar("Item")


@dataclass
class Recorded:
    """What Postgres has of one relay."""

    learned: dict[LearnedKey, LearnedRoute] = field(default_factory=dict)
    refused: dict[RefusedKey, RefusedRoute] = field(default_factory=dict)


@dataclass
class Difference:
    """What a table changes."""

    learned: list[LearnedRoute] = field(default_factory=list)
    """New, or told with another path."""
    withdrawn: list[LearnedKey] = field(default_factory=list)
    refused: list[RefusedRoute] = field(default_factory=list)
    """New, worst first."""
    forgiven: list[RefusedKey] = field(default_factory=list)
    """Not told any more."""
    ignored: int = 0
    """Routes that make no sense, or are over their peering's limit."""


def compare(recorded: Recorded, table: LearnedTable, limits: Mapping[str, int]) -> Difference:
    """What `table` changes. `limits`: the relay's peerings, and how many routes each may have."""
    found = Difference()
    counts = dict.fromkeys(limits, 0)
    now: dict[LearnedKey, LearnedRoute] = {}
    for route in table.learned:
        prefix = _canonical(route.prefix)
        if prefix is None or counts.get(route.peering, 0) >= limits.get(route.peering, 0) or not _sane(route.as_path):
            found.ignored += 1
            continue
        key = (route.peering, prefix)
        counts[route.peering] += key not in now
        now[key] = msgspec.structs.replace(
            route,
            prefix=prefix,
            next_hop=_plain(route.next_hop),
            communities=tuple(_plain(one) for one in route.communities[:MOST_COMMUNITIES]),
        )
    found.learned = [route for key, route in now.items() if recorded.learned.get(key) != route]
    found.withdrawn = [key for key in recorded.learned if key not in now]

    refused: dict[RefusedKey, RefusedRoute] = {}
    for one in sorted(table.refused, key=lambda one: rank(one.reason)):
        prefix = _canonical(one.prefix)
        if prefix is None or one.peering not in limits or not _sane(one.as_path):
            found.ignored += 1
            continue
        refused[one.peering, prefix, _plain(one.reason)] = msgspec.structs.replace(
            one, prefix=prefix, reason=_plain(one.reason)
        )
    whole = table.refused_count <= len(table.refused)
    if whole:  # of a cut list nobody knows what is gone
        found.forgiven = [key for key in recorded.refused if key not in refused]
    room = MOST_ROUTES - len(recorded.refused) + len(found.forgiven)
    fresh = [one for key, one in refused.items() if key not in recorded.refused]
    found.refused = [one for at, one in enumerate(fresh) if at < room or severity(one.reason) == _ORDER[0]]
    return found


def severity(reason: str) -> str:
    """`high`, `medium` or `low`."""
    return _SEVERITY.get(reason, _ORDER[-1])


def rank(reason: str) -> int:
    """0 is worst."""
    return _ORDER.index(severity(reason))


def summary(reason: str) -> str:
    """The reason in words."""
    return _SUMMARY.get(reason, "refused routes")


def batches(items: Sequence[Item], size: int) -> Iterator[tuple[Item, ...]]:
    for start in range(0, len(items), size):
        yield tuple(items[start : start + size])


def _canonical(text: str) -> str | None:
    if "%" in text:  # a zone, of which Postgres knows nothing
        return None
    try:
        return str(ip_network(text))
    except ValueError:
        return None


def _sane(path: Sequence[int]) -> bool:
    return len(path) <= LONGEST_PATH and all(0 <= number < 2**32 for number in path)


def _plain(text: str) -> str:
    """Bounded, and without NUL, which Postgres does not take."""
    return text[:LONGEST_TEXT].replace("\0", "")
