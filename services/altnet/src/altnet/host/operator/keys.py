"""`altnet keys`: every key that hosts have or had, and keyd's own, by which hosts know keyd."""

from __future__ import annotations

from typing import Annotated

import typer
from altnet.host.operator.options import Json, api_of, group
from altnet.host.operator.output import show_list, show_one
from altnet_sdk.api.identities import list_identities
from altnet_sdk.api.keyd import get_keyd_keys, rotate_keyd_key
from altnet_sdk.api.keys import list_keys
from altnet_sdk.models.host_key_use import HostKeyUse
from altnet_sdk.models.key_rotation import KeyRotation
from altnet_sdk.models.key_use import KeyUse

keys = group("Keys: public halves of every key that a host has or had, and of keyd's own.")

COLUMNS = (
    ("NAME", "name"),
    ("USE", "use"),
    ("KEY", "key"),
    ("SINCE", "added_at"),
    ("UNTIL", "removed_at"),
    ("WHY", "why"),
)
KEYD_COLUMNS = (
    ("USE", "use"),
    ("KEY", "key"),
    ("CURRENT", "current"),
    ("ANSWERS UNTIL", "answers_until"),
)


@keys.command("list")
def list_all(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Those of one host: its name or id")] = None,
    use: Annotated[HostKeyUse | None, typer.Option(help="Those for this use")] = None,
    key: Annotated[str | None, typer.Option(help="This key: whose is it, or was it")] = None,
    in_use: Annotated[bool | None, typer.Option("--in-use/--former", help="Only those, or only the others")] = None,
    json_output: Json = False,
) -> None:
    """Every key with its history, newest first."""
    api = api_of(context)
    identity = api.find(list_identities.sync_detailed, host, kind="identity").id if host is not None else None
    found = api.each(list_keys.sync_detailed, identity=identity, use=use, key=key, in_use=in_use)
    show_list(found, COLUMNS, as_json=json_output)


@keys.command()
def keyd(context: typer.Context, json_output: Json = False) -> None:
    """keyd's own keys and their fingerprint, to compare with `altnet-agent status` on a host."""
    found = api_of(context).ask(get_keyd_keys.sync_detailed)
    if json_output:
        show_one(found, as_json=True)
        return
    show_list(found.keys, KEYD_COLUMNS, as_json=False)
    print(f"fingerprint  {found.fingerprint}")


@keys.command("rotate-keyd")
def rotate_keyd(
    context: typer.Context,
    use: Annotated[KeyUse, typer.Option(help="Which one")],
    overlap: Annotated[
        float | None, typer.Option(min=0, help="Seconds for which the replaced key still answers; 0 after a theft")
    ] = None,
    json_output: Json = False,
) -> None:
    """Replace one of keyd's own keys; hosts follow by the old signing key's signature."""
    wish = KeyRotation(use=use) if overlap is None else KeyRotation(use=use, overlap=overlap)
    show_one(api_of(context).ask(rotate_keyd_key.sync_detailed, body=wish), as_json=json_output)
