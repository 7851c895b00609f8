"""`altnet identities`: who the hosts are by their keys, and letting in those that nothing proves."""

from __future__ import annotations

from typing import Annotated

import typer
from altnet.host.operator.options import Json, api_of, group
from altnet.host.operator.output import show_list, show_one
from altnet.host.operator.relays import Name
from altnet_sdk.api.identities import approve_identity, get_identity, list_identities
from altnet_sdk.models.approval import Approval
from altnet_sdk.models.identity_state import IdentityState

identities = group("Identities: hosts by their keys, as keyd knows them.")

COLUMNS = (
    ("NAME", "name"),
    ("STATE", "state"),
    ("REASON", "reason"),
    ("FINGERPRINT", "fingerprint"),
    ("LAST CONTACT", "contact_at"),
    ("CONFIRMED BY", "confirmed_by"),
    ("ID", "id"),
)


@identities.command("list")
def list_all(
    context: typer.Context,
    state: Annotated[IdentityState | None, typer.Option(help="Those in this state")] = None,
    json_output: Json = False,
) -> None:
    """Every identity, with its fingerprint."""
    show_list(api_of(context).each(list_identities.sync_detailed, state=state), COLUMNS, as_json=json_output)


@identities.command()
def show(context: typer.Context, identity: Name, json_output: Json = False) -> None:
    """One identity, with every key that it had."""
    api = api_of(context)
    found = api.find(list_identities.sync_detailed, identity, kind="identity")
    show_one(api.ask(get_identity.sync_detailed, found.id), as_json=json_output)


@identities.command()
def approve(
    context: typer.Context,
    identity: Name,
    fingerprint: Annotated[str, typer.Option(help="As `altnet-agent status` shows it on the host itself")],
    json_output: Json = False,
) -> None:
    """Vouch for a pending host whose fingerprint you compared on the host itself."""
    api = api_of(context)
    found = api.find(list_identities.sync_detailed, identity, kind="identity")
    done = api.ask(approve_identity.sync_detailed, found.id, body=Approval(fingerprint=fingerprint))
    show_one(done, as_json=json_output)
