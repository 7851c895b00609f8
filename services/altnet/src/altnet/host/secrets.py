"""The secrets of one control plane: made once, found again at every later start.

    <dir>/bus/              who may sign on the bus (altnet.common.bus.jwt)
    <dir>/tokens/signing.pem    Ed25519, signs operators' access tokens
    <dir>/database/<role>   the password of each database role
    <dir>/keyd/kek          32 bytes in base64: what keyd's own private keys are sealed with in the database

Everything is mode 0600 in folders of mode 0700. Leaves out who reads them: `up` reads all, `serve` what it needs.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from altnet.common.bus.jwt import BusIdentity
from altnet.common.clock import Clock
from altnet.common.errors import NotFound
from altnet.common.files import write_private
from altnet.common.ids import Randomness
from altnet.common.settings import Secret
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

SUPERUSER = "superuser"


@dataclass(frozen=True)
class SecretsDir:
    """The folder; nothing is read before it is asked for."""

    root: Path

    def create(self, *, schemas: Sequence[str], clock: Clock, randomness: Randomness = secrets.token_bytes) -> None:
        """Make what is missing; what exists stays as it is."""
        for folder in (self.root, self.root / "tokens", self.root / "database", self._kek.parent):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            BusIdentity.load(self.bus, clock)
        except NotFound:
            BusIdentity.create(clock, randomness).save(self.bus)
        if not self._signing_key.exists():
            self.replace_signing_key(randomness)
        if not self._kek.exists():
            write_private(self._kek, base64.b64encode(randomness(32)) + b"\n")
        roles = [SUPERUSER, *(name for schema in schemas for name in (schema, f"{schema}_owner"))]
        for role in roles:
            path = self.root / "database" / role
            if not path.exists():
                write_private(path, base64.urlsafe_b64encode(randomness(24)))

    @property
    def bus(self) -> Path:
        return self.root / "bus"

    @property
    def _signing_key(self) -> Path:
        return self.root / "tokens" / "signing.pem"

    @property
    def _kek(self) -> Path:
        return self.root / "keyd" / "kek"

    def with_files(self, service: str, env: Mapping[str, str]) -> Mapping[str, str]:
        """`env`, and where a service's own secret lies in here, unless the environment says otherwise."""
        name = "ALTNET_KEYD_KEY_ENCRYPTION_KEY"
        if service != "keyd" or not self._kek.exists() or {name, f"{name}_FILE"} & env.keys():
            return env
        if (Path(env.get("CREDENTIALS_DIRECTORY", "/nowhere")) / "altnet-keyd-kek").exists():
            return env
        return {**env, f"{name}_FILE": str(self._kek)}

    def bus_identity(self, clock: Clock) -> BusIdentity:
        """Raises `NotFound` (`no_bus_identity`)."""
        return BusIdentity.load(self.bus, clock)

    def signing_key(self) -> Ed25519PrivateKey:
        """The key of operators' access tokens. Raises `NotFound` (`no_secrets`)."""
        key = load_pem_private_key(self._read("tokens/signing.pem"), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise NotFound(
                "no_secrets", f"{self._signing_key} is not an Ed25519 key.", mend="Restore it from a backup."
            )
        return key

    def replace_signing_key(self, randomness: Randomness = secrets.token_bytes) -> None:
        """Write a new key; services that run take it up by themselves (altnet.host.signing)."""
        key = Ed25519PrivateKey.from_private_bytes(randomness(32))
        write_private(self._signing_key, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    def signing_key_version(self) -> tuple[int, int, int]:
        """Tells one written key from another, at the cost of a look. Raises `NotFound` (`no_secrets`)."""
        try:
            stat = self._signing_key.stat()
        except FileNotFoundError:
            raise _missing(self._signing_key) from None
        return stat.st_ino, stat.st_mtime_ns, stat.st_size

    def database_password(self, role: str) -> Secret:
        """The password of a role: `superuser`, `<schema>` or `<schema>_owner`. Raises `NotFound` (`no_secrets`)."""
        return Secret(self._read(f"database/{role}").decode().strip())

    def _read(self, name: str) -> bytes:
        try:
            return (self.root / name).read_bytes()
        except FileNotFoundError:
            raise _missing(self.root / name) from None


def _missing(path: Path) -> NotFound:
    return NotFound(
        "no_secrets",
        f"{path} does not exist.",
        mend="Run `altnet admin init` on this folder, or restore it from a backup.",
    )
