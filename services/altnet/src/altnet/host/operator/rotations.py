"""`altnet rotations`: replace a network's keys of one kind, watch it, and stop it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from altnet.host.operator.api import Api
from altnet.host.operator.options import Json, Network, api_of, body_of, group
from altnet.host.operator.output import note, show_list, show_one
from altnet.host.operator.rotation_policies import policy
from altnet.host.operator.streaming import stream
from altnet_sdk.api.rotations import (
    get_rotation,
    list_rotations,
    pause_rotation,
    resume_rotation,
    roll_back_rotation,
    start_rotation,
)
from altnet_sdk.models.rotation import Rotation
from altnet_sdk.models.rotation_start import RotationStart

rotations = group("Rotations: a network's keys of one kind are replaced, without losing a packet.")
rotations.add_typer(policy, name="policy")

COLUMNS = (
    ("ID", "id"),
    ("KIND", "kind"),
    ("EPOCH", "epoch"),
    ("PHASE", "phase"),
    ("REASON", "reason"),
    ("WHY ENDED", "ended"),
    ("STARTED", "created_at"),
    ("BY", "created_by"),
)
AGAIN = 0.3
"""Seconds between two streams."""

Id = Annotated[str, typer.Argument(help="As `altnet rotations list` shows it")]


@rotations.command()
def start(
    context: typer.Context,
    network: Network = None,
    kind: Annotated[
        str,
        typer.Option(help="mesh: of relays among themselves; access: of relays, towards clients; client: of clients"),
    ] = "mesh",
    reason: Annotated[str, typer.Option(help="For the record")] = "on demand",
    grace: Annotated[
        float | None, typer.Option(min=1, help="Seconds for clients that do not follow by themselves")
    ] = None,
    canary: Annotated[int | None, typer.Option(min=1, help="Relays that go first, alone")] = None,
    wave: Annotated[int | None, typer.Option(min=1, help="Relays that follow at a time")] = None,
    silent: Annotated[str | None, typer.Option(help="leave or roll_back, where a relay does not answer")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow it to its end")] = False,
    json_output: Json = False,
) -> None:
    """Start one. Without options it goes by the network's policy."""
    given = {"canary": canary, "wave": wave, "silent": silent, "grace": grace}
    plan = {name: value for name, value in given.items() if value is not None}
    body: dict[str, Any] = {"kind": kind, "reason": reason, "network": network, **({"plan": plan} if plan else {})}
    started = api_of(context).ask(start_rotation.sync_detailed, body=body_of(RotationStart, body))
    if watch:
        _follow(context, started.id, as_json=json_output)
    else:
        show_one(started, as_json=json_output)


@rotations.command("list")
def list_all(context: typer.Context, network: Network = None, json_output: Json = False) -> None:
    """Every rotation, oldest first."""
    show_list(api_of(context).each(list_rotations.sync_detailed, network=network), COLUMNS, as_json=json_output)


@rotations.command()
def show(context: typer.Context, rotation: Id, json_output: Json = False) -> None:
    """One rotation, relay by relay."""
    show_one(api_of(context).ask(get_rotation.sync_detailed, rotation), as_json=json_output)


@rotations.command()
def watch(context: typer.Context, rotation: Id, json_output: Json = False) -> None:
    """Follow it to its end. Exit code 1 if it is rolled back."""
    _follow(context, rotation, as_json=json_output)


@rotations.command()
def pause(context: typer.Context, rotation: Id, json_output: Json = False) -> None:
    """Stop where it is; every link works on."""
    show_one(api_of(context).ask(pause_rotation.sync_detailed, rotation), as_json=json_output)


@rotations.command()
def resume(context: typer.Context, rotation: Id, json_output: Json = False) -> None:
    """Go on."""
    show_one(api_of(context).ask(resume_rotation.sync_detailed, rotation), as_json=json_output)


@rotations.command()
def rollback(context: typer.Context, rotation: Id, json_output: Json = False) -> None:
    """Return to the keys of before, which still work."""
    show_one(api_of(context).ask(roll_back_rotation.sync_detailed, rotation), as_json=json_output)


def _follow(context: typer.Context, rotation: str, *, as_json: bool) -> None:
    last = ""
    for found in _looks(api_of(context), rotation):
        text = json.dumps(found.to_dict()) if as_json else _words(found)
        if text != last:
            last = text
            if as_json:
                print(text, flush=True)
            else:
                note(text)
        if found.ended_at is not None:
            if found.phase != "done":
                raise typer.Exit(1)
            return


def _looks(api: Api, rotation: str) -> Iterator[Rotation]:
    """The rotation now and each time that it changes, to its end, by server-sent events. Raises what the API says."""
    found: Rotation = api.ask(get_rotation.sync_detailed, rotation)
    yield found
    while found.ended_at is None:
        for data in stream(api, f"/v1/rotations/{rotation}/watch"):
            yield (found := Rotation.from_dict(json.loads(data)))
        if found.ended_at is None:  # a proxy ended it, or the server, to look at the token again
            time.sleep(AGAIN)


def _words(found: Rotation) -> str:
    if found.kind == "client":
        counts = ", ".join(f"{name} {count}" for name, count in sorted(found.clients.to_dict().items()))
        return f"{found.phase}{' (paused)' if found.paused else ''}: {counts or 'nobody asked yet'}; {found.problem}"
    names = {part.relay: part.name for part in found.relays}
    taking = [part for part in found.relays if not part.left]
    text = f"{found.phase}{' (paused)' if found.paused else ''}, wave {found.wave}"
    text += f": {sum(part.stage == 'open' for part in taking)} of {len(taking)} relays changing over"
    text += f", {sum(part.switched for part in taking)} links by the next keys" if found.ended_at is None else ""
    waited = sum(part.behind for part in taking)
    if waited and found.ended_at is None:
        text += f", {waited} clients have until {found.until:%Y-%m-%d %H:%M}" if found.until else ""
    for part in found.relays:
        if part.left:
            text += f"; {part.name} is left behind: {part.left}"
    if found.ended:
        text += f"; rolled back: {found.ended} {', '.join(names.get(one, one) for one in found.blamed)}".rstrip()
    return f"{text}; {found.problem}" if found.problem else text
