"""`altnet routes` and `altnet path`: where packets go, as the relays say at this moment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

import typer
from altnet.host.operator.api import Api
from altnet.host.operator.options import Json, Network, api_of, given, group
from altnet.host.operator.output import note, show_list, show_one
from altnet.host.operator.relays import Name
from altnet_sdk.api.peerings import list_peerings
from altnet_sdk.api.relays import list_relays
from altnet_sdk.api.routing import (
    get_path,
    list_learned_routes,
    list_refused_routes,
    list_relay_routes,
    list_relay_sessions,
)

routes = group("Routes: what a relay does with packets, and what routers outside told.")

LEARNED_COLUMNS: Final = (
    ("PREFIX", "prefix"),
    ("PATH", "as_path"),
    ("NEXT HOP", "next_hop"),
    ("PEERING", "peering_name"),
    ("RELAY", "relay_name"),
    ("SINCE", "since"),
)
REFUSED_COLUMNS: Final = (
    ("PREFIX", "prefix"),
    ("REASON", "reason"),
    ("SEVERITY", "severity"),
    ("PATH", "as_path"),
    ("PEERING", "peering_name"),
    ("RELAY", "relay_name"),
    ("SINCE", "since"),
)
SESSION_COLUMNS: Final = (
    ("WITH", "neighbour"),
    ("STATE", "state"),
    ("SINCE", "since"),
    ("BFD", "bfd"),
    ("RECEIVED", "received"),
    ("REFUSED", "refused"),
    ("SENT", "sent"),
    ("COST", "cost"),
    ("PROBLEM", "problem"),
)
ROUTE_COLUMNS: Final = (
    ("", "mark"),
    ("PREFIX", "prefix"),
    ("TO", "to"),
    ("COST", "cost"),
    ("SOURCE", "source"),
    ("WHY", "why"),
)
HOP_COLUMNS: Final = (
    ("HOP", "depth"),
    ("RELAY", "relay"),
    ("OUTCOME", "outcome"),
    ("PREFIX", "prefix"),
    ("TO", "to"),
    ("COST", "cost"),
    ("WHY", "why"),
)

Relay = Annotated[str | None, typer.Option(help="Told to this relay")]
Peering = Annotated[str | None, typer.Option(help="Told by this peering's neighbour")]
Within = Annotated[str | None, typer.Option(help="Prefixes inside this one")]


class _Row(dict[str, Any]):
    """A line for `show_list`."""

    def to_dict(self) -> dict[str, Any]:
        return self


@routes.command("list")
def list_all(
    context: typer.Context,
    relay: Name,
    to: Annotated[str | None, typer.Option(help="Only those that packets to this address or prefix can take")] = None,
    json_output: Json = False,
) -> None:
    """A relay's routes, asked of it now; * marks those that packets take."""
    api = api_of(context)
    found = api.find(list_relays.sync_detailed, relay, kind="relay")
    table = list(_routes(api, found.id, to))
    if json_output:
        show_list(table, (), as_json=True)
        return
    names = _names(api, table)
    show_list([_line(route.to_dict(), names) for route in table], ROUTE_COLUMNS, as_json=False)


@routes.command()
def sessions(context: typer.Context, relay: Name, json_output: Json = False) -> None:
    """A relay's BGP sessions, with other relays and with routers outside."""
    api = api_of(context)
    found = api.find(list_relays.sync_detailed, relay, kind="relay")
    told = api.ask(list_relay_sessions.sync_detailed, found.id)
    if json_output:
        show_one(told, as_json=True)
        return
    show_list([*told.sessions, *told.peerings], SESSION_COLUMNS, as_json=False)
    routing = told.to_dict()["routing"]
    if routing is None:
        note("altnet: it has not said anything of its routing.")
    elif routing["problem"]:
        note(f"altnet: {routing['problem']}")


@routes.command()
def learned(
    context: typer.Context,
    network: Network = None,
    relay: Relay = None,
    peering: Peering = None,
    within: Within = None,
    asn: Annotated[int | None, typer.Option(help="Anywhere in the path")] = None,
    json_output: Json = False,
) -> None:
    """Routes that routers outside told and that were accepted."""
    api = api_of(context)
    options = given(network=network, within=within, asn=asn, **_told_by(api, relay, peering))
    show_list(api.each(list_learned_routes.sync_detailed, **options), LEARNED_COLUMNS, as_json=json_output)


@routes.command()
def refused(
    context: typer.Context,
    network: Network = None,
    relay: Relay = None,
    peering: Peering = None,
    within: Within = None,
    reason: Annotated[str | None, typer.Option(help="own_prefix, default_route, not_in_rules, …")] = None,
    json_output: Json = False,
) -> None:
    """Routes that routers outside tell and that filters refuse."""
    api = api_of(context)
    options = given(network=network, within=within, reason=reason, **_told_by(api, relay, peering))
    show_list(api.each(list_refused_routes.sync_detailed, **options), REFUSED_COLUMNS, as_json=json_output)


def path(
    context: typer.Context,
    start: Annotated[str, typer.Argument(metavar="FROM", help="Relay, client or service: name, id or address")],
    goal: Annotated[str, typer.Argument(metavar="TO", help="The same, or any address")],
    network: Network = None,
    json_output: Json = False,
) -> None:
    """Follow a packet from relay to relay, and say why each sends it where it does. Fails if it does not arrive."""
    api = api_of(context)
    found = api.ask(get_path.sync_detailed, from_=start, to=goal, network=network)
    if json_output:
        show_one(found, as_json=True)
    else:
        names = {hop.relay: hop.name or hop.relay for hop in found.hops}
        show_list([_hop(hop.to_dict(), names) for hop in found.hops], HOP_COLUMNS, as_json=False)
        way = " > ".join(names.get(relay, relay) for relay in found.relays)
        note(f"altnet: {way}: {found.detail}")
    if not found.complete:
        raise typer.Exit(1)


def _routes(api: Api, relay: str, to: str | None) -> Iterator[Any]:
    after: str | None = None
    while True:
        page = api.ask(list_relay_routes.sync_detailed, relay, to=to, after=after)
        yield from page.routes
        after = page.next_after
        if after is None:
            return


def _names(api: Api, table: list[Any]) -> Mapping[str, str]:
    """Names of the relays and peerings that routes lead to, where there are any."""
    ways = [way for route in table for way in route.next_hops]
    names: dict[str, str] = {}
    if any(way.relay for way in ways):
        names |= {relay.id: relay.name for relay in api.each(list_relays.sync_detailed)}
    if any(way.peering for way in ways):
        names |= {peering.id: peering.name for peering in api.each(list_peerings.sync_detailed)}
    return names


def _line(route: dict[str, Any], names: Mapping[str, str]) -> _Row:
    return _Row(route, mark="*" if route["used"] else " ", to=_to(route["next_hops"], names))


def _hop(hop: dict[str, Any], names: Mapping[str, str]) -> _Row:
    route = hop["route"] or {}
    return _Row(
        depth=hop["depth"],
        relay=names[hop["relay"]],
        outcome=hop["outcome"],
        prefix=route.get("prefix"),
        to=_to(route.get("next_hops", ()), names) or None,
        cost=route.get("cost"),
        why=hop["detail"] or route.get("why"),
    )


def _to(ways: Any, names: Mapping[str, str]) -> str:
    said = []
    for way in ways:
        where = way["relay"] or way["peering"] or way["device"]
        said.append(names.get(where, where) + (f" ×{way['weight']}" if way["weight"] != 1 else ""))
    return ", ".join(said)


def _told_by(api: Api, relay: str | None, peering: str | None) -> dict[str, str]:
    found = {}
    if relay:
        found["relay"] = str(api.find(list_relays.sync_detailed, relay, kind="relay").id)
    if peering:
        found["peering"] = str(api.find(list_peerings.sync_detailed, peering, kind="peering").id)
    return found
