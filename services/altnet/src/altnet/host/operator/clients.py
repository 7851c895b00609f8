"""`altnet clients`: what attaches to a relay with plain WireGuard.

The key pair is made here, so the private key never reaches the server; it goes into the file or the QR code only.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from altnet.common.errors import Conflict
from altnet.common.files import write_private
from altnet.common.keys import PrivateKey
from altnet.host.operator.api import etag
from altnet.host.operator.joining import Files, filled
from altnet.host.operator.joining import join as join_registry
from altnet.host.operator.options import Json, Network, api_of, body_of, given, group, pairs
from altnet.host.operator.output import note, show_list, show_one
from altnet.host.operator.relays import Name, confirm
from altnet_sdk.api.clients import (
    change_client,
    create_client,
    get_client_config,
    list_clients,
    rank_client_relays,
    remove_client,
)
from altnet_sdk.models.client_new import ClientNew
from altnet_sdk.models.client_patch import ClientPatch

clients = group("Clients: laptops and phones that attach to a relay.")

COLUMNS = (("NAME", "name"), ("ADDRESS", "address"), ("RELAY", "relay"), ("EXPIRES", "expires_at"), ("ID", "id"))
FILES = ("config", "config_svg", "config_svg_missing")
"""Of the answer to a new client: what it has only where the registry made the key pair."""


@clients.command("list")
def list_all(
    context: typer.Context,
    network: Network = None,
    relay: Annotated[str | None, typer.Option(help="Those of one relay")] = None,
    json_output: Json = False,
) -> None:
    """Every client."""
    found = api_of(context).each(list_clients.sync_detailed, network=network, relay=relay)
    show_list(found, COLUMNS, as_json=json_output)


@clients.command()
def show(context: typer.Context, client: Name, json_output: Json = False) -> None:
    """One client."""
    show_one(api_of(context).find(list_clients.sync_detailed, client, kind="client"), as_json=json_output)


@clients.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Option(help="One label, as in DNS")],
    relay: Annotated[str | None, typer.Option(help="Where it attaches [default: the best]")] = None,
    movable: Annotated[bool, typer.Option("--movable", help="It runs altnetd, and may go to a second relay")] = False,
    standby: Annotated[str | None, typer.Option(help="Its second relay [default: the best, if movable]")] = None,
    network: Network = None,
    region: Annotated[str | None, typer.Option()] = None,
    label: Annotated[list[str] | None, typer.Option(help="name=value; repeatable")] = None,
    key: Annotated[str | None, typer.Option(help="Its public key, if it made one itself")] = None,
    config: Annotated[Path | None, typer.Option(help="Write the wg-quick file there, mode 0600")] = None,
    qr: Annotated[bool, typer.Option("--qr", help="Show the configuration as QR code in the terminal")] = False,
    json_output: Json = False,
) -> None:
    """Let a client in. Its key pair is made here unless --key gives the public one."""
    api = api_of(context)
    private = None if key else PrivateKey.generate()
    public = key or (private.public().base64 if private else "")
    labels = pairs(label, field="/label")
    wishes = given(relay=relay, standby=standby, network=network, region=region, labels=labels)
    body = body_of(ClientNew, {"name": name, "key": public, "movable": movable, **wishes})
    made = api.ask(create_client.sync_detailed, body=body)
    if private is None:
        show_one(made, as_json=json_output, leave_out=FILES)
        return
    text = filled(str(api.ask(get_client_config.sync_detailed, made.id)), private)
    if config is not None:
        write_private(config, text.encode())
        note(f"configuration with its private key: {config}")
    shown = qr and _show_code(text)
    show_one(made, as_json=json_output, leave_out=FILES)
    if config is None and not shown and (qr or not json_output):
        note("its configuration, shown once; the private key is nowhere else:")
        sys.stdout.write("\n" + text)


@clients.command()
def join(
    registry: Annotated[str, typer.Option(help="The registry's address")],
    token_file: Annotated[Path, typer.Option(help="File with a join token of kind client")],
    name: Annotated[str, typer.Option(help="One label, as in DNS")],
    config: Annotated[Path, typer.Option(help="Write the wg-quick file there, mode 0600")],
    secret_file: Annotated[
        Path | None, typer.Option(help="Write the client's own token there, mode 0600 [default: <config>.token]")
    ] = None,
    region: Annotated[str | None, typer.Option(help="Where this machine is")] = None,
    label: Annotated[list[str] | None, typer.Option(help="name=value; repeatable")] = None,
    json_output: Json = False,
) -> None:
    """Make this machine a client, by a join token alone. Repeating it is safe: the file's key is the same client."""
    files = Files(config=config, secret=secret_file or config.with_name(config.name + ".token"))
    body = given(name=name, region=region, labels=pairs(label, field="/label"))
    answer = join_registry(registry, body, files, token_file=token_file)
    note(f"configuration with its private key: {files.config}")
    note(f"token by which this client asks about itself: {files.secret}")
    show_one(answer.client, as_json=json_output)


@clients.command()
def config(context: typer.Context, client: Name) -> None:
    """Its wg-quick file, with a placeholder where its private key belongs."""
    api = api_of(context)
    found = api.find(list_clients.sync_detailed, client, kind="client")
    sys.stdout.write(str(api.ask(get_client_config.sync_detailed, found.id)))


@clients.command("relays")
def rank(context: typer.Context, client: Name, json_output: Json = False) -> None:
    """Which relays suit it, best first, and why."""
    api = api_of(context)
    found = api.find(list_clients.sync_detailed, client, kind="client")
    ranking = api.ask(rank_client_relays.sync_detailed, found.id)
    columns = (("RELAY", "name"), ("USABLE", "usable"), ("SCORE", "score"), ("WHY", "reasons"))
    show_list(ranking.relays, columns, as_json=json_output)


@clients.command()
def move(
    context: typer.Context,
    client: Name,
    relay: Annotated[str, typer.Option(help="Where it attaches from now on")],
    json_output: Json = False,
) -> None:
    """Attach it to another relay; it keeps its address."""
    api = api_of(context)
    found = api.find(list_clients.sync_detailed, client, kind="client")
    body = body_of(ClientPatch, {"relay": relay})
    show_one(
        api.ask(change_client.sync_detailed, found.id, body=body, if_match=etag(found.version)), as_json=json_output
    )


@clients.command()
def remove(
    context: typer.Context,
    client: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask")] = False,
) -> None:
    """Take it out; its address rests before another one gets it."""
    api = api_of(context)
    found = api.find(list_clients.sync_detailed, client, kind="client")
    confirm(f"Remove {found.name} ({found.address})?", yes=yes)
    api.ask(remove_client.sync_detailed, found.id, if_match=etag(found.version))


def _show_code(text: str) -> bool:
    """Show it as a QR code if it fits one, and say why if it does not."""
    from altnet.registry.domain.codes import code_of

    try:
        code = code_of(text)
    except Conflict as error:
        note(f"no QR code: {error}")
        return False
    code.terminal(compact=True)
    return True
