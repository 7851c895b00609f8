"""The groups of the `altnet` command, each imported when its name is on the command line.

All of them together are half a second of imports, which `altnet up` and each line of a script would pay for code that
they do not use. Help and completion name every command, so they import all. Invariant: a group is in `GROUPS` or
`COMMANDS` and nowhere else.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

import typer
from altnet.common import heap
from typer.core import TyperGroup
from typer.main import get_command, get_group

GROUPS: Final = {
    "networks": "operator.relays:networks",
    "relays": "operator.relays:relays",
    "clients": "operator.clients:clients",
    "services": "operator.things:services",
    "sites": "operator.things:sites",
    "peerings": "operator.peerings:peerings",
    "routes": "operator.routing:routes",
    "peers": "operator.things:peers",
    "identities": "operator.identities:identities",
    "keys": "operator.keys:keys",
    "revocations": "operator.revocations:revocations",
    "rotations": "operator.rotations:rotations",
    "lock": "operator.lock:lock",
    "join-tokens": "operator.tokens:join_tokens",
    "tokens": "operator.tokens:tokens",
    "changes": "operator.watching:changes",
    "lab": "lab.cli:app",
    "admin": "admin.cli:app",
}
"""Name → where the `typer.Typer` is, in this package."""
COMMANDS: Final = {
    "path": "operator.routing:path",
    "mesh": "operator.watching:mesh",
    "doctor": "operator.watching:doctor",
}
"""Name → where the function is."""


class LazyGroup(TyperGroup):
    """A group that has, beside its own commands, those of `GROUPS` and `COMMANDS`."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *COMMANDS, *GROUPS]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        try:
            return self._load(ctx, cmd_name)
        finally:
            heap.settle(collect=False)  # most commands are over before garbage would be looked for

    def _load(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in GROUPS:
            found = get_group(_at(GROUPS[cmd_name]))
        elif cmd_name in COMMANDS:
            alone = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
            alone.command(cmd_name)(_at(COMMANDS[cmd_name]))
            return get_command(alone)
        else:
            return super().get_command(ctx, cmd_name)
        found.name = cmd_name
        return found


def _at(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(f"altnet.host.{module}"), name)
