"""Talking to the registry: joining once, then asking for what concerns us with the secret that joining gave.

Leaves out when (daemon.py). Invariant: neither token, secret nor private key enters an error or a log.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from altnet.common.calls import Answer, Call, problem, read_answer, registry_base
from altnet.common.contracts.client import ClientConfig
from altnet.common.contracts.client_keys import Announced
from altnet.common.errors import Invalid
from altnet.common.keys import PublicKey
from altnet.common.settings import Secret


class Joining(msgspec.Struct, frozen=True, kw_only=True):
    """`POST /v1/join`."""

    token: str
    key: str
    name: str
    region: str
    labels: dict[str, str]
    movable: bool = True

    def __repr__(self) -> str:
        return f"Joining(name={self.name!r})"


class _JoinedClient(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str


class Joined(msgspec.Struct, frozen=True, kw_only=True):
    """Its answer. Fields that we do not know are ignored."""

    client: _JoinedClient
    configuration: ClientConfig
    secret: str

    def __repr__(self) -> str:
        return f"Joined(client={self.client.id!r})"


class Registry:
    """The registry, as a client sees it."""

    def __init__(self, url: str, *, call: Call, timeout: float) -> None:
        """Raises `Invalid` (`bad_setting`)."""
        self._url = registry_base(url)
        self._call = call
        self._timeout = timeout

    @property
    def url(self) -> str:
        return self._url

    async def join(self, key: PublicKey, *, token: Secret, name: str, region: str, labels: Mapping[str, str]) -> Joined:
        """Become a client, or the same one again. Raises the registry's problem as an `AltnetError`."""
        if not token:
            raise Invalid(
                "no_join_token",
                "joining needs a join token.",
                field="/join_token",
                mend="Have an operator make one (`altnet join-tokens create --kind client`); give it by --token-file.",
            )
        request = Joining(token=token.reveal(), key=key.base64, name=name, region=region, labels=dict(labels))
        headers = {"Content-Type": "application/json"}
        body = msgspec.json.encode(request)
        answer = await self._call("POST", f"{self._url}/v1/join", body, headers, self._timeout)
        if answer.status not in (200, 201):
            raise problem(answer)
        return read_answer(answer, Joined)

    async def configuration(self, client: str, *, secret: str) -> ClientConfig:
        """What we should be now. Raises the registry's problem as an `AltnetError`."""
        url = f"{self._url}/v1/clients/{client}/configuration"
        answer = await self._call("GET", url, None, _bearer(secret), self._timeout)
        if answer.status != 200:
            raise problem(answer)
        return read_answer(answer, ClientConfig)

    async def ask_for_key(self, client: str, *, secret: str) -> None:
        """Say that we want another key of our own. Raises the registry's problem as an `AltnetError`."""
        await self._send("POST", f"{client}/key-change", {}, secret=secret)

    async def announce(self, client: str, said: Announced, *, secret: str) -> ClientConfig:
        """Announce our next key; the configuration with it. Raises the registry's problem as an `AltnetError`."""
        return read_answer(await self._send("PUT", f"{client}/next-key", said, secret=secret), ClientConfig)

    async def keep_key(self, client: str, key: PublicKey, *, secret: str) -> None:
        """Say that we go by the announced key. Raises the registry's problem as an `AltnetError`."""
        await self._send("POST", f"{client}/key-change/keep", {"key": key.base64}, secret=secret)

    async def _send(self, method: str, path: str, body: object, *, secret: str) -> Answer:
        headers = {**_bearer(secret), "Content-Type": "application/json"}
        url = f"{self._url}/v1/clients/{path}"
        answer = await self._call(method, url, msgspec.json.encode(body), headers, self._timeout)
        if answer.status not in (200, 201):
            raise problem(answer)
        return answer

    async def report(self, client: str, latencies: Mapping[str, float], *, secret: str) -> None:
        """Tell what we measured, milliseconds by relay. Raises the registry's problem as an `AltnetError`."""
        url = f"{self._url}/v1/clients/{client}/latencies"
        headers = {**_bearer(secret), "Content-Type": "application/json"}
        body = msgspec.json.encode({"latencies": dict(latencies)})
        answer = await self._call("PUT", url, body, headers, self._timeout)
        if answer.status != 204:
            raise problem(answer)


def _bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}
