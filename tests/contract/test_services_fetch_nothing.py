"""No service opens a connection to a place that a request names: it has nothing to fetch a URL with."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FETCHING = {"urllib.request", "http.client", "ftplib", "smtplib", "xmlrpc", "httpx", "requests", "aiohttp", "urllib3"}
OURS = "altnet.common.calls"
"""How hosts ask the registry; a service that imported it could be sent somewhere."""


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(), filename=str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def fetchers(folder: str, *, beside: str = "") -> dict[str, set[str]]:
    """Files below a folder that import something that fetches, and what."""
    found = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        names = {name for name in imported(path) if name == OURS or any(_is(name, one) for one in FETCHING)}
        if names and path.name != beside:
            found[str(path.relative_to(ROOT))] = names
    return found


def test_neither_a_service_nor_what_it_stands_on_can_fetch_a_url() -> None:
    for folder in ("services/registry/src", "services/keyd/src"):
        assert fetchers(folder) == {}
    # A service imports nothing else of ours (import-linter), so nothing fetches on its behalf either.
    assert fetchers("libs/common/src", beside="calls.py") == {}
    assert fetchers("libs/common/src") != {}, "else this finds nothing"


def _is(name: str, module: str) -> bool:
    return name == module or name.startswith(module + ".")
