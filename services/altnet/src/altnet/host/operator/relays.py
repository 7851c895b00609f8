"""`altnet relays` and `altnet networks`."""

from __future__ import annotations

from typing import Annotated

import typer
from altnet.host.operator.api import etag
from altnet.host.operator.options import Json, Network, api_of, body_of, given, group, pairs
from altnet.host.operator.output import note, show_list, show_one
from altnet_sdk.api.links import list_relay_links
from altnet_sdk.api.networks import change_network, create_network, list_networks
from altnet_sdk.api.relays import change_relay, get_relay_metrics, list_relays, revoke_relay
from altnet_sdk.models.network_new import NetworkNew
from altnet_sdk.models.network_patch import NetworkPatch
from altnet_sdk.models.relay_patch import RelayPatch

relays = group("Relays: the hosts that form the mesh.")
networks = group("Networks: a prefix and what holds for all of its relays.")

Name = Annotated[str, typer.Argument(help="Name or id")]

RELAY_COLUMNS = (
    ("NAME", "name"),
    ("ADDRESS", "address"),
    ("CLIENTS", "client_prefix"),
    ("HEALTH", "health"),
    ("STATE", "state"),
    ("REGION", "region"),
    ("LAST SEEN", "last_seen"),
    ("ID", "id"),
)
LINK_COLUMNS = (
    ("ONE", "one.name"),
    ("OTHER", "other.name"),
    ("MS", "latency"),
    ("KIND", "kind"),
    ("WHY", "why"),
)
NETWORK_COLUMNS = (("NAME", "name"), ("PREFIX", "prefix"), ("RELAYS", "relays"), ("CLIENTS", "clients"), ("ID", "id"))


@relays.command("list")
def list_all(
    context: typer.Context,
    network: Network = None,
    region: Annotated[str | None, typer.Option()] = None,
    revoked: Annotated[bool, typer.Option(help="Those that were revoked")] = False,
    json_output: Json = False,
) -> None:
    """Every relay, with its address and how it is."""
    found = api_of(context).each(list_relays.sync_detailed, network=network, region=region, revoked=revoked)
    show_list(found, RELAY_COLUMNS, as_json=json_output)


@relays.command()
def show(context: typer.Context, relay: Name, json_output: Json = False) -> None:
    """One relay."""
    show_one(api_of(context).find(list_relays.sync_detailed, relay, kind="relay"), as_json=json_output)


@relays.command()
def metrics(context: typer.Context, relay: Name, json_output: Json = False) -> None:
    """Its last heartbeats: load, memory, links."""
    api = api_of(context)
    found = api.find(list_relays.sync_detailed, relay, kind="relay")
    told = api.ask(get_relay_metrics.sync_detailed, found.id)
    columns = (
        ("AT", "at"),
        ("HEALTH", "health"),
        ("LOAD", "load"),
        ("MEMORY", "memory_used"),
        ("FAILED", "failed_count"),
    )
    if json_output:
        show_one(told, as_json=True)
    else:
        show_list(told.samples, columns, as_json=False)


@relays.command()
def links(context: typer.Context, relay: Name, json_output: Json = False) -> None:
    """Its links to other relays, and why each exists."""
    api = api_of(context)
    found = api.find(list_relays.sync_detailed, relay, kind="relay")
    show_list(api.each(list_relay_links.sync_detailed, found.id), LINK_COLUMNS, as_json=json_output)


@relays.command()
def drain(context: typer.Context, relay: Name, json_output: Json = False) -> None:
    """Take it out of service: no new clients, no transit."""
    _patch(context, relay, {"state": "draining"}, json_output)


@relays.command()
def activate(context: typer.Context, relay: Name, json_output: Json = False) -> None:
    """Put it back into service."""
    _patch(context, relay, {"state": "active"}, json_output)


@relays.command("set")
def change(
    context: typer.Context,
    relay: Name,
    name: Annotated[str | None, typer.Option()] = None,
    region: Annotated[str | None, typer.Option()] = None,
    weight: Annotated[int | None, typer.Option(help="Share of clients that it takes")] = None,
    endpoint: Annotated[list[str] | None, typer.Option(help="host:port; repeatable")] = None,
    label: Annotated[list[str] | None, typer.Option(help="name=value; repeatable")] = None,
    json_output: Json = False,
) -> None:
    """Change what an operator decides of it."""
    labels = pairs(label, field="/label")
    fields = given(name=name, region=region, weight=weight, endpoints=endpoint or None, labels=labels)
    _patch(context, relay, fields, json_output)


@relays.command()
def revoke(
    context: typer.Context,
    relay: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask")] = False,
    json_output: Json = False,
) -> None:
    """Throw it out for good: its credentials are void at once, its tunnels come down."""
    api = api_of(context)
    found = api.find(list_relays.sync_detailed, relay, kind="relay")
    confirm(f"Revoke {found.name} ({found.address}) for good?", yes=yes)
    show_one(api.ask(revoke_relay.sync_detailed, found.id, if_match=etag(found.version)), as_json=json_output)


@networks.command("list")
def list_networks_all(context: typer.Context, json_output: Json = False) -> None:
    """Every network."""
    show_list(api_of(context).each(list_networks.sync_detailed), NETWORK_COLUMNS, as_json=json_output)


@networks.command()
def create(
    context: typer.Context,
    name: str,
    prefix: Annotated[str | None, typer.Option(help="A /48 in fd00::/8 [default: a random one]")] = None,
    json_output: Json = False,
) -> None:
    """Make another network."""
    body = body_of(NetworkNew, given(name=name, prefix=prefix))
    show_one(api_of(context).ask(create_network.sync_detailed, body=body), as_json=json_output)


@networks.command("set")
def change_settings(
    context: typer.Context,
    network: Name,
    mtu: Annotated[int | None, typer.Option(help="Of the mesh interface, bytes")] = None,
    access_mtu: Annotated[int | None, typer.Option(help="Of clients, bytes")] = None,
    keepalive: Annotated[int | None, typer.Option(help="Seconds")] = None,
    heartbeat: Annotated[float | None, typer.Option(help="Seconds between an agent's reports")] = None,
    probe: Annotated[float | None, typer.Option(help="Seconds between probes of a link")] = None,
    bfd_interval: Annotated[float | None, typer.Option(help="Seconds between signs of life on a link")] = None,
    bfd_multiplier: Annotated[int | None, typer.Option(help="Missing ones until a link counts as dead")] = None,
    restart_time: Annotated[int | None, typer.Option(help="Seconds that routes outlive a routing engine")] = None,
    preshared_keys: Annotated[
        str | None, typer.Option(help="Pre-shared keys between relays: off, on, or required")
    ] = None,
    preshared_refresh: Annotated[int | None, typer.Option(help="Seconds between two of a pair: 120 to 86400")] = None,
    json_output: Json = False,
) -> None:
    """Change what holds for every relay of it."""
    api = api_of(context)
    found = api.find(list_networks.sync_detailed, network, kind="network")
    settings = given(
        mtu=mtu,
        access_mtu=access_mtu,
        keepalive=keepalive,
        heartbeat=heartbeat,
        probe=probe,
        bfd_interval=bfd_interval,
        bfd_multiplier=bfd_multiplier,
        restart_time=restart_time,
        preshared_keys=preshared_keys,
        preshared_refresh=preshared_refresh,
    )
    body = body_of(NetworkPatch, {"settings": settings})
    made = api.ask(change_network.sync_detailed, found.id, body=body, if_match=etag(found.version))
    show_one(made, as_json=json_output)


def confirm(question: str, *, yes: bool) -> None:
    """Ask a person; where there is none, refuse without `--yes`."""
    import sys

    if yes:
        return
    if not sys.stdin.isatty():
        note("altnet: this cannot be undone; say --yes")
        raise typer.Exit(2)
    typer.confirm(question, abort=True)


def _patch(context: typer.Context, relay: str, fields: dict[str, object], json_output: bool) -> None:
    api = api_of(context)
    found = api.find(list_relays.sync_detailed, relay, kind="relay")
    body = body_of(RelayPatch, fields)
    show_one(
        api.ask(change_relay.sync_detailed, found.id, body=body, if_match=etag(found.version)), as_json=json_output
    )
