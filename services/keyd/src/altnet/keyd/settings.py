"""keyd's settings. Times in seconds unless the name says otherwise; each default says why."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import msgspec
from altnet.common.errors import Invalid
from altnet.common.noise.rates import Rate
from altnet.common.noise.responder import ResponderLimits
from altnet.common.settings import Secret
from altnet.keyd.domain.envelope import EncryptionKey

CREDENTIAL: Final = "altnet-keyd-kek"
"""The name of the systemd credential that may hold the key-encryption key (`LoadCredentialEncrypted=`)."""

Positive = Annotated[float, msgspec.Meta(gt=0)]


class ChannelSettings(msgspec.Struct, frozen=True, kw_only=True):
    limits: ResponderLimits = ResponderLimits()
    registrations: Rate = Rate(burst=20, per_second=1 / 60)
    """Of signing keys, per relay: an agent registers once a session, and each new key is a row and an event."""
    pair_reports: Rate = Rate(burst=10, per_second=0.2)
    """Of troubles with pre-shared keys, per relay: an agent sums them for ten seconds."""
    first_contact_timeout: Positive = 3.0
    """For the registry's answer with the secret of a join token; below the agent's own patience."""
    sweep: Positive = 15.0
    """Between two looks for sessions that are over, and for a static key whose overlap is."""
    flush_refusals: Positive = 10.0
    """Refusals are counted for that long and told in one event each: a flood is one line in the log."""
    most_refusals: Annotated[int, msgspec.Meta(ge=1)] = 1000
    """Kinds of refusal (relay and reason) counted between two flushes; more are summed as of nobody."""


class KeySettings(msgspec.Struct, frozen=True, kw_only=True):
    reload: Positive = 5.0
    """How late a replica learns of a rotation that another one made."""
    overlap: Annotated[float, msgspec.Meta(ge=0)] = 7 * 86_400.0
    """A replaced static key answers for so long: hosts that were away for a week still find keyd by it."""


class IdentitySettings(msgspec.Struct, frozen=True, kw_only=True):
    tell_every: Positive = 1.0
    """Between two looks for identities that the registry is to know otherwise: rows that changed, by an index."""
    tell_all: Positive = 600.0
    """Until all are told again: a registry that came from a backup may have forgotten some."""
    tell_timeout: Positive = 5.0
    """For the registry to take an order."""


class RotationSettings(msgspec.Struct, frozen=True, kw_only=True):
    tick: Positive = 0.25
    """Between two looks at an open rotation: reports wake the leader at once where they come to it."""
    idle: Positive = 2.0
    """Between two looks whether a rotation was started at another replica, or is due."""
    owed_again: Positive = 60.0
    """After a rotation that was owed for a revoked key and left the key's relay behind: until the next try."""
    suspicion_rest: Positive = 3600.0
    """Between two rotations for suspicion: a relay that sounds an alarm again and again costs one an hour."""
    order_timeout: Positive = 5.0
    """For the registry to take an order: a thousand relays are one transaction."""


class LockSettings(msgspec.Struct, frozen=True, kw_only=True):
    tick: Positive = 1.0
    """Between two looks for what relays have to be told, where another replica took it in; here it is told at once."""
    look: Positive = 30.0
    """Between two looks whether the bus still has it."""
    put_timeout: Positive = 5.0
    """For one document: with three servers a leader election takes 4.4 s (measured)."""
    asks: Rate = Rate(burst=500, per_second=10)
    """Questions of one relay: 100,000 clients of it are 400 pages, and a thousand relays are four."""


class KeydSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All of it, one group an idea."""

    key_encryption_key: Secret = Secret("")
    """32 bytes in base64, under which keyd's private keys lie in the database. Better by file
    (`ALTNET_KEYD_KEY_ENCRYPTION_KEY_FILE`), or as a systemd credential (`altnet-keyd-kek`)."""
    previous_key_encryption_key: Secret = Secret("")
    """The one before, while it is being replaced: what it wrapped is rewrapped at the start."""
    channel: ChannelSettings = ChannelSettings()
    identities: IdentitySettings = IdentitySettings()
    keys: KeySettings = KeySettings()
    rotations: RotationSettings = RotationSettings()
    lock: LockSettings = LockSettings()


def encryption_keys(settings: KeydSettings, env: Mapping[str, str]) -> tuple[EncryptionKey, EncryptionKey | None]:
    """The key-encryption key and the one before it. Raises `Invalid` (`no_key_encryption_key`, …)."""
    text = settings.key_encryption_key.reveal() or _credential(env)
    if not text:
        raise Invalid(
            "no_key_encryption_key",
            "keyd has no key-encryption key.",
            field="/key_encryption_key",
            mend=f"Set ALTNET_KEYD_KEY_ENCRYPTION_KEY_FILE to a private file, or load the credential {CREDENTIAL};"
            " `altnet admin init` and `altnet up` make one.",
        )
    previous = settings.previous_key_encryption_key.reveal()
    return (
        EncryptionKey.parse(text, field="/key_encryption_key"),
        EncryptionKey.parse(previous, field="/previous_key_encryption_key") if previous else None,
    )


def _credential(env: Mapping[str, str]) -> str:
    folder = env.get("CREDENTIALS_DIRECTORY")
    path = Path(folder) / CREDENTIAL if folder else None
    if path is None or not path.exists():
        return ""
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        raise Invalid(
            "bad_key_encryption_key", f"the credential {path} cannot be read.", field="/key_encryption_key"
        ) from None
