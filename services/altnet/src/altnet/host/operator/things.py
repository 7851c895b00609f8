"""`altnet services`, `altnet sites` and `altnet peers`."""

from __future__ import annotations

from typing import Annotated

import typer
from altnet.host.operator.api import etag
from altnet.host.operator.options import Json, Network, api_of, body_of, given, group, pairs
from altnet.host.operator.output import show_list, show_one
from altnet.host.operator.relays import Name, confirm
from altnet_sdk.api.peers import list_peers
from altnet_sdk.api.services import list_services, register_service, remove_service, report_service_health
from altnet_sdk.api.sites import create_site, list_sites, remove_site
from altnet_sdk.models.health_report import HealthReport
from altnet_sdk.models.service_new import ServiceNew
from altnet_sdk.models.site_new import SiteNew

services = group("Services: something under a name, a port and an address of its own.")
sites = group("Sites: networks behind relays.")
peers = group("Peers: every relay and client with its addresses.")

SERVICE_COLUMNS = (
    ("NAME", "name"),
    ("ADDRESS", "address"),
    ("PORT", "port"),
    ("PROTOCOL", "protocol"),
    ("HEALTH", "health"),
    ("OWNER", "owner"),
    ("TAGS", "tags"),
    ("ID", "id"),
)
SITE_COLUMNS = (("NAME", "name"), ("PREFIXES", "prefixes"), ("RELAYS", "relays"), ("ID", "id"))
PEER_COLUMNS = (("NAME", "name"), ("KIND", "kind"), ("ADDRESSES", "addresses"), ("HEALTH", "health"), ("ID", "id"))

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask")]


@services.command("list")
def list_services_all(
    context: typer.Context,
    network: Network = None,
    tag: Annotated[str | None, typer.Option(help="Those with this tag")] = None,
    health: Annotated[str | None, typer.Option(help="passing, warning, critical or unknown")] = None,
    json_output: Json = False,
) -> None:
    """Every service."""
    found = api_of(context).each(list_services.sync_detailed, network=network, tag=tag, health=health)
    show_list(found, SERVICE_COLUMNS, as_json=json_output)


@services.command()
def register(
    context: typer.Context,
    name: Annotated[str, typer.Option(help="One label, as in DNS")],
    port: Annotated[int, typer.Option(min=1, max=65535)],
    protocol: Annotated[str, typer.Option(help="tcp or udp")] = "tcp",
    owner: Annotated[str | None, typer.Option(help="The relay or client that answers for it")] = None,
    address: Annotated[str | None, typer.Option(help="Where it is, if not under an address of its own")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Repeatable")] = None,
    network: Network = None,
    json_output: Json = False,
) -> None:
    """Give a service its name and address."""
    fields = given(
        name=name, port=port, protocol=protocol, owner=owner, address=address, tags=tag or None, network=network
    )
    made = api_of(context).ask(register_service.sync_detailed, body=body_of(ServiceNew, fields))
    show_one(made, as_json=json_output)


@services.command()
def health(
    context: typer.Context,
    service: Name,
    state: Annotated[str, typer.Argument(help="passing, warning, critical or unknown")],
    note: Annotated[str | None, typer.Option(help="Why")] = None,
    json_output: Json = False,
) -> None:
    """Report how it is."""
    api = api_of(context)
    found = api.find(list_services.sync_detailed, service, kind="service")
    body = body_of(HealthReport, given(health=state, note=note))
    show_one(api.ask(report_service_health.sync_detailed, found.id, body=body), as_json=json_output)


@services.command("remove")
def remove_one(context: typer.Context, service: Name, yes: Yes = False) -> None:
    """Take it out."""
    api = api_of(context)
    found = api.find(list_services.sync_detailed, service, kind="service")
    confirm(f"Remove the service {found.name}?", yes=yes)
    api.ask(remove_service.sync_detailed, found.id, if_match=etag(found.version))


@sites.command("list")
def list_sites_all(context: typer.Context, network: Network = None, json_output: Json = False) -> None:
    """Every site."""
    found = api_of(context).each(list_sites.sync_detailed, network=network)
    show_list(found, SITE_COLUMNS, as_json=json_output)


@sites.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Option()],
    prefix: Annotated[list[str], typer.Option(help="IPv6 or IPv4; repeatable")],
    relay: Annotated[list[str] | None, typer.Option(help="A relay that announces it; repeatable")] = None,
    network: Network = None,
    label: Annotated[list[str] | None, typer.Option(help="name=value; repeatable")] = None,
    json_output: Json = False,
) -> None:
    """Announce the networks behind one or several relays."""
    labels = pairs(label, field="/label")
    fields = given(name=name, prefixes=prefix, relays=relay or None, network=network, labels=labels)
    show_one(api_of(context).ask(create_site.sync_detailed, body=body_of(SiteNew, fields)), as_json=json_output)


@sites.command("remove")
def remove_site_one(context: typer.Context, site: Name, yes: Yes = False) -> None:
    """Announce it no longer."""
    api = api_of(context)
    found = api.find(list_sites.sync_detailed, site, kind="site")
    confirm(f"Remove the site {found.name}?", yes=yes)
    api.ask(remove_site.sync_detailed, found.id, if_match=etag(found.version))


@peers.command("list")
def list_peers_all(context: typer.Context, network: Network = None, json_output: Json = False) -> None:
    """Who is in the network, with addresses and state."""
    show_list(api_of(context).each(list_peers.sync_detailed, network=network), PEER_COLUMNS, as_json=json_output)
