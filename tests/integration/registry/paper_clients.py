"""Clients that speak to the registry as altnetd does, by their own secrets, without a host below them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx
import msgspec
from altnet.common.contracts.agent import ClientStatus
from altnet.common.contracts.client_keys import prove
from altnet.common.keys import PrivateKey, PublicKey
from integration.registry.running import RunningRegistry


@dataclass
class PaperClient:
    """`private` is its key, `following` the one that it makes when it is asked."""

    registry: RunningRegistry
    id: str
    headers: dict[str, str]
    private: PrivateKey
    following: PrivateKey

    @property
    def key(self) -> str:
        return self.private.public().base64

    @property
    def next_key(self) -> str:
        return self.following.public().base64

    async def ask(self, method: str, path: str, body: object = None) -> httpx.Response:
        """By its own secret."""
        where = f"/v1/clients/{self.id}{path}"
        return await self.registry.anonymous.request(method, where, json=body, headers=self.headers)

    async def configuration(self) -> dict[str, Any]:
        answer = await self.ask("GET", "/configuration")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def announce(self, **other: Any) -> httpx.Response:
        """Answer the wish that there is; `other` in the place of what would be right."""
        wish = (await self.configuration())["wish"]
        return await self.ask("PUT", "/next-key", {**self.answer_to(wish), **other})

    def answer_to(self, wish: dict[str, Any]) -> dict[str, Any]:
        proof = prove(
            client=self.id,
            epoch=wish["epoch"],
            challenge=PublicKey.parse(wish["challenge"]),
            present=self.private,
            following=self.following,
        )
        return {"key": self.next_key, "epoch": wish["epoch"], "proof": proof}

    async def keep(self) -> httpx.Response:
        """The tunnel goes by the next key."""
        answer = await self.ask("POST", "/key-change/keep", {"key": self.next_key})
        if answer.status_code == 200:
            self.private, self.following = self.following, PrivateKey.generate()
        return answer

    async def shown(self) -> dict[str, Any]:
        answer = await self.registry.api.get(f"/v1/clients/{self.id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def here(self, *, by_next: bool = False) -> ClientStatus:
        """What its relay says of it in a heartbeat."""
        return ClientStatus(client=self.id, handshake_age=1.0, next_key=self.next_key if by_next else "")


async def paper_client(registry: RunningRegistry, name: str = "laptop", *, movable: bool = True) -> PaperClient:
    """Let a client in. `movable`: it runs altnetd, so it follows by itself."""
    private = PrivateKey.generate()
    token = await registry.join_token(kind="client")
    body = {"token": token, "key": private.public().base64, "name": name, "movable": movable}
    answer = await registry.anonymous.post("/v1/join", json=body)
    assert answer.status_code == 201, answer.text
    headers = {"Authorization": f"Bearer {answer.json()['secret']}"}
    return PaperClient(registry, answer.json()["client"]["id"], headers, private, PrivateKey.generate())


async def events_of(registry: RunningRegistry, *kinds: str) -> list[dict[str, Any]]:
    """Every event of these kinds that was written, in order."""
    async with registry.db.raw() as connection:
        rows = await connection.fetch(
            "SELECT kind, payload FROM registry.outbox WHERE kind = ANY($1::text[]) ORDER BY ordinal", list(kinds)
        )
    return [{"kind": row["kind"], **msgspec.json.decode(row["payload"])} for row in rows]
