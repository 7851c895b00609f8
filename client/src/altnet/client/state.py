"""What a client keeps between two starts.

    identity.json         the private key, made here on first use: it never leaves; and the one that it changes to
    membership.json       the registry's name for us, and the secret by which we ask it about ourselves
    configuration.json    the last configuration: enough to come up without the registry

Invariant: whatever was written when the host died, the next start finds the state of before or of after; nobody but
the owner reads any of it.
"""

from __future__ import annotations

import asyncio
import base64
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
from altnet.common import files
from altnet.common.contracts.client import ClientConfig
from altnet.common.errors import AltnetError, Conflict, Invalid
from altnet.common.keys import PrivateKey


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Our WireGuard key, base64."""

    private_key: str
    next_key: str = ""
    """The private key that we are changing to; written before it is announced or used."""
    next_epoch: int = 0
    """Of the wish that it answers."""
    version: int = 1

    def __repr__(self) -> str:
        return "Identity(<hidden>)"

    @property
    def key(self) -> PrivateKey:
        return PrivateKey.parse(self.private_key)

    @property
    def following(self) -> PrivateKey | None:
        return PrivateKey.parse(self.next_key) if self.next_key else None

    @property
    def held(self) -> tuple[PrivateKey, ...]:
        """Both, the present one first."""
        return (self.key,) if self.following is None else (self.key, self.following)


class Membership(msgspec.Struct, frozen=True, kw_only=True):
    """What joining gave us, beside the configuration."""

    client: str
    registry_url: str
    secret: str

    def __repr__(self) -> str:
        return f"Membership(client={self.client!r}, registry_url={self.registry_url!r})"


class DiskState:
    """The state in one directory of mode 0700. One altnetd at a time holds it."""

    def __init__(self, path: Path, *, make_key: Callable[[], PrivateKey] = PrivateKey.generate) -> None:
        """Raises `Invalid` or `Unavailable` where the directory cannot be used, with the mend."""
        self._path = path
        self._make_key = make_key
        self._lock: int | None = None
        files.open_private_dir(path)

    def hold(self) -> None:
        """Be the only altnetd of this directory until the process ends. Raises `Conflict` (`already_running`)."""
        descriptor = os.open(self._path / "altnetd.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise Conflict(
                "already_running",
                f"another altnetd uses {self._path}.",
                field="/state_dir",
                mend="Stop it first, or give this one its own state directory.",
            ) from None
        self._lock = descriptor

    def release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def identity(self) -> Identity:
        """Our key; made and saved on first use. Raises `Invalid` (`state_corrupt`), never quoting the file."""
        path = self._path / "identity.json"
        data = files.read(path)
        if data is None:
            if (self._path / "membership.json").exists():
                raise _corrupt(path, "it is missing although this host has joined")
            made = Identity(private_key=base64.b64encode(self._make_key().reveal()).decode())
            files.write_private(path, msgspec.json.encode(made))
            return made
        try:
            identity = msgspec.json.decode(data, type=Identity)
            _ = identity.held
        except (ValueError, AltnetError):
            raise _corrupt(path, "it does not hold our key") from None
        return identity

    async def save_identity(self, identity: Identity) -> None:
        await asyncio.to_thread(files.write_private, self._path / "identity.json", msgspec.json.encode(identity))

    def membership(self) -> Membership | None:
        """What joining gave us; None before it. Raises `Invalid` (`state_corrupt`), never quoting the file."""
        path = self._path / "membership.json"
        data = files.read(path)
        if data is None:
            return None
        try:
            return msgspec.json.decode(data, type=Membership)
        except ValueError:
            raise _corrupt(path, "it cannot be read", mend="Remove it and join again.") from None

    def configuration(self) -> ClientConfig | None:
        path = self._path / "configuration.json"
        data = files.read(path)
        if data is None:
            return None
        try:
            return msgspec.json.decode(data, type=ClientConfig)
        except ValueError as error:
            raise _corrupt(path, str(error), mend="Remove it and join again.") from None

    async def save_membership(self, membership: Membership) -> None:
        await asyncio.to_thread(files.write_private, self._path / "membership.json", msgspec.json.encode(membership))

    async def save_configuration(self, config: ClientConfig) -> None:
        data = msgspec.json.format(msgspec.json.encode(config))
        await asyncio.to_thread(files.write_private, self._path / "configuration.json", data)


def read_config(path: Path) -> ClientConfig:
    """A configuration from a file, as `GET /v1/clients/{id}/configuration` gives it. Raises `Invalid`."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Invalid("bad_setting", f"{path} cannot be read: {error.strerror}.", field="/config") from None
    try:
        return msgspec.json.decode(data, type=ClientConfig)
    except ValueError as error:
        raise Invalid(
            "bad_configuration",
            f"{path}: {error}.",
            field="/config",
            mend="Give the answer of GET /v1/clients/{id}/configuration.",
        ) from None


def not_joined() -> Invalid:
    """The error of what needs a configuration."""
    return Invalid(
        "not_joined",
        "this host has not joined a network.",
        mend="Run `altnetd join --registry … --token-file …` once, or give `run` a --config.",
    )


def _corrupt(path: Path, reason: str, *, mend: str | None = None) -> Invalid:
    return Invalid(
        "state_corrupt",
        f"{path}: {reason}.",
        field="/state_dir",
        mend=mend or "Bring the file back from a backup, or empty the state directory and join anew.",
    )
