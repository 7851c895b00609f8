"""The options that operators' commands share, and the API that they lead to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol, Self, TypeVar

import typer
from altnet.common.errors import Invalid, NotFound

if TYPE_CHECKING:
    from altnet.host.operator.api import Api

Json = Annotated[bool, typer.Option("--json", help="JSON on standard output")]
_WORDS: Final = re.compile(r"Unexpected value (.*)\. Expected one of \{(.*)\}")
"""How the generated client says that a word is none of an enumeration."""

Network = Annotated[str | None, typer.Option(help="A network's name or id [default: the first]")]


class _FromDict(Protocol):
    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self: ...


_Body = TypeVar("_Body", bound=_FromDict)


def remember(
    context: typer.Context,
    api: Annotated[str | None, typer.Option(envvar="ALTNET_API", help="The API's address")] = None,
    token_file: Annotated[Path | None, typer.Option(help="File with an access or API token")] = None,
) -> None:
    """Altnet: a private IPv6 network of your own."""

    def reach() -> Api:
        from altnet.host.operator.api import connect  # with the generated client, which other commands do not need

        return connect(api, token_file)

    context.obj = reach


def api_of(context: typer.Context) -> Api:
    """The API that the command line names, until the command ends. Raises `Unauthenticated` (`no_token`)."""
    found: Api = context.obj()
    context.call_on_close(found.close)
    return found


def network_of(api: Api, wanted: str | None) -> Any:
    """The network of that name or identifier; None: the first. Raises `NotFound` (`no_such_network`)."""
    from altnet_sdk.api.networks import list_networks  # as in `remember`

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


def body_of(kind: type[_Body], fields: Mapping[str, Any]) -> _Body:
    """A request's body. Raises `Invalid` (`bad_value`) for a word that is none of those that the field may have."""
    try:
        return kind.from_dict(fields)
    except TypeError as error:
        words = _WORDS.search(str(error))
        if words is None:
            raise
        field = next((f"/{name}" for name, value in fields.items() if repr(value) == words[1]), None)
        known = sorted(word.strip().strip("'") for word in words[2].split(","))
        raise Invalid("bad_value", f"{words[1]} is none of {', '.join(known)}.", field=field) from None


def given(**fields: object) -> dict[str, object]:
    """The fields that were given; None is not."""
    return {name: value for name, value in fields.items() if value is not None}
