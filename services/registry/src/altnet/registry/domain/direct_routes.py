"""The routes of a relay without a routing engine, computed from what it was told: direct links and nothing else.

The same rules as the agent's own: neighbours' addresses over their link, of two that originate the same prefix the one
with the lower slot, and an unreachable route for whatever else is the network's.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Final

from altnet.common.contracts.desired import MeshSnapshot, RelayDocument, RelayEntry, neighbours
from altnet.common.contracts.routing import Engine, NextHop, RouteQuery, RouteTable, RouteView
from altnet.common.errors import Invalid
from altnet.common.net import AddressPlan, Prefix, parse_prefix
from altnet.common.origins import check_origin, covered

OWN: Final = "own"
STATIC: Final = "static"
UNREACHABLE: Final = "unreachable"

ITSELF: Final = NextHop(device="lo")
CLIENTS: Final = NextHop(device="alta0")
HOST: Final = NextHop(device="host")
"""Whatever the host's own routes say: a site behind it."""


def direct_routes(relay: str, mesh: MeshSnapshot, document: RelayDocument, query: RouteQuery) -> RouteTable:
    """What a relay that runs `Engine.STATIC` answers to `query`. Raises `Invalid` for a query that names no prefix."""
    plan = AddressPlan(ip_network(mesh.prefix))  # type: ignore[arg-type]  # the registry's own, an IPv6 /48
    here = next((entry for entry in mesh.relays if entry.id == relay), None)
    found: list[tuple[Prefix, RouteView]] = []
    if here is not None:
        found += _own(here, plan, document)
    for there in sorted(neighbours(mesh.relays, document), key=lambda entry: entry.slot):
        way = (NextHop(relay=there.id),)
        for text in _originated(there, plan):
            prefix = parse_prefix(text)
            taken = next((route for other, route in found if other == prefix and route.used), None)
            why = "direct link" if taken is None else f"{_holder(taken)} is preferred"
            found.append(
                (prefix, RouteView(prefix=str(prefix), next_hops=way, used=taken is None, source=STATIC, why=why))
            )
    rest = RouteView(
        prefix=str(plan.prefix),
        next_hops=(),
        used=True,
        source=UNREACHABLE,
        why="no routing engine, and no direct link to it",
    )
    found.append((plan.prefix, rest))
    if query.to:
        wanted = _target(query.to)
        found = [one for one in found if _holds(one[0], wanted)]
    ordered = sorted(found, key=lambda one: (_place(one[0]), not one[1].used))
    if query.after:
        last = _place(_target(query.after, field="/after"))
        ordered = [one for one in ordered if _place(one[0]) > last]
    shown = ordered[: query.limit]
    while shown and len(ordered) > len(shown) and ordered[len(shown)][0] == shown[-1][0]:
        shown.append(ordered[len(shown)])  # a prefix is never cut in two, since `after` names it
    return RouteTable(engine=Engine.STATIC, routes=tuple(route for _, route in shown), more=len(ordered) > len(shown))


def _own(here: RelayEntry, plan: AddressPlan, document: RelayDocument) -> list[tuple[Prefix, RouteView]]:
    attached = {address for client in document.clients for address in client.addresses}
    own: dict[str, NextHop] = {
        f"{plan.relay_address(here.slot)}/128": ITSELF,
        f"{plan.access_address(here.slot)}/128": ITSELF,
        str(plan.client_prefix(here.slot)): CLIENTS,
    }
    for text in here.origins:
        if text in attached:
            own[text] = CLIENTS
        else:
            inside = text.endswith("/128") and ip_address(text[:-4]) in plan.prefix
            own[text] = ITSELF if inside else HOST
    return [
        (parse_prefix(text), RouteView(prefix=text, next_hops=(way,), used=True, source=OWN, why="its own"))
        for text, way in own.items()
    ]


def _originated(there: RelayEntry, plan: AddressPlan) -> list[str]:
    own = (f"{plan.relay_address(there.slot)}/128", str(plan.client_prefix(there.slot)))
    return list(dict.fromkeys((*own, *(text for text in there.origins if _is_had(there, text)))))


def _is_had(there: RelayEntry, text: str) -> bool:
    """Whether agents take this origin: what an endpoint has moved into, they leave out."""
    try:
        return covered(check_origin(parse_prefix(text)), there.endpoints) is None
    except Invalid:
        return False


def _holder(route: RouteView) -> str:
    return route.next_hops[0].relay or "its own"


def _target(text: str, *, field: str = "/to") -> Prefix:
    try:
        return ip_network(text)
    except ValueError:
        raise Invalid(
            "bad_prefix", "not an address or prefix.", field=field, mend="Write it like fd42:1337:beef::7."
        ) from None


def _holds(prefix: Prefix, wanted: Prefix) -> bool:
    return prefix.version == wanted.version and prefix.supernet_of(wanted)  # type: ignore[arg-type]  # one version


def _place(prefix: Prefix) -> tuple[int, int, int]:
    return prefix.version, int(prefix.network_address), prefix.prefixlen
