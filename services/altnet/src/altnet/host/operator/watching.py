"""`altnet mesh`, `altnet changes` and `altnet doctor`: is it as it should be, and if not, why."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated

import httpx
import typer
from altnet.common.errors import AltnetError
from altnet.host.operator.options import Json, Network, api_of, group
from altnet.host.operator.output import note, show_list, show_one
from altnet_sdk.api.changes import get_change, list_changes
from altnet_sdk.api.mesh import list_mesh
from altnet_sdk.api.networks import list_networks

changes = group("Changes: each accepted write, and how far it has been applied.")

CHANGE_COLUMNS = (
    ("NUMBER", "number"),
    ("AT", "at"),
    ("WHAT", "summary"),
    ("BY", "actor"),
    ("APPLIED", "applied"),
    ("OF", "concerned"),
    ("P99 s", "p99"),
)
MESH_COLUMNS = (
    ("RELAY", "name"),
    ("HEALTH", "health"),
    ("IN SYNC", "in_sync"),
    ("MESH", "applied_mesh.generation"),
    ("OF", "desired_mesh.generation"),
    ("OWN", "applied_document.generation"),
    ("OF", "desired_document.generation"),
    ("FAILED", "failed_count"),
    ("LAST SEEN", "last_seen"),
)
LONGEST_POLL = 10.0
"""Seconds that one question waits at the server: below every proxy's patience."""


@changes.command("list")
def list_all(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many, newest first")] = 20,
    json_output: Json = False,
) -> None:
    """The newest changes."""
    page = api_of(context).ask(list_changes.sync_detailed, limit=limit)
    show_list(page.items, CHANGE_COLUMNS, as_json=json_output)


@changes.command()
def show(
    context: typer.Context,
    number: int,
    wait: Annotated[bool, typer.Option("--wait", help="Until it is applied everywhere")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait at most")] = 60.0,
    json_output: Json = False,
) -> None:
    """One change: applied on how many of how many, how fast, who is behind. Exit code 1 if it is not complete."""
    api = api_of(context)
    until = time.monotonic() + timeout
    while True:
        left = until - time.monotonic()
        if not wait or left <= 0:
            found = api.ask(get_change.sync_detailed, number)
            break
        found = api.ask(get_change.sync_detailed, number, wait="applied", timeout=min(left, LONGEST_POLL))
        if found.complete:
            break
        note(f"applied on {found.applied} of {found.concerned}")
    show_one(found, as_json=json_output)
    if not found.complete:
        raise typer.Exit(1)


def mesh(context: typer.Context, network: Network = None, json_output: Json = False) -> None:
    """Desired and applied, relay by relay. Exit code 1 if one is not in sync."""
    found = list(api_of(context).each(list_mesh.sync_detailed, network=network))
    show_list(found, MESH_COLUMNS, as_json=json_output)
    for relay in found if not json_output else []:
        for reason in relay.reasons:
            note(f"{relay.name}: {reason.detail}")
    if not all(relay.in_sync for relay in found):
        raise typer.Exit(1)


def doctor(
    context: typer.Context,
    ready: Annotated[str | None, typer.Option(help="Only ask this address whether it is ready")] = None,
) -> None:
    """Ask every part how it is, and say what to do. Exit code 1 if something is wrong."""
    if ready is not None:
        raise typer.Exit(0 if _ask_ready(ready).ready else 1)
    api = api_of(context)
    asked = _ask_ready(str(api.client.get_httpx_client().base_url))
    try:
        networks = list(api.each(list_networks.sync_detailed))
        print(f"ok    token accepted, {len(networks)} network(s)")
        behind = [relay for relay in api.each(list_mesh.sync_detailed) if not relay.in_sync]
    except AltnetError as error:
        print(f"WRONG {error}")
        raise typer.Exit(1) from None
    for relay in behind:
        print(f"WRONG {relay.name}: {'; '.join(reason.detail for reason in relay.reasons)}")
    if not behind:
        print("ok    every relay is as desired")
    if behind or not asked.ready or asked.remarks:
        raise typer.Exit(1)


@dataclass(frozen=True)
class _Asked:
    ready: bool
    remarks: int = 0
    """What somebody has to look at although requests succeed."""


def _ask_ready(url: str) -> _Asked:
    try:
        answer = httpx.get(f"{url.rstrip('/')}/readyz", timeout=5.0)
        said = answer.json()
        parts, remarks = said["parts"], said.get("remarks", {})
    except (httpx.HTTPError, ValueError, KeyError) as error:
        print(f"WRONG {url} does not answer: {error}. Start it with `altnet up`.")
        return _Asked(ready=False)
    for name, state in parts.items():
        print(f"{'ok   ' if state == 'ok' else 'WRONG'} {name}: {state}")
    for name, state in remarks.items():
        print(f"WRONG {name}: {state}")
    return _Asked(ready=answer.status_code == 200, remarks=len(remarks))
