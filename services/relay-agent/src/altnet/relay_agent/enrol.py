"""Talking to the registry over HTTP: enrolling once, renewing the pass to the bus, hearing that we are out.

Keys are made on the host and stay there; the registry gets the public halves and a signature by the nkey over the
very bytes that it reads, so nobody can enrol somebody else's key.

Leaves out when to renew (agent.py). Invariant: the join token and the keys enter no error and no log.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Final

import msgspec
from altnet.common.bus import nkey
from altnet.common.calls import Answer, Post, problem, read_answer, registry_base
from altnet.common.clock import Clock
from altnet.common.contracts.agent import Versions
from altnet.common.errors import Invalid
from altnet.common.settings import Secret
from altnet.relay_agent.state import BusAccess, Enrolment, Identity

ENROL_PREFIX: Final = b"altnet-enrol-v1\n"
CREDENTIALS_PREFIX: Final = b"altnet-credentials-v1\n"
SIGNATURE: Final = "Altnet-Signature"
REVOKED: Final = "relay_revoked"


class EnrolRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`POST /v1/enrol`."""

    token: str
    nkey: str
    key: str
    access_key: str
    identity_key: str
    name: str
    endpoints: tuple[str, ...]
    mesh_port: int
    access_port: int
    region: str
    labels: dict[str, str]
    encapsulations: tuple[str, ...]
    routing: str
    versions: dict[str, str]
    timestamp: str

    def __repr__(self) -> str:
        return f"EnrolRequest(name={self.name!r}, nkey={self.nkey!r})"


class RenewRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`POST /v1/relays/{id}/credentials`."""

    nkey: str
    key: str
    access_key: str
    identity_key: str
    endpoints: tuple[str, ...]
    routing: str
    timestamp: str


class _Renewed(msgspec.Struct, frozen=True, kw_only=True):
    bus: BusAccess


class Registry:
    """The registry, as an agent sees it."""

    def __init__(self, url: str, *, post: Post, clock: Clock, timeout: float) -> None:
        self._url = registry_base(url)
        self._post = post
        self._clock = clock
        self._timeout = timeout

    async def enrol(
        self,
        identity: Identity,
        *,
        token: Secret,
        name: str,
        endpoints: tuple[str, ...],
        mesh_port: int,
        access_port: int,
        region: str,
        labels: Mapping[str, str],
        versions: Versions,
    ) -> Enrolment:
        """Become a relay, or the same one again. Raises the registry's problem as an `AltnetError`."""
        if not token:
            raise Invalid(
                "no_join_token",
                "enrolling needs a join token.",
                field="/join_token",
                mend="Have an operator make one (`altnet token create`), and put it in a file: --token-file.",
            )
        request = EnrolRequest(
            token=token.reveal(),
            nkey=identity.nkey,
            key=identity.mesh.public().base64,
            access_key=identity.access.public().base64,
            identity_key=identity.sealed_for.public().base64,
            name=name,
            endpoints=endpoints,
            mesh_port=mesh_port,
            access_port=access_port,
            region=region,
            labels=dict(labels),
            encapsulations=tuple(str(one) for one in versions.encapsulations),
            routing=str(versions.routing),
            versions={"agent": versions.agent, "kernel": versions.kernel, "wireguard": versions.wireguard},
            timestamp=self._now(),
        )
        answer = await self._send("/v1/enrol", ENROL_PREFIX, identity, request)
        enrolment = read_answer(answer, Enrolment)
        return msgspec.structs.replace(enrolment, bus=self._stamped(enrolment.bus))

    async def renew(
        self, identity: Identity, relay: str, *, endpoints: tuple[str, ...], versions: Versions
    ) -> BusAccess:
        """A fresh pass to the bus. Raises `Forbidden` (`relay_revoked`) when this relay is out."""
        request = RenewRequest(
            nkey=identity.nkey,
            key=identity.mesh.public().base64,
            access_key=identity.access.public().base64,
            identity_key=identity.sealed_for.public().base64,
            endpoints=endpoints,
            routing=str(versions.routing),
            timestamp=self._now(),
        )
        answer = await self._send(f"/v1/relays/{relay}/credentials", CREDENTIALS_PREFIX, identity, request)
        return self._stamped(read_answer(answer, _Renewed).bus)

    async def _send(self, path: str, prefix: bytes, identity: Identity, request: msgspec.Struct) -> Answer:
        body = msgspec.json.encode(request)
        signature = nkey.sign(identity.nkey_seed.encode(), prefix + body)
        headers = {"Content-Type": "application/json", SIGNATURE: base64.b64encode(signature).decode()}
        answer = await self._post(self._url + path, body, headers, self._timeout)
        if answer.status not in (200, 201):
            raise problem(answer)
        return answer

    def _stamped(self, bus: BusAccess) -> BusAccess:
        return msgspec.structs.replace(bus, issued_at=self._now())

    def _now(self) -> str:
        return self._clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
