"""`altnet revocations`: put a relay, a client, a key or a token out for good, and see what was put out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from altnet.common.errors import Invalid
from altnet.host.operator.options import Json, Network, api_of, given, group
from altnet.host.operator.output import show_list, show_one
from altnet_sdk.api.clients import list_clients
from altnet_sdk.api.relays import list_relays
from altnet_sdk.api.revocations import get_revocation, list_revocations
from altnet_sdk.api.revocations import revoke as revoke_operation
from altnet_sdk.models.revocation_kind import RevocationKind
from altnet_sdk.models.revocation_new import RevocationNew

revocations = group("Revocations: what was put out for good.")

COLUMNS = (
    ("AT", "revoked_at"),
    ("KIND", "kind"),
    ("NAME", "name"),
    ("KEY", "key"),
    ("IN USE", "still_in_use"),
    ("BY", "revoked_by"),
    ("REASON", "reason"),
    ("ID", "id"),
)


@revocations.command()
def revoke(
    context: typer.Context,
    relay: Annotated[str | None, typer.Option(help="A relay's name or id: cut off, with all of its keys")] = None,
    client: Annotated[str | None, typer.Option(help="A client's name or id: removed, with its key")] = None,
    key: Annotated[str | None, typer.Option(help="A public key, whoever has it")] = None,
    join_token: Annotated[str | None, typer.Option(help="A join token's id")] = None,
    api_token: Annotated[str | None, typer.Option(help="An API token's id")] = None,
    reason: Annotated[str, typer.Option(help="For the record")] = "",
    json_output: Json = False,
) -> None:
    """Put one thing out, for good. A relay's key that is revoked is rotated away; until then it says IN USE."""
    api = api_of(context)
    wanted = given(relay=relay, client=client, key=key, join_token=join_token, api_token=api_token)
    if len(wanted) != 1:
        raise Invalid("one_thing", "name exactly one of --relay, --client, --key, --join-token and --api-token.")
    if relay is not None:
        wanted["relay"] = api.find(list_relays.sync_detailed, relay, kind="relay").id
    if client is not None:
        wanted["client"] = api.find(list_clients.sync_detailed, client, kind="client").id
    body = RevocationNew.from_dict({**wanted, "reason": reason})
    show_one(api.ask(revoke_operation.sync_detailed, body=body), as_json=json_output)


@revocations.command("list")
def list_all(
    context: typer.Context,
    kind: Annotated[RevocationKind | None, typer.Option(help="Of this kind")] = None,
    key: Annotated[str | None, typer.Option(help="Of this public key")] = None,
    days: Annotated[float | None, typer.Option(min=0, help="Not older than so many days")] = None,
    network: Network = None,
    json_output: Json = False,
) -> None:
    """What was put out, newest first."""
    since = None if days is None else datetime.now(UTC) - timedelta(days=days)
    found = api_of(context).each(list_revocations.sync_detailed, kind=kind, key=key, network=network, since=since)
    show_list(found, COLUMNS, as_json=json_output)


@revocations.command()
def show(context: typer.Context, revocation: str, json_output: Json = False) -> None:
    """One revocation."""
    show_one(api_of(context).ask(get_revocation.sync_detailed, revocation), as_json=json_output)
