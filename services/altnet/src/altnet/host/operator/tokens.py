"""`altnet join-tokens` and `altnet tokens`. Secrets are shown once, on standard output, for a file or a pipe."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from altnet.common.files import write_private
from altnet.host.operator.options import Json, Network, api_of, body_of, given, group, pairs
from altnet.host.operator.output import note, show_list, show_one
from altnet_sdk.api.tokens import (
    create_api_token,
    create_join_token,
    list_api_tokens,
    list_join_tokens,
    revoke_api_token,
    revoke_join_token,
)
from altnet_sdk.models.api_token_new import ApiTokenNew
from altnet_sdk.models.join_token_new import JoinTokenNew

join_tokens = group("Join tokens: what lets a new host in.")
tokens = group("API tokens: what lets a program ask the API.")

JOIN_COLUMNS = (
    ("KIND", "kind"),
    ("LEFT", "uses_left"),
    ("OF", "uses"),
    ("EXPIRES", "expires_at"),
    ("REVOKED", "revoked_at"),
    ("NOTE", "note"),
    ("ID", "id"),
)
API_COLUMNS = (
    ("NAME", "name"),
    ("ROLE", "role"),
    ("SCOPES", "scopes"),
    ("EXPIRES", "expires_at"),
    ("REVOKED", "revoked_at"),
    ("ID", "id"),
)

Out = Annotated[Path | None, typer.Option("--out", help="Write the secret there, mode 0600, and do not show it")]


@join_tokens.command("create")
def create_join(
    context: typer.Context,
    kind: Annotated[str, typer.Option(help="relay or client")] = "relay",
    uses: Annotated[int, typer.Option(min=1, help="How many hosts it lets in")] = 1,
    hours: Annotated[float, typer.Option(help="Until it expires")] = 24.0,
    label: Annotated[list[str] | None, typer.Option(help="name=value, put on what it lets in; repeatable")] = None,
    note_text: Annotated[str | None, typer.Option("--note", help="What it is for")] = None,
    network: Network = None,
    out: Out = None,
    json_output: Json = False,
) -> None:
    """Make a join token. Only its secret is printed, so that it can go into a file."""
    labels = pairs(label, field="/label")
    fields = given(kind=kind, uses=uses, lifetime=int(hours * 3600), labels=labels, note=note_text, network=network)
    made = api_of(context).ask(create_join_token.sync_detailed, body=body_of(JoinTokenNew, fields))
    _hand_over(made, out, json_output)


@join_tokens.command("list")
def list_join(context: typer.Context, json_output: Json = False) -> None:
    """Every join token; never a secret."""
    show_list(api_of(context).each(list_join_tokens.sync_detailed), JOIN_COLUMNS, as_json=json_output)


@join_tokens.command("revoke")
def revoke_join(context: typer.Context, token: str, json_output: Json = False) -> None:
    """Let nobody else in with it."""
    show_one(api_of(context).ask(revoke_join_token.sync_detailed, token), as_json=json_output)


@tokens.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Option(help="What it is for")],
    role: Annotated[str, typer.Option(help="owner, admin or auditor")] = "auditor",
    scope: Annotated[
        list[str] | None, typer.Option(help="relays:read, clients:write …; repeatable [default: all]")
    ] = None,
    days: Annotated[float, typer.Option(help="Until it expires")] = 90.0,
    out: Out = None,
    json_output: Json = False,
) -> None:
    """Make an API token."""
    expires = datetime.now(UTC) + timedelta(days=days)
    fields = given(name=name, role=role, scopes=scope or ["*"], expires_at=expires.isoformat())
    made = api_of(context).ask(create_api_token.sync_detailed, body=body_of(ApiTokenNew, fields))
    _hand_over(made, out, json_output)


@tokens.command("list")
def list_all(
    context: typer.Context,
    name: Annotated[str | None, typer.Option(help="Those of one name")] = None,
    usable: Annotated[bool | None, typer.Option("--usable/--void", help="Those that are good, or the others")] = None,
    json_output: Json = False,
) -> None:
    """Every API token; never a secret."""
    found = api_of(context).each(list_api_tokens.sync_detailed, name=name, usable=usable)
    show_list(found, API_COLUMNS, as_json=json_output)


@tokens.command()
def revoke(context: typer.Context, token: str, json_output: Json = False) -> None:
    """Void it at once."""
    show_one(api_of(context).ask(revoke_api_token.sync_detailed, token), as_json=json_output)


def _hand_over(made: Any, out: Path | None, json_output: bool) -> None:
    if out is not None:
        write_private(out, made.secret.encode() + b"\n")
        made.secret = ""
        note(f"secret written to {out}")
        if json_output:
            show_one(made, as_json=True)
        return
    if json_output:
        show_one(made, as_json=True)
        return
    note(f"{made.id}, expires {made.expires_at:%Y-%m-%d %H:%M} UTC; shown once:")
    print(made.secret)
