"""Limits of the whole host that a large lab runs into. They are read here, told, and set only when asked.

Both are global over all namespaces, so a lab cannot raise them for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from altnet.host.lab.topology import Spec

INOTIFY: Final = "fs.inotify.max_user_instances"
NEIGHBOURS: Final = "net.ipv6.neigh.default.gc_thresh3"
_OTHERS_INOTIFY: Final = 32
"""Instances left to everything else that root runs."""
_OTHERS_NEIGHBOURS: Final = 256


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A sysctl that is too low for a lab of the wanted size. `why` ends a sentence."""

    name: str
    found: int
    needed: int
    why: str


def needs(spec: Spec) -> dict[str, tuple[int, str]]:
    """Sysctl to the least value that the lab needs, and why."""
    # A relay has a mesh interface, a second one while keys rotate, and an access interface.
    userspace = 3 * spec.relays + spec.clients
    # Every link has a neighbour at both ends, and every cable of the internet one in each family.
    neighbours = spec.relays * max(0, spec.relays - 1) + 4 * (spec.relays + spec.clients + spec.homes + spec.routers)
    return {
        INOTIFY: (userspace + _OTHERS_INOTIFY, "each userspace WireGuard takes an inotify instance"),
        NEIGHBOURS: (neighbours + _OTHERS_NEIGHBOURS, "the table of IPv6 neighbours is one for all namespaces"),
    }


def too_low(spec: Spec, read: Callable[[str], int]) -> tuple[Limit, ...]:
    """What stands in the way of this lab; `read` gives a sysctl's present value."""
    found = {name: read(name) for name in needs(spec)}
    return tuple(
        Limit(name=name, found=found[name], needed=needed, why=why)
        for name, (needed, why) in needs(spec).items()
        if found[name] < needed
    )


def command(limits: Sequence[Limit]) -> str:
    """The one line that mends it."""
    return "sysctl -w " + " ".join(f"{limit.name}={_round(limit.needed)}" for limit in limits)


def read_sysctl(name: str) -> int:
    return int(_path(name).read_text())


def apply(limits: Sequence[Limit]) -> None:
    """Set them on this host."""
    for limit in limits:
        _path(limit.name).write_text(str(_round(limit.needed)))


def restore(before: Mapping[str, int]) -> None:
    """Set them to what they were."""
    for name, value in before.items():
        if read_sysctl(name) != value:
            _path(name).write_text(str(value))


def _path(name: str) -> Path:
    return Path("/proc/sys", *name.split("."))


def _round(value: int) -> int:
    """Up to a power of two: room to grow, and a number that people recognize."""
    return 1 << (value - 1).bit_length()
