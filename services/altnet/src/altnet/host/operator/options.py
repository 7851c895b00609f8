"""The options that operators' commands share, and the API that they lead to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from altnet.common.errors import Invalid, NotFound
from altnet.host.operator.api import Api, connect
from altnet_sdk.api.networks import list_networks

Json = Annotated[bool, typer.Option("--json", help="JSON on standard output")]
Network = Annotated[str | None, typer.Option(help="A network's name or id [default: the first]")]


def remember(
    context: typer.Context,
    api: Annotated[str | None, typer.Option(envvar="ALTNET_API", help="The API's address")] = None,
    token_file: Annotated[Path | None, typer.Option(help="File with an access or API token")] = None,
) -> None:
    """Altnet: a private IPv6 network of your own."""
    context.obj = lambda: connect(api, token_file)


def api_of(context: typer.Context) -> Api:
    """The API that the command line names. Raises `Unauthenticated` (`no_token`)."""
    found: Api = context.obj()
    return found


def network_of(api: Api, wanted: str | None) -> Any:
    """The network of that name or identifier; None: the first. Raises `NotFound` (`no_such_network`)."""
    found = list(api.each(list_networks.sync_detailed))
    if wanted is None and found:
        return found[0]
    fitting = [one for one in found if wanted in (one.id, one.name)]
    if not fitting:
        raise NotFound("no_such_network", f"there is no network {wanted}.", mend="See `altnet networks list`.")
    return fitting[0]


def group(help: str) -> typer.Typer:
    """A group of commands."""
    return typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=help)


def pairs(values: list[str] | None, *, field: str) -> dict[str, str] | None:
    """`name=value` options as a mapping. Raises `Invalid` (`bad_pair`)."""
    if not values:
        return None
    found = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise Invalid("bad_pair", f"{text!r} is not name=value.", field=field)
        found[name] = value
    return found


def given(**fields: object) -> dict[str, object]:
    """The fields that were given; None is not."""
    return {name: value for name, value in fields.items() if value is not None}
