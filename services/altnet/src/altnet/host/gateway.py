"""One front for all services of a process: their paths side by side, one document.

Each service's routes say which paths are its own (`/v1/relays…`), so nothing has to be configured, and no two
services may claim the same first two segments. Leaves out everything that a service's own application does:
authentication, problems, limits. Services of one process share a metrics registry, so any of them shows all, and are
ready together: `/readyz` asks each of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from altnet.common.http.openapi import merge
from altnet.common.http.routes import documented_paths
from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send

TITLE = "Altnet"
DESCRIPTION = "The control plane of a private IPv6 network: every service's operations in one document."


class Gateway:
    """An ASGI application that hands each request to the service whose path it is."""

    def __init__(self, apps: Mapping[str, FastAPI]) -> None:
        self._apps = dict(apps)
        self._owners: dict[tuple[str, ...], str] = {}
        for name, app in self._apps.items():
            for path in documented_paths(app.routes):
                owner = self._owners.setdefault(_head(path), name)
                if owner != name:
                    raise ValueError(f"{owner} and {name} both serve {path}")
        self._fallback = next(iter(self._apps.values()))

    def openapi(self) -> dict[str, Any]:
        """The merged document of every service."""
        documents = [app.openapi() for app in self._apps.values()]
        return merge(documents, title=TITLE, version=documents[0]["info"]["version"], description=DESCRIPTION)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "/")
        if path == "/openapi.json" and len(self._apps) > 1 and scope["type"] == "http" and scope["method"] == "GET":
            await _answer(send, json.dumps(self.openapi()).encode())
            return
        if path == "/readyz" and len(self._apps) > 1 and scope["type"] == "http" and scope["method"] == "GET":
            await self._ready(scope, receive, send)
            return
        owner = self._owners.get(_head(path))
        app = self._apps[owner] if owner is not None else self._fallback
        await app(scope, receive, send)

    async def _ready(self, scope: Scope, receive: Receive, send: Send) -> None:
        whole: dict[str, Any] = {"status": "ok", "parts": {}}
        worst = 200
        for app in self._apps.values():
            status, body = await _asked(app, dict(scope), receive)
            said = json.loads(body)
            worst = max(worst, status)
            if status != 200:
                whole["status"] = said["status"]
            for name, how in said["parts"].items():
                if whole["parts"].get(name, "ok") == "ok":  # what one finds wrong with a common part stays said
                    whole["parts"][name] = how
            if remarks := said.get("remarks"):
                whole.setdefault("remarks", {}).update(remarks)
        await _answer(send, json.dumps(whole).encode(), status=worst)


def _head(path: str) -> tuple[str, ...]:
    return tuple(path.strip("/").split("/")[:2])


async def _asked(app: FastAPI, scope: Scope, receive: Receive) -> tuple[int, bytes]:
    """What an application answers: status and body."""
    status, body = 500, b""

    async def keep(message: Message) -> None:
        nonlocal status, body
        if message["type"] == "http.response.start":
            status = message["status"]
        elif message["type"] == "http.response.body":
            body += message.get("body", b"")

    await app(scope, receive, keep)
    return status, body


async def _answer(send: Send, body: bytes, *, status: int = 200) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
