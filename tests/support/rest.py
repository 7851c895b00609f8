"""The lab's API as an operator's script asks it: plain HTTP, one answer a call.

Leaves out the generated client on purpose: what tests look at is what goes over the wire, whole. Invariant: an answer
that is not a success fails the test with its text.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
from altnet.host.lab.lab import Lab

TIMEOUT: Final = 30.0
"""Seconds for one answer on a busy machine."""


@dataclass
class Rest:
    """The registry, as its first owner."""

    http: httpx.Client
    said: list[str] = field(default_factory=list)
    """Every answer's text, for tests that look for what must never be said."""

    def get(self, path: str, **params: Any) -> Any:
        return self._ask("GET", path, params=params)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self._ask("POST", path, json=body)

    def patch(self, path: str, body: dict[str, Any]) -> Any:
        return self._ask("PATCH", path, json=body, headers={"If-Match": self._version(path)})

    def delete(self, path: str) -> Any:
        return self._ask("DELETE", path, headers={"If-Match": self._version(path)})

    def applied(self, change: int) -> None:
        """Wait until everybody concerned has applied a change."""
        told = self.get(f"/v1/changes/{change}", wait="applied", timeout=20)
        assert told["complete"], told

    def items(self, path: str, **params: Any) -> list[dict[str, Any]]:
        """All of a list that fits on one page."""
        page = self.get(path, limit=500, **params)
        assert page["next_cursor"] is None, f"{path} has more than a page"
        return list(page["items"])

    def refusal(self, method: str, path: str, **options: Any) -> tuple[int, dict[str, Any]]:
        """The status and the problem of what must not be done."""
        answer = self.http.request(method, path, **options)
        assert answer.is_error, answer.text
        self.said.append(answer.text)
        return answer.status_code, answer.json()

    def _version(self, path: str) -> str:
        found = self.http.get(path)
        assert found.is_success, found.text
        return found.headers["ETag"]

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        answer = self.http.request(method, path, **options)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        self.said.append(answer.text)
        return answer.json()


@contextlib.contextmanager
def rest(lab: Lab) -> Iterator[Rest]:
    """The API of a lab whose control plane is ready, from outside the lab."""
    control = lab.control_plane()
    headers = {"Authorization": f"Bearer {control.token}"}
    with httpx.Client(base_url=control.api, headers=headers, timeout=TIMEOUT, trust_env=False) as http:
        yield Rest(http)
