"""`altnet rotations policy`: when a network's keys rotate by themselves."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from altnet.common.errors import Invalid
from altnet.host.operator.api import Api
from altnet.host.operator.options import Json, Network, api_of, given, group, network_of
from altnet.host.operator.output import show_list, show_one
from altnet_sdk.api.rotations import list_rotation_policies, set_rotation_policy
from altnet_sdk.models.policy_wish import PolicyWish

policy = group("When a network's keys rotate by themselves: by age, at a new owner's key, on suspicion.")

COLUMNS = (
    ("NETWORK", "network"),
    ("KIND", "kind"),
    ("MAX AGE", "max_age"),
    ("JITTER", "jitter"),
    ("NEW OWNER", "on_new_owner"),
    ("SUSPICION", "on_suspicion"),
    ("NEXT", "due_at"),
    ("BY", "updated_by"),
)
WISH = ("max_age", "jitter", "on_new_owner", "on_suspicion", "plan")
"""What of a policy is set; the rest of it follows."""


@policy.command()
def show(context: typer.Context, network: Network = None, json_output: Json = False) -> None:
    """The policies that were set. A kind of keys without one rotates on demand, and when a key of it is revoked."""
    api = api_of(context)
    of = given(network=network_of(api, network).id if network is not None else None)
    show_list(api.each(list_rotation_policies.sync_detailed, **of), COLUMNS, as_json=json_output)


@policy.command("set")
def set_(
    context: typer.Context,
    network: Network = None,
    kind: Annotated[str, typer.Option(help="mesh, access or client, as with `altnet rotations start`")] = "mesh",
    max_age: Annotated[float | None, typer.Option(min=60, help="Seconds until keys are old")] = None,
    no_max_age: Annotated[bool, typer.Option("--no-max-age", help="Age starts nothing")] = False,
    jitter: Annotated[float | None, typer.Option(min=0, max=1, help="Share of the age by which it varies")] = None,
    on_new_owner: Annotated[
        bool | None, typer.Option(help="Whether a new owner of the network lock starts one")
    ] = None,
    on_suspicion: Annotated[
        bool | None, typer.Option(help="Whether a revoked key, or another lock that is shown to a relay, starts one")
    ] = None,
    grace: Annotated[
        float | None, typer.Option(min=1, help="Seconds for clients that do not follow by themselves")
    ] = None,
    canary: Annotated[int | None, typer.Option(min=1, help="Relays that go first, alone")] = None,
    wave: Annotated[int | None, typer.Option(min=1, help="Relays that follow at a time")] = None,
    silent: Annotated[str | None, typer.Option(help="leave or roll_back, where a relay does not answer")] = None,
    json_output: Json = False,
) -> None:
    """Set one. What is not given stays as it is."""
    if no_max_age and max_age is not None:
        raise Invalid("two_ages", "either an age is given, or there is none.", field="/max_age")
    api = api_of(context)
    id = network_of(api, network).id
    wish = _present(api, id, kind)
    wish |= given(max_age=max_age, jitter=jitter, on_new_owner=on_new_owner, on_suspicion=on_suspicion)
    wish |= {"max_age": None} if no_max_age else {}
    plan = given(canary=canary, wave=wave, silent=silent, grace=grace)
    if plan:
        wish["plan"] = {**wish.get("plan", {}), **plan}
    body = PolicyWish.from_dict(wish)
    show_one(api.ask(set_rotation_policy.sync_detailed, id, kind=kind, body=body), as_json=json_output)


def _present(api: Api, network: str, kind: str) -> dict[str, Any]:
    for one in api.each(list_rotation_policies.sync_detailed, network=network):
        if one.kind == kind:
            return {name: value for name, value in one.to_dict().items() if name in WISH}
    return {}
