"""Identities of the bus: operator, accounts, services and relays, as decentralised JWTs (NATS operator mode).

The server trusts the operator, an account's JWT says who may sign users and with which rights, and a user proves its
key at each connection. So enrolling a relay needs no change on the server, and taking one out is one entry in the
account's list of revocations, pushed to the server, which drops the live connection.

Invariant: rights come from `rights` at the moment of signing, never from a file, so an upgrade of the code is an
upgrade of the rights. The format is https://docs.nats.io/running-a-nats-service/configuration/securing_nats/jwt
(version 2 claims, algorithm `ed25519-nkey`). The operator's root seed signs only its own JWT; it can be moved off
the host (`operator.seed`), and everything else keeps working.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
from altnet.common.bus import rights
from altnet.common.bus.credentials import Credentials
from altnet.common.bus.nkey import Role, check_user_nkey, make_nkey, public_of, sign
from altnet.common.clock import Clock, SystemClock
from altnet.common.errors import Invalid, NotFound
from altnet.common.files import write_private
from altnet.common.ids import Randomness

LONGEST_RELAY_JWT: Final = timedelta(days=7)
"""A relay renews at half-life; a week lets it sleep through a long outage without enrolling again."""

KEEP_REVOCATIONS: Final = LONGEST_RELAY_JWT + timedelta(days=1)
"""After this every JWT that a revocation could stop has expired by itself, with a day for wrong clocks."""

_UNLIMITED: Final = {"subs": -1, "data": -1, "payload": -1}
_HEADER: Final = {"typ": "JWT", "alg": "ed25519-nkey"}


def encode_jwt(claims: Mapping[str, Any], seed: bytes) -> str:
    """Sign claims with `seed`; `iss` and `jti` are filled in."""
    said: dict[str, Any] = {**claims, "iss": public_of(seed)}
    digest = hashlib.sha256(_json(said)).digest()
    said["jti"] = base64.b32encode(digest).decode().rstrip("=")
    text = f"{_b64(_json(_HEADER))}.{_b64(_json(said))}"
    return f"{text}.{_b64(sign(seed, text.encode()))}"


@dataclass(frozen=True)
class RelayIssuer:
    """What it takes to admit relays, and nothing more: the scoped signing key and its account's name."""

    account: str
    seed: bytes = field(repr=False)


class _Saved(msgspec.Struct, kw_only=True):
    """The identity's file."""

    operator_jwt: str
    operator_signing_seed: str
    system_account_seed: str
    account_seed: str
    relay_seed: str
    user_seeds: dict[str, str]
    revocations: dict[str, int] = {}


class BusIdentity:
    """Everything that signs on the bus of one installation. Keep it where only the control plane reads."""

    def __init__(
        self, saved: _Saved, *, operator_seed: bytes | None = None, directory: Path | None = None, clock: Clock
    ) -> None:
        self._saved = saved
        self._operator_seed = operator_seed
        self._clock = clock
        self.directory = directory
        self.account = public_of(saved.account_seed)
        self.system_account = public_of(saved.system_account_seed)

    def __repr__(self) -> str:
        return f"BusIdentity(account={self.account!r})"

    @classmethod
    def create(cls, clock: Clock, randomness: Randomness = secrets.token_bytes) -> BusIdentity:
        """Make every key anew."""
        operator, operator_seed = make_nkey(Role.OPERATOR, randomness)
        signer, signing_seed = make_nkey(Role.OPERATOR, randomness)
        system, system_seed = make_nkey(Role.ACCOUNT, randomness)
        _, account_seed = make_nkey(Role.ACCOUNT, randomness)
        _, relay_seed = make_nkey(Role.ACCOUNT, randomness)
        nats = {"type": "operator", "version": 2, "signing_keys": [signer], "system_account": system}
        claims = {"sub": operator, "name": "altnet", "iat": stamp(clock.now()), "nats": nats}
        saved = _Saved(
            operator_jwt=encode_jwt(claims, operator_seed),
            operator_signing_seed=signing_seed.decode(),
            system_account_seed=system_seed.decode(),
            account_seed=account_seed.decode(),
            relay_seed=relay_seed.decode(),
            user_seeds={name: make_nkey(Role.USER, randomness)[1].decode() for name in (*rights.USERS, rights.SYSTEM)},
        )
        return cls(saved, operator_seed=operator_seed, clock=clock)

    def save(self, directory: Path) -> None:
        """Write `identity.json` and `operator.seed`, mode 0600, into `directory` (made with mode 0700)."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._operator_seed is not None:
            write_private(directory / "operator.seed", self._operator_seed + b"\n")
        self.directory = directory
        self._write()

    @classmethod
    def load(cls, directory: Path, clock: Clock | None = None) -> BusIdentity:
        """Read what `save` wrote. Raises `NotFound` (`no_bus_identity`), `Invalid` (`bad_bus_identity`)."""
        saved = _read(directory)
        root = directory / "operator.seed"
        operator_seed = root.read_bytes().strip() if root.exists() else None
        return cls(saved, operator_seed=operator_seed, directory=directory, clock=clock or SystemClock())

    @property
    def relay_issuer(self) -> RelayIssuer:
        """For a registry that runs apart from everything else that signs."""
        return RelayIssuer(self.account, self._saved.relay_seed.encode())

    @property
    def operator_jwt(self) -> str:
        return self._saved.operator_jwt

    @property
    def revocations(self) -> Mapping[str, int]:
        """Public user key to the instant (Unix seconds) up to which its JWTs are void."""
        return dict(self._saved.revocations)

    def revoke(self, revoked: Mapping[str, int]) -> None:
        """Add revocations (the later instant wins), forget those that no JWT can outlive, and save."""
        for nkey in revoked:
            check_user_nkey(nkey)
        with self._locked():
            if self.directory is not None:  # another process may have added some
                self._merge(_read(self.directory).revocations)
            self._merge(revoked)
            oldest = stamp(self._clock.now() - KEEP_REVOCATIONS)
            self._saved.revocations = {nkey: at for nkey, at in self._saved.revocations.items() if at >= oldest}
            if self.directory is not None:
                self._write()

    def account_jwt(self) -> str:
        """The application account: limits, the relays' scoped signing key, revocations."""
        scope = {
            "kind": "user_scope",
            "key": public_of(self._saved.relay_seed),
            "role": "relay",
            "template": {**rights.RELAY.claims(), **_UNLIMITED},
        }
        return self._sign_account(self.account, "altnet", [scope], self._saved.revocations, jetstream=True)

    def system_account_jwt(self) -> str:
        """The server's own account; only `sys` is in it."""
        return self._sign_account(self.system_account, "system", [], {}, jetstream=False)

    def credentials(self, name: str) -> Credentials:
        """Fresh credentials of one of our own users, with the rights of today. They do not expire."""
        seed = self._saved.user_seeds.get(name)
        if seed is None:
            seed = self._add_user(name)
        nats = {**rights.service_rights(name).claims(), **_UNLIMITED, "type": "user", "version": 2}
        claims = {"sub": public_of(seed), "name": name, "iat": stamp(self._clock.now()), "nats": nats}
        signer = self._saved.system_account_seed if name == rights.SYSTEM else self._saved.account_seed
        return Credentials(encode_jwt(claims, signer.encode()), seed.encode())

    def _add_user(self, name: str) -> str:
        rights.service_rights(name)  # a later version's service gets its key when it is first asked for
        with self._locked():
            known = _read(self.directory).user_seeds if self.directory else {}
            seed = known.get(name) or make_nkey()[1].decode()
            self._saved.user_seeds[name] = seed
            if self.directory is not None:
                self._write()
        return seed

    def _sign_account(
        self, subject: str, name: str, signing_keys: list[Any], revocations: Mapping[str, int], *, jetstream: bool
    ) -> str:
        amount = -1 if jetstream else 0
        limits = {
            **_UNLIMITED,
            "imports": -1,
            "exports": -1,
            "wildcards": True,
            "conn": -1,
            "leaf": -1,
            "mem_storage": amount,
            "disk_storage": amount,
            "streams": amount,
            "consumer": amount,
        }
        nats: dict[str, Any] = {"type": "account", "version": 2, "limits": limits, "signing_keys": signing_keys}
        if revocations:
            nats["revocations"] = dict(revocations)
        claims = {"sub": subject, "name": name, "iat": stamp(self._clock.now()), "nats": nats}
        return encode_jwt(claims, self._saved.operator_signing_seed.encode())

    def _merge(self, revoked: Mapping[str, int]) -> None:
        for nkey, at in revoked.items():
            self._saved.revocations[nkey] = max(at, self._saved.revocations.get(nkey, 0))

    def _write(self) -> None:
        assert self.directory is not None
        write_private(self.directory / "identity.json", msgspec.json.format(msgspec.json.encode(self._saved)))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time among the processes that share the directory; held for milliseconds."""
        if self.directory is None:
            yield
            return
        handle = os.open(self.directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _read(directory: Path) -> _Saved:
    path = directory / "identity.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Saved)
    except FileNotFoundError:
        raise NotFound(
            "no_bus_identity",
            f"{path} does not exist.",
            mend="Run `altnet up` once, or copy the directory from the host where the control plane was set up.",
        ) from None
    except ValueError as error:
        raise Invalid("bad_bus_identity", f"{path}: {error}.", mend="Restore it from a backup.") from None


def stamp(at: datetime) -> int:
    """Unix seconds, as JWTs have them."""
    return int(at.astimezone(UTC).timestamp())


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
