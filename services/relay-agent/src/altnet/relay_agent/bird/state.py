"""What BIRD tells of itself, read into contracts. Pure; texts as BIRD 2.0.12 writes them.

Leaves out asking (control.py). Invariant: a line that is not understood is passed over; nothing here raises on what
a later BIRD may add.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from altnet.relay_agent.bird.control import Line

_PROTOCOL: Final = 1002
_DETAIL: Final = 1006
_BFD: Final = 1020
_ROUTE: Final = 1007

_ROUTES: Final = re.compile(r"Routes:\s+(?P<all>.*)")
_STATS: Final = re.compile(r"Import (?:updates|withdraws):\s+(?P<received>\d+)")
_CHANNEL: Final = re.compile(r"^\s*Channel (?P<name>\w+)$")
_CHANNEL_STATE: Final = re.compile(r"^\s*State:\s+(?P<state>\w+)")
_HIT: Final = re.compile(r"^\s*(?P<kind>Receive|Import|Export) limit:\s+\d+ \[HIT\]")
_COUNT: Final = re.compile(r"(\d+) (\w+)")
_HEAD: Final = re.compile(
    r"^(?P<prefix>\S+)?\s+(?P<kind>unicast|blackhole|unreachable|prohibited) "
    r"\[(?P<protocol>\S+) (?P<since>\S+(?: \S+)?)(?: from (?P<peer>\S+))?\]"
    r"(?P<best> [*!])? \((?P<preference>\d+)(?P<stale>s)?(?:/(?P<cost>\d+|\?))?\)"
)
_VIA: Final = re.compile(r"^\s*via (?P<via>\S+) on (?P<device>\S+?)(?: weight (?P<weight>\d+))?(?: .*)?$")
_DEVICE: Final = re.compile(r"^\s*dev (?P<device>\S+)(?: weight (?P<weight>\d+))?")
_ATTRIBUTE: Final = re.compile(r"^\s*(?P<name>[A-Za-z_][\w.]*): (?P<value>.*)$")


@dataclass(frozen=True, kw_only=True)
class ProtocolState:
    """One protocol of BIRD's."""

    name: str
    kind: str
    state: str
    """`up`, `start`, `down`, …"""
    since: datetime | None
    info: str
    """BGP: its state, and the last error."""
    imported: int = 0
    filtered: int = 0
    exported: int = 0
    heard: int = 0
    """Routes and withdrawals that came, of all time: unchanged, then so is what it tells."""
    channels: Mapping[str, str] = field(default_factory=dict)
    """State of each channel (`ipv6`, `ipv4`), lower case."""
    limits: frozenset[str] = frozenset()
    """Which were reached: `receive`, `import`, `export`."""


@dataclass(kw_only=True)
class Hop:
    """One next hop of a route."""

    device: str
    via: str = ""
    weight: int = 1


@dataclass(kw_only=True)
class KnownRoute:
    """A route that BIRD knows."""

    prefix: str
    protocol: str
    kind: str
    best: bool
    stale: bool
    cost: int | None
    """Summed; None where it has none."""
    in_kernel: bool = True
    """False: it is the best one, and the kernel does not take it."""
    hops: list[Hop] = field(default_factory=list)
    attributes: dict[str, str] = field(default_factory=dict)

    @property
    def as_path(self) -> tuple[int, ...]:
        text = self.attributes.get("BGP.as_path", "")
        return tuple(int(part) for part in text.split() if part.isdigit())

    @property
    def local_preference(self) -> int:
        text = self.attributes.get("BGP.local_pref", "")
        return int(text) if text.isdigit() else 0

    @property
    def origin(self) -> int:
        """1: from a relay, 2: from a peering, 0: neither."""
        text = self.attributes.get("altnet_from", "")
        return int(text) if text.isdigit() else 0


def protocols(lines: Iterable[Line]) -> dict[str, ProtocolState]:
    """The answer to `show protocols all`, by name."""
    found: dict[str, ProtocolState] = {}
    current = channel = ""
    for line in lines:
        if line.code == _PROTOCOL:
            parsed = _protocol(line.text)
            if parsed is not None:
                current, channel = parsed.name, ""
                found[current] = parsed
        elif line.code != _DETAIL or not current:
            continue
        elif (match := _CHANNEL.match(line.text)) is not None:
            channel = match["name"]
        else:
            found[current] = _with_detail(found[current], channel, line.text)
    return found


def _with_detail(known: ProtocolState, channel: str, text: str) -> ProtocolState:
    if (match := _ROUTES.search(text)) is not None:
        counts = {word: int(number) for number, word in _COUNT.findall(match["all"])}
        return replace(
            known,
            imported=known.imported + counts.get("imported", 0),
            filtered=known.filtered + counts.get("filtered", 0),
            exported=known.exported + counts.get("exported", 0),
        )
    if (match := _STATS.search(text)) is not None:
        return replace(known, heard=known.heard + int(match["received"]))
    if (match := _HIT.match(text)) is not None:
        return replace(known, limits=known.limits | {match["kind"].lower()})
    if channel and channel not in known.channels and (match := _CHANNEL_STATE.match(text)) is not None:
        return replace(known, channels={**known.channels, channel: match["state"].lower()})
    return known


def _protocol(text: str) -> ProtocolState | None:
    words = text.split()
    if len(words) < 6:
        return None
    name, kind, _, state, day, time = words[:6]
    return ProtocolState(name=name, kind=kind, state=state, since=instant(f"{day} {time}"), info=" ".join(words[6:]))


def instant(text: str) -> datetime | None:
    """A time as BIRD writes it, in the host's zone; None if it is none."""
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        return None


def bfd_sessions(lines: Iterable[Line]) -> dict[str, str]:
    """The answer to `show bfd sessions`: state, lower case, by interface: a link has one."""
    return {device: word for _, device, word in _bfd(lines)}


def bfd_neighbours(lines: Iterable[Line]) -> dict[str, str]:
    """The same by the neighbour's address, and by `address%interface`."""
    found: dict[str, str] = {}
    for address, device, word in _bfd(lines):
        found[address] = found[f"{address}%{device}"] = word
    return found


def _bfd(lines: Iterable[Line]) -> Iterator[tuple[str, str, str]]:
    for line in lines:
        words = line.text.split()
        if line.code == _BFD and len(words) >= 5 and words[0] != "IP":
            yield words[0], words[1], {"admindown": "admin_down"}.get(words[2].lower(), words[2].lower())


def routes(lines: Iterable[Line]) -> list[KnownRoute]:
    """The answer to `show route all`, in BIRD's order."""
    found: list[KnownRoute] = []
    prefix = ""
    for line in lines:
        head = _HEAD.match(line.text)
        if head is not None:
            prefix = head["prefix"] or prefix
            cost = head["cost"]
            found.append(
                KnownRoute(
                    prefix=prefix,
                    protocol=head["protocol"],
                    kind=head["kind"],
                    best=head["best"] is not None,
                    in_kernel=head["best"] != " !",
                    stale=head["stale"] is not None,
                    cost=int(cost) if cost is not None and cost.isdigit() else None,
                )
            )
        elif found and (via := _VIA.match(line.text)) is not None:
            found[-1].hops.append(Hop(device=via["device"], via=via["via"], weight=int(via["weight"] or 1)))
        elif found and (device := _DEVICE.match(line.text)) is not None:
            found[-1].hops.append(Hop(device=device["device"], weight=int(device["weight"] or 1)))
        elif found and (attribute := _ATTRIBUTE.match(line.text)) is not None:
            found[-1].attributes[attribute["name"]] = attribute["value"].strip()
    return found


def counts(found: Mapping[str, ProtocolState], names: Iterable[str]) -> int:
    """Routes that the named protocols got exported."""
    return sum(found[name].exported for name in names if name in found)
