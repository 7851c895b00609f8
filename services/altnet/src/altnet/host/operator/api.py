"""The way to the API: where it is, who asks, and what its problems mean here.

Every request goes through the generated client (`altnet_sdk`), so a fault of the API's document shows at once.
Leaves out what is printed. Invariant: a token comes from a file or the environment, never from an argument, where every
process of the machine could read it.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from altnet.common.errors import (
    AltnetError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    PreconditionRequired,
    Stale,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from altnet.host.data_dir import default_root
from altnet_sdk.client import AuthenticatedClient
from altnet_sdk.models.problem import Problem
from altnet_sdk.types import UNSET, Response

TIMEOUT: Final = 15.0
"""Seconds for one answer; waiting for a change asks again and again."""
PAGE: Final = 500

_KINDS: Final[dict[int, type[AltnetError]]] = {
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: Stale,
    413: TooLarge,
    422: Invalid,
    428: PreconditionRequired,
    503: Unavailable,
}


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the API is and who asks."""

    url: str
    token: str

    @classmethod
    def find(cls, *, url: str | None, token_file: Path | None, env: Mapping[str, str]) -> Place:
        """From flags, then `ALTNET_API`, `ALTNET_TOKEN`, `ALTNET_TOKEN_FILE`, then the owner's token of this machine.

        Raises `Unauthenticated` (`no_token`) where there is none.
        """
        where = token_file or (Path(env["ALTNET_TOKEN_FILE"]) if "ALTNET_TOKEN_FILE" in env else None)
        token = None if where else env.get("ALTNET_TOKEN")
        if token is None:
            where = where or default_root() / "owner.token"
            try:
                token = where.read_text().strip()
            except OSError as error:
                raise Unauthenticated(
                    "no_token",
                    f"{where} cannot be read: {error.strerror}.",
                    mend="Name a token with --token-file or ALTNET_TOKEN_FILE; `altnet up` makes the first one.",
                ) from None
        return cls(url=url or env.get("ALTNET_API") or "http://localhost:8420", token=token)


class Api:
    """The API, as the commands use it."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.client = AuthenticatedClient(
            base_url=place.url, token=place.token, timeout=httpx.Timeout(TIMEOUT), verify_ssl=trust(place.url)
        )

    def close(self) -> None:
        """Let go of the connection."""
        self.client.get_httpx_client().close()

    def ask(self, operation: Callable[..., Response[Any]], *arguments: Any, **options: Any) -> Any:
        """Call one operation of the generated client and return what it answers; options that are None are left out.

        Raises the error that the problem document stands for, or `Unavailable` (`api_unreachable`).
        """
        return answered(self._place.url, operation, *arguments, client=self.client, **options)

    def each(self, operation: Callable[..., Response[Any]], *arguments: Any, **options: Any) -> Iterator[Any]:
        """Every item of a listing, page by page."""
        cursor: str | None = None
        while True:
            page = self.ask(operation, *arguments, cursor=cursor, limit=PAGE, **options)
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def find(self, operation: Callable[..., Response[Any]], wanted: str, *, kind: str) -> Any:
        """One thing by its id or, within a listing that filters by name, by its name. Raises `NotFound`, `Conflict`."""
        options = {} if "_" in wanted else {"name": wanted}
        found = [item for item in self.each(operation, **options) if wanted in (item.id, item.name)]
        if not found:
            raise NotFound(f"no_such_{kind}", f"there is no {kind} {wanted}.", mend=f"See `altnet {_many(kind)} list`.")
        if len(found) > 1:
            raise Conflict("ambiguous_name", f"there are several of the name {wanted}.", mend="Name it by its id.")
        return found[0]


def trust(url: str) -> bool | ssl.SSLContext:
    """Whom a client of this address believes: everybody's authorities, or nobody where no certificate is shown.

    The authorities are a quarter of a megabyte to read, most of what a command over http would do.
    """
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if url.startswith("http://") else True


def answered(url: str, operation: Callable[..., Response[Any]], *arguments: Any, **options: Any) -> Any:
    """Call one operation of the generated client and return what it answers; options that are None are left out.

    Raises the error that the problem document stands for, or `Unavailable` (`api_unreachable`).
    """
    given = {name: UNSET if value is None else value for name, value in options.items()}
    try:
        response = operation(*arguments, **given)
    except httpx.HTTPError as error:
        raise Unavailable(
            "api_unreachable",
            f"{url} does not answer: {error}.",
            mend="Start the control plane (`altnet up`), or name its address with --api or ALTNET_API.",
        ) from None
    answer = response.parsed
    if isinstance(answer, Problem):
        raise error_of(answer)
    if response.status_code >= 400:
        raise Unavailable("unexpected_answer", f"{url} answered {int(response.status_code)}.")
    return answer if answer is not None else response


def _many(kind: str) -> str:
    return f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"


def error_of(problem: Problem) -> AltnetError:
    """The error that a problem document stands for."""
    detail = problem.detail
    for error in problem.errors:
        if error.detail != problem.detail:
            detail += f" {error.pointer}: {error.detail}" if error.pointer else f" {error.detail}"
    # A header is what this program sent; who typed the command can do nothing with its name.
    said = [error for error in problem.errors if error.location != "header" and error.detail == problem.detail]
    fields = [error.pointer for error in said if error.pointer]
    mend = problem.mend or None
    if problem.status == 429:
        return TooMany(problem.code, detail, after=1.0, mend=mend)
    kind = _KINDS.get(problem.status, Unavailable)
    return kind(problem.code, detail, field=fields[0] if fields else None, mend=mend)


def etag(version: int) -> str:
    """What `If-Match` says for this version."""
    return f'"{version}"'


def connect(url: str | None = None, token_file: Path | None = None) -> Api:
    """The API as flags and environment name it."""
    return Api(Place.find(url=url, token_file=token_file, env=os.environ))
