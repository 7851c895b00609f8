"""Passes to the bus, and their end: user JWTs, the server's configuration, revocation.

`identity` holds the keys; here is what is done with them. A revocation names a user key and an instant: JWTs signed
up to then are void, one signed later (the relay was let in again) is good.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from altnet.common.bus import rights, subjects
from altnet.common.bus.connect import Bus
from altnet.common.bus.credentials import Credentials
from altnet.common.bus.identity import LONGEST_RELAY_JWT, BusIdentity, RelayIssuer, encode_jwt, stamp
from altnet.common.bus.nkey import check_user_nkey, make_nkey, sign, verify
from altnet.common.clock import Clock, SystemClock
from altnet.common.errors import Invalid, Unavailable

__all__ = [
    "LONGEST_RELAY_JWT",
    "BusIdentity",
    "RelayIssuer",
    "make_nkey",
    "relay_user_jwt",
    "revoke_user",
    "revoke_users",
    "server_config",
    "service_credentials",
    "sign",
    "verify",
]


def relay_user_jwt(
    issuer: BusIdentity | RelayIssuer,
    *,
    relay: str,
    network: str,
    nkey: str,
    expires: datetime,
    clock: Clock | None = None,
) -> str:
    """A relay's pass to the bus, bound to its own key, valid until `expires` (at most a week ahead).

    Its rights are the template in the account; here are only the name and the network that fill it in.
    Raises `Invalid` (`bad_nkey` at `/nkey`, `bad_expiry` at `/expires`), `ValueError` for
    identifiers that are no tokens.
    """
    if isinstance(issuer, BusIdentity):
        issuer = issuer.relay_issuer
    now = (clock or SystemClock()).now()
    if not now < expires <= now + LONGEST_RELAY_JWT:
        raise Invalid(
            "bad_expiry",
            "a relay's pass ends in the future, and within a week.",
            field="/expires",
            mend="Ask for a shorter life; the relay renews it.",
        )
    nats = {
        "type": "user",
        "version": 2,
        "issuer_account": issuer.account,
        "tags": [f"{rights.NETWORK_TAG}:{subjects.token(network)}"],
    }
    claims = {
        "sub": check_user_nkey(nkey, field="/nkey"),
        "name": subjects.token(relay),
        "iat": stamp(now),
        "exp": stamp(expires),
        "nats": nats,
    }
    return encode_jwt(claims, issuer.seed)


def service_credentials(identity: BusIdentity, name: str) -> Credentials:
    """Credentials of `registry`, `keyd`, `dnsd`, `eventlog`, `admin` or `sys`. Raises `ValueError` for others."""
    return identity.credentials(name)


def server_config(
    identity: BusIdentity,
    *,
    host: str = "127.0.0.1",
    port: int = 4222,
    store_dir: Path,
    monitor_port: int | None = None,
    sync_always: bool = True,
    ports_file_dir: Path | None = None,
    tls: tuple[Path, Path] | None = None,
    extra: str = "",
) -> str:
    """The text of a nats-server configuration file for this installation.

    `store_dir` gets JetStream's data and, beside it, the account resolver's. Port -1 lets the server choose and
    write its choice into `ports_file_dir`. `sync_always` writes through to the disk before an acknowledgement:
    without it the last two minutes can be lost with the power. `tls` is certificate and key. `extra` is appended.
    """
    lines = [
        f"listen: {json.dumps(f'[{host}]:{port}' if ':' in host else f'{host}:{port}')}",
        "server_name: altnet",
        "max_payload: 8MB  # a mesh of several thousand relays in one snapshot",
        "authorization { timeout: 15 }  # seconds; in 2 a thousand that come at once would be sent away and come again",
        "jetstream {",
        f"  store_dir: {json.dumps(str(store_dir / 'jetstream'))}",
        *(["  sync_interval: always"] if sync_always else []),
        "}",
        f"operator: {json.dumps(identity.operator_jwt)}",
        f"system_account: {json.dumps(identity.system_account)}",
        "resolver {",
        "  type: full",
        f"  dir: {json.dumps(str(store_dir / 'accounts'))}",
        "  allow_delete: false",
        "}",
        "resolver_preload {",
        f"  {identity.system_account}: {json.dumps(identity.system_account_jwt())}",
        f"  {identity.account}: {json.dumps(identity.account_jwt())}",
        "}",
    ]
    if monitor_port is not None:
        lines.append(f"http: {json.dumps(f'127.0.0.1:{monitor_port}')}")
    if ports_file_dir is not None:
        lines.append(f"ports_file_dir: {json.dumps(str(ports_file_dir))}")
    if tls is not None:
        lines.append(f"tls {{ cert_file: {json.dumps(str(tls[0]))}, key_file: {json.dumps(str(tls[1]))} }}")
    return "\n".join([*lines, extra, ""])


async def revoke_user(
    sys_bus: Bus, identity: BusIdentity, nkey_public: str, at: datetime, *, timeout: float = 5.0
) -> None:
    """Void every JWT of this user key signed up to `at`, and drop its live connections.

    Raises `Invalid` (`bad_nkey`), `Unavailable` when the server did not take it: the revocation is kept in the
    identity then, so that a repeat or the server's next start brings it in.
    """
    await revoke_users(sys_bus, identity, {nkey_public: at}, timeout=timeout)


async def revoke_users(
    sys_bus: Bus, identity: BusIdentity, revoked: Mapping[str, datetime], *, timeout: float = 5.0
) -> None:
    """The same for many at once, also none: bring the server's list up to what the identity and `revoked` say.

    What the server already has is merged in first, so that two control planes with separate copies of the identity
    do not undo each other's revocations.
    """
    wanted = {nkey: stamp(at) for nkey, at in revoked.items()}
    identity.revoke(wanted)
    lookup = await sys_bus.request(f"$SYS.REQ.ACCOUNT.{identity.account}.CLAIMS.LOOKUP", b"", timeout=timeout)
    identity.revoke(_revocations_in(lookup.data))
    answer = await sys_bus.request("$SYS.REQ.CLAIMS.UPDATE", identity.account_jwt().encode(), timeout=timeout)
    said = msgspec.json.decode(answer.data, type=dict[str, Any])
    if "error" in said or said.get("data", {}).get("code") != 200:
        raise Unavailable(
            "bus_claims_refused",
            f"the bus did not take the list of revocations: {said.get('error', said)}.",
            mend="Check that nats-server runs with this installation's operator.",
        )


def _revocations_in(account_jwt: bytes) -> dict[str, int]:
    if account_jwt.count(b".") != 2:
        return {}  # the server does not have the account yet
    claims = Credentials(account_jwt.decode(), b"").claims
    revoked = claims.get("nats", {}).get("revocations") or {}
    return {str(nkey): int(at) for nkey, at in revoked.items() if nkey != "*"}
