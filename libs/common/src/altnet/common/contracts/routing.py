"""Routing, as it is told: external peerings that a relay shall hold, what its routing engine says, and its answers.

A relay tells numbers and a digest with each heartbeat; tables are long, so they are asked for (`Ask`). A question
goes to one relay on a subject on which only services may speak, and its answer goes back once.

Invariant: nothing in here decides a path. The registry says who may originate what, BIRD decides, and this tells.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

import msgspec

Text = Annotated[str, msgspec.Meta(max_length=512)]
Asn = Annotated[int, msgspec.Meta(ge=1, le=4_294_967_294)]
Length = Annotated[int, msgspec.Meta(ge=0, le=128)]

MOST_ROUTES: Final = 1000
"""Routes in one answer; the rest is asked for with `after`."""


class Engine(StrEnum):
    """What decides a relay's paths."""

    BIRD = "bird"
    STATIC = "static"
    """No routing daemon: direct links only, and loudly said so."""


class Family(StrEnum):
    IPV6 = "ipv6"
    IPV4 = "ipv4"


class PrefixRule(msgspec.Struct, frozen=True, kw_only=True):
    """Prefixes inside `prefix` whose length is in `shortest` … `longest`."""

    prefix: Annotated[str, msgspec.Meta(max_length=64)]
    shortest: Length
    longest: Length


class Peering(msgspec.Struct, frozen=True, kw_only=True):
    """A BGP session of one relay with a router outside (RFC 4271). What no rule names is refused, both ways."""

    id: str
    name: str
    address: Annotated[str, msgspec.Meta(max_length=64)]
    """The neighbour's."""
    asn: Asn
    """The neighbour's AS number."""
    interface: Annotated[str, msgspec.Meta(max_length=15)] = ""
    """For a link-local neighbour: where it is."""
    source: Annotated[str, msgspec.Meta(max_length=64)] = ""
    """Our end; empty: what the routing table says."""
    local_asn: Asn | None = None
    """What we call ourselves; None: the relay's own private number."""
    families: tuple[Family, ...] = (Family.IPV6,)
    imports: tuple[PrefixRule, ...] = ()
    exports: tuple[PrefixRule, ...] = ()
    import_limit: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1000
    """Routes of one family; beyond it the session is taken down and tried again later."""
    export_limit: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1000
    password: Annotated[str, msgspec.Meta(max_length=1024)] = ""
    """TCP MD5 (RFC 2385), sealed for this relay's identity key (`altnet.common.seal`); empty: none."""
    bfd: bool = False
    multihop: Annotated[int, msgspec.Meta(ge=0, le=255)] = 0
    """Most hops to the neighbour; 0: it is on a network of ours."""
    ttl_security: bool = False
    """RFC 5082: packets that were forwarded are refused."""
    passive: bool = False
    hold_time: Annotated[int, msgspec.Meta(ge=3, le=65535)] = 90
    """Seconds."""
    restart_time: Annotated[int, msgspec.Meta(ge=0, le=4095)] = 120
    """Seconds for which routes outlive the neighbour's restart (RFC 4724); 0: they do not."""
    preference: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 100
    """LOCAL_PREF of what it tells, among peerings that tell the same."""
    enabled: bool = True


class SessionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One BGP session, as this end sees it: with a relay (`neighbour` is its id) or a peering's."""

    neighbour: Text
    state: Text
    """BIRD's word, lower case: `established`, `active`, `connect`, `idle`, `down`, …"""
    bfd: Text = ""
    """`up`, `down`, `init`, `admin_down`; empty: no BFD here."""
    since: float | None = None
    """Seconds in this state."""
    received: int = 0
    """Routes that passed the import filter."""
    refused: int = 0
    """Routes that did not."""
    sent: int = 0
    cost: int | None = None
    """What the link adds to a path's cost: microseconds and penalties."""
    problem: Text = ""


class RoutingStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A relay's routing, in a heartbeat."""

    engine: Engine
    version: Text = ""
    healthy: bool = True
    problem: Text = ""
    """Why it is not as it should be: the reason of a refused configuration, a missing program."""
    sessions: tuple[SessionStatus, ...] = ()
    peerings: tuple[SessionStatus, ...] = ()
    routes: int = 0
    """In the kernel, of the engine's making."""
    learned_digest: Annotated[str, msgspec.Meta(max_length=64)] = ""
    """Changes when what peerings told or were refused changes; the registry then asks (`LEARNED`)."""


ROUTES: Final = "routes"
"""Verb: `RouteQuery` → `RouteTable`."""
LEARNED: Final = "learned"
"""Verb: `RouteQuery` → `LearnedTable`."""


class RouteQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which routes. `to`: an address or prefix, and then only the routes that its packets can take."""

    to: Annotated[str, msgspec.Meta(max_length=64)] = ""
    after: Annotated[str, msgspec.Meta(max_length=64)] = ""
    """The last prefix of the answer before."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_ROUTES)] = MOST_ROUTES


class NextHop(msgspec.Struct, frozen=True, kw_only=True):
    """One way out. Exactly one of `relay`, `peering` and `device` says where it leads."""

    relay: Text = ""
    peering: Text = ""
    device: Text = ""
    """An interface of the host: clients, a site, itself (`lo`)."""
    weight: int = 1


class RouteView(msgspec.Struct, frozen=True, kw_only=True):
    """A route that a relay knows, used or not."""

    prefix: str
    next_hops: tuple[NextHop, ...]
    used: bool
    """Whether packets take it."""
    source: Text
    """`own`, `mesh`, `peering`, `static` or `unreachable`."""
    as_path: tuple[int, ...] = ()
    cost: int | None = None
    """Summed along the path (AIGP, RFC 7311)."""
    why: Text = ""
    """Why it is used, or what another one has over it."""


class RouteTable(msgspec.Struct, frozen=True, kw_only=True):
    """An answer to `ROUTES`, sorted by prefix; `more`: ask again with `after`."""

    engine: Engine
    routes: tuple[RouteView, ...]
    more: bool = False


class LearnedRoute(msgspec.Struct, frozen=True, kw_only=True):
    """What a router outside told."""

    peering: str
    prefix: str
    as_path: tuple[int, ...] = ()
    next_hop: Text = ""
    communities: tuple[Text, ...] = ()


class RefusedRoute(msgspec.Struct, frozen=True, kw_only=True):
    """What a router outside told, and a filter refused."""

    peering: str
    prefix: str
    as_path: tuple[int, ...] = ()
    reason: Text
    """`default_route`, `own_prefix`, `not_in_rules`, `path_loop`, …"""


class LearnedTable(msgspec.Struct, frozen=True, kw_only=True):
    """An answer to `LEARNED`: whole, since limits bound it. At most `MOST_ROUTES` refused ones are named."""

    digest: str
    learned: tuple[LearnedRoute, ...] = ()
    refused: tuple[RefusedRoute, ...] = ()
    refused_count: int = 0
