"""`altnet rotations`: replace a network's keys, of one kind or all of them, watch it, and stop it."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from altnet.common.errors import NotFound
from altnet.host.operator.following import follow
from altnet.host.operator.options import Json, Network, api_of, body_of, group
from altnet.host.operator.output import show_list, show_one
from altnet.host.operator.rotation_policies import policy
from altnet_sdk.api.rotations import (
    get_rotation,
    list_rotations,
    pause_rotation,
    resume_rotation,
    roll_back_rotation,
    start_all_rotations,
    start_rotation,
)
from altnet_sdk.models.rotation_start import RotationStart
from altnet_sdk.models.rotations_start import RotationsStart

rotations = group("Rotations: a network's keys are replaced, kind by kind, without losing a packet.")
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
ALL = "all"
"""Instead of a kind: one rotation of each."""

Id = Annotated[str, typer.Argument(help="As `altnet rotations list` shows it")]


@rotations.command()
def start(
    context: typer.Context,
    network: Network = None,
    kind: Annotated[
        str,
        typer.Option(
            help="mesh: of relays among themselves; access: of relays, towards clients; client: of clients; "
            "all: a rotation of each, or none"
        ),
    ] = "mesh",
    reason: Annotated[str, typer.Option(help="For the record")] = "on demand",
    grace: Annotated[
        float | None, typer.Option(min=1, help="Seconds for clients that do not follow by themselves")
    ] = None,
    canary: Annotated[int | None, typer.Option(min=1, help="Relays that go first, alone")] = None,
    wave: Annotated[int | None, typer.Option(min=1, help="Relays that follow at a time")] = None,
    silent: Annotated[str | None, typer.Option(help="leave or roll_back, where a relay does not answer")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow to the end")] = False,
    json_output: Json = False,
) -> None:
    """Start one, or one of each kind. Without options they go by the network's policies."""
    given = {"canary": canary, "wave": wave, "silent": silent, "grace": grace}
    plan = {name: value for name, value in given.items() if value is not None}
    body: dict[str, Any] = {"reason": reason, "network": network, **({"plan": plan} if plan else {})}
    api = api_of(context)
    if kind == ALL:
        started = api.ask(start_all_rotations.sync_detailed, body=body_of(RotationsStart, body)).rotations
    else:
        started = [api.ask(start_rotation.sync_detailed, body=body_of(RotationStart, {"kind": kind, **body}))]
    if watch:
        follow(api, [one.id for one in started], as_json=json_output)
    elif kind == ALL:
        show_list(started, COLUMNS, as_json=json_output)
    else:
        show_one(started[0], as_json=json_output)


@rotations.command("list")
def list_all(context: typer.Context, network: Network = None, json_output: Json = False) -> None:
    """Every rotation, oldest first."""
    show_list(api_of(context).each(list_rotations.sync_detailed, network=network), COLUMNS, as_json=json_output)


@rotations.command()
def show(context: typer.Context, rotation: Id, json_output: Json = False) -> None:
    """One rotation, relay by relay."""
    show_one(api_of(context).ask(get_rotation.sync_detailed, rotation), as_json=json_output)


@rotations.command()
def watch(
    context: typer.Context,
    rotation: Annotated[
        list[str] | None, typer.Argument(help="As `altnet rotations list` shows them [default: all that are open]")
    ] = None,
    network: Network = None,
    json_output: Json = False,
) -> None:
    """Follow them to their end. Exit code 1 if one is rolled back, 5 if none is open."""
    api = api_of(context)
    wanted = rotation or [
        one.id for one in api.each(list_rotations.sync_detailed, network=network) if one.ended_at is None
    ]
    if not wanted:
        raise NotFound("no_open_rotation", "no rotation is under way.", mend="See `altnet rotations list`.")
    follow(api, wanted, as_json=json_output)


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
