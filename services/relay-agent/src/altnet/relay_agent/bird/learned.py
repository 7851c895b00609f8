"""What routers outside told: as a table, as a digest of it, and how the sessions with them are.

Pure; from what state.py has read. Whether and why a route was refused is what BIRD's filter noted on it, so this never
has an opinion of its own. Leaves out asking BIRD (answers.py).

Invariant: the digest changes exactly if the table does, whatever the order in which BIRD lists its routes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
from altnet.common.contracts.routing import (
    MOST_ROUTES,
    Family,
    LearnedRoute,
    LearnedTable,
    Peering,
    RefusedRoute,
    SessionStatus,
)
from altnet.common.net import FIRST_ASN
from altnet.relay_agent.bird.peerings import MOST_REFUSED, ORIGIN_TAG, Refusal, peering_name
from altnet.relay_agent.bird.state import KnownRoute, ProtocolState

MOST_COMMUNITIES: Final = 64
"""Of one route, in an answer."""
_TEXT: Final = 512
_WORST: Final = (Refusal.OWN_PREFIX, Refusal.SITE_PREFIX, Refusal.DEFAULT_ROUTE)
_TRIPLE: Final = re.compile(r"\((\w+), *(\w+)(?:, *(\w+))?\)")


def table(learned: Mapping[str, Iterable[KnownRoute]], refused: Mapping[str, Iterable[KnownRoute]]) -> LearnedTable:
    """The answer, from what BIRD has of each peering. Of the refused ones the worst are named first."""
    told = sorted(
        (_learned(peering, route) for peering, routes in learned.items() for route in routes),
        key=lambda one: (one.peering, one.prefix, one.as_path, one.next_hop, one.communities),
    )
    ranked = sorted(
        ((_rank(route), _refused(peering, route)) for peering, routes in refused.items() for route in routes),
        key=lambda item: (item[0], item[1].peering, item[1].prefix, item[1].as_path),
    )
    digest = hashlib.sha256()
    for one in (*told, *(one for _, one in ranked)):
        digest.update(msgspec.json.encode(one) + b"\n")
    return LearnedTable(
        # Nothing has no digest: nobody need ask a relay that never had a peering.
        digest=digest.hexdigest()[:32] if told or ranked else "",
        learned=tuple(told),
        refused=tuple(one for _, one in ranked[:MOST_ROUTES]),
        refused_count=len(ranked),
    )


NOTHING: Final = table({}, {})


def outside_origin(route: KnownRoute) -> int | None:
    """The AS outside that a route comes from; None for one of the mesh's own."""
    for first, second, third in _TRIPLE.findall(route.attributes.get("BGP.large_community", "")):
        if (first, second) == (str(FIRST_ASN), str(ORIGIN_TAG)) and third.isdigit():
            return int(third)
    return None


def _learned(peering: str, route: KnownRoute) -> LearnedRoute:
    # With a link-local neighbour the first of two is unspecified.
    hop = [one for one in route.attributes.get("BGP.next_hop", "").split() if one != "::"]
    return LearnedRoute(
        peering=peering,
        prefix=route.prefix,
        as_path=route.as_path,
        next_hop=hop[0] if hop else "",
        communities=_communities(route.attributes),
    )


def _refused(peering: str, route: KnownRoute) -> RefusedRoute:
    return RefusedRoute(peering=peering, prefix=route.prefix, as_path=route.as_path, reason=_reason(route))


def _code(route: KnownRoute) -> int:
    text = route.attributes.get("altnet_refused", "")
    return int(text) if text.isdigit() else 0


def _reason(route: KnownRoute) -> str:
    try:
        return Refusal(_code(route)).word
    except ValueError:
        return "refused"


def _rank(route: KnownRoute) -> int:
    code = _code(route)
    if code in _WORST:
        return _WORST.index(Refusal(code))
    # Last what is our own word: many routers send it back.
    return len(_WORST) + (code == Refusal.PATH_LOOP)


def _communities(attributes: Mapping[str, str]) -> tuple[str, ...]:
    """Standard ones as `65010:1`, large ones as `65010:1:2`; without the tags of our own."""
    found: list[str] = []
    for name in ("BGP.community", "BGP.large_community"):
        every = _TRIPLE.findall(attributes.get(name, ""))
        found += [":".join(part for part in parts if part) for parts in every if parts[0] != str(FIRST_ASN)]
    return tuple(found[:MOST_COMMUNITIES])


def session(
    peering: Peering,
    known: ProtocolState | None,
    bfd: Mapping[str, str],
    *,
    now: datetime,
    refusal: str = "",
    bad_signatures: bool = False,
) -> SessionStatus:
    """How a peering's session is. `refusal`: why it is not configured. `bad_signatures`: the host's kernel has lately
    thrown away TCP packets whose MD5 signature was wrong, missing or not expected."""
    if refusal or known is None:
        return SessionStatus(
            neighbour=peering.id, state="down", problem=(refusal or "BIRD does not have it yet")[:_TEXT]
        )
    word, _, trouble = known.info.partition(" ")
    state = (word or known.state).lower()
    since = None if known.since is None else max(0.0, (now - known.since).total_seconds())
    where = f"{peering.address}%{peering.interface}" if peering.interface else peering.address
    return SessionStatus(
        neighbour=peering.id,
        state=state,
        bfd=bfd.get(where, "down") if peering.bfd else "",
        since=since,
        received=known.imported,
        refused=known.filtered,
        sent=known.exported,
        problem=_problem(peering, known, state, trouble.strip(), bad_signatures)[:_TEXT],
    )


def _problem(peering: Peering, known: ProtocolState, state: str, trouble: str, bad_signatures: bool) -> str:
    said = [trouble] if trouble else []
    if "Route limit" in trouble or known.limits & {"import", "receive"}:
        most = peering.import_limit
        said = [f"over {most} routes of one family accepted, or {most + MOST_REFUSED} sent: taken down, tried later"]
    if state == "established":
        if "export" in known.limits:
            said.append(f"more than {peering.export_limit} routes are to be announced: the rest is left out")
        said += [
            f"the neighbour does not carry {family}"
            for family in Family
            if family in peering.families and known.channels.get(family, "up") != "up"
        ]
    elif bad_signatures:
        said.append(
            "wrong password? TCP packets with a wrong MD5 signature were thrown away"
            if peering.password
            else "packets come with an MD5 signature: does the neighbour expect a password?"
        )
    elif peering.password and state in ("connect", "active") and not trouble.startswith("Received"):
        said.append("no answer: the neighbour is away, or has another password")
    return "; ".join(said)


class Signatures:
    """Whether the kernel of this host throws away TCP packets for their MD5 signatures: the only trace that a wrong
    password leaves. Its counters are of all connections, so they say something only of sessions that are down."""

    def __init__(
        self, *, window: float, monotonic: Callable[[], float], path: Path = Path("/proc/self/net/netstat")
    ) -> None:
        """`window`: seconds for which a rise counts."""
        self._window = window
        self._monotonic = monotonic
        self._path = path
        self._last: int | None = None
        self._risen: float | None = None

    def bad(self) -> bool:
        """Whether the counters have risen within the window."""
        now, count = self._monotonic(), self._count()
        if self._last is not None and count > self._last:
            self._risen = now
        self._last = count
        return self._risen is not None and now - self._risen <= self._window

    def _count(self) -> int:
        try:
            lines = self._path.read_text().splitlines()
        except OSError:
            return 0
        for names, values in zip(lines[::2], lines[1::2], strict=False):
            if names.startswith("TcpExt:"):
                found = dict(zip(names.split()[1:], values.split()[1:], strict=False))
                return sum(int(found.get(f"TCPMD5{kind}", 0)) for kind in ("Failure", "NotFound", "Unexpected"))
        return 0


def by_protocol(routes: Iterable[KnownRoute], peerings: Sequence[str]) -> dict[str, list[KnownRoute]]:
    """Routes of each peering, by BIRD's word of which session they came by."""
    names = {peering_name(peering): peering for peering in peerings}
    found: dict[str, list[KnownRoute]] = {peering: [] for peering in peerings}
    for route in routes:
        if (peering := names.get(route.protocol)) is not None:
            found[peering].append(route)
    return found
