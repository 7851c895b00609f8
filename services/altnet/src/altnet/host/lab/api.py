"""What the lab asks of the registry's API: a seam of a few calls, so that the generated SDK can take its place.

Lists are followed to their end by cursors. Invariant: the owner's token goes into the Authorization header and nowhere
else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
from altnet.common.errors import AltnetError, Unavailable


@dataclass(frozen=True, kw_only=True)
class RelayView:
    """A relay as the registry lists it."""

    id: str
    name: str
    address: str
    health: str


class Api:
    """The registry under `base`, as the owner of `token`. Use it as a context manager."""

    def __init__(self, base: str, token: str, *, timeout: float) -> None:
        self._http = httpx.Client(
            base_url=f"{base.rstrip('/')}/v1",
            headers={"Authorization": f"Bearer {token}"},
            timeout=timeout,
            trust_env=False,
        )

    def __enter__(self) -> Api:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def create_join_token(self, *, uses: int, kind: str = "relay") -> str:
        """A token with which that many relays may enrol."""
        return str(self._call("POST", "/tokens/join", json={"kind": kind, "uses": uses, "note": "lab"})["secret"])

    def list_relays(self) -> list[RelayView]:
        return [
            RelayView(id=one["id"], name=one["name"], address=one["address"], health=one["health"])
            for one in self._all("/relays")
        ]

    def mesh(self) -> list[dict[str, Any]]:
        """Desired and applied, for each relay."""
        return list(self._all("/mesh"))

    def create_client(self, *, name: str, key: str, relay: str = "auto") -> dict[str, Any]:
        """A client that keeps its private key; `relay` is the id of the relay it attaches to."""
        return self._call("POST", "/clients", json={"name": name, "key": key, "relay": relay})

    def list_clients(self) -> list[dict[str, Any]]:
        return list(self._all("/clients"))

    def client_config(self, client: str) -> str:
        """The wg-quick file; its PrivateKey line is the caller's to fill."""
        return self._send("GET", f"/clients/{client}/config").text

    def change(self, number: int, *, wait: float | None = None) -> dict[str, Any]:
        """How far a change has got; with `wait`, up to that many seconds until it is applied."""
        query = {"wait": "applied", "timeout": wait} if wait else {}
        return self._call("GET", f"/changes/{number}", params=query)

    def _all(self, path: str) -> Iterator[dict[str, Any]]:
        cursor: str | None = None
        while True:
            page = self._call("GET", path, params={"limit": 500} | ({"cursor": cursor} if cursor else {}))
            yield from page["items"]
            cursor = page.get("next_cursor")
            if not cursor:
                return

    def _call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self._send(method, path, **options).json()
        return answer

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise Unavailable("api_unavailable", f"{method} {path}: {type(error).__name__}: {error}") from error
        if response.is_error:
            raise _problem(method, path, response)
        return response


class Refused(AltnetError):
    """The API answered with a problem; `code` and `detail` are its own."""

    kind = "refused"


def eventually(
    ask: Callable[[], bool], *, timeout: float, poll: float, what: str, describe: Callable[[], str] = str
) -> float:
    """Ask until the answer is yes; returns the seconds it took. An API that is away counts as no.

    Raises `Unavailable` (`not_in_time`) with what is missing.
    """
    began = time.monotonic()
    last = ""
    while True:
        try:
            if ask():
                return time.monotonic() - began
        except Unavailable as error:
            last = f" ({error})"
        if time.monotonic() - began > timeout:
            raise Unavailable("not_in_time", f"{what}: not within {timeout:g} s. {describe()}{last}".strip())
        time.sleep(poll)


def _problem(method: str, path: str, response: httpx.Response) -> AltnetError:
    try:
        problem = response.json()
    except ValueError:
        problem = {}
    code = str(problem.get("code", f"http_{response.status_code}"))
    detail = str(problem.get("detail") or problem.get("title") or response.reason_phrase)
    errors = "; ".join(f"{one.get('pointer')}: {one.get('detail')}" for one in problem.get("errors") or ())
    text = f"{method} /v1{path}: {detail}" + (f" ({errors})" if errors else "")
    return Unavailable(code, text) if response.status_code in (502, 503, 504) else Refused(code, text)
