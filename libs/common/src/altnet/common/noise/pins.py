"""A service's own public keys, and how hosts follow when they change.

A host pins the service's signing key and static key at first contact. Later it believes another key only if a chain of
endorsements leads to it from the signing key that it has pinned: each new key of either use is signed by the signing
key of its time. A host that was away for several rotations follows all of them at once.

Invariant: without a signature that leads back to the pinned key, pins do not move.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from altnet.common.errors import AltnetError, Unauthenticated
from altnet.common.keys import PublicKey
from altnet.common.signing import SigningKey, VerifyKey

MOST_KEYS: Final = 256
"""In one answer: all that there ever were, at a rotation a month for a decade."""
_PURPOSE: Final = b"altnet-service-key-v1"
_Base64: Final = msgspec.Meta(max_length=128)


class KeyUse(StrEnum):
    STATIC = "static"
    """X25519, of Noise handshakes."""
    SIGNING = "signing"
    """Ed25519."""


class ServiceKey(msgspec.Struct, frozen=True, kw_only=True):
    """A public key of a service. Keys and signatures in base64."""

    use: KeyUse
    key: Annotated[str, _Base64]
    current: bool
    endorsed_by: Annotated[str, _Base64] = ""
    """The signing key that vouches for it; empty: the first one of its use."""
    endorsement: Annotated[str, _Base64] = ""
    answers_until: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    """Of a static key that is not current: until then handshakes with it are answered."""


class Pins(msgspec.Struct, frozen=True, kw_only=True):
    """What a host holds a service to, base64."""

    static: str
    signing: str


def endorse(use: KeyUse, key: str, *, by: SigningKey) -> str:
    """The signature that vouches for a key, base64."""
    return base64.b64encode(by.sign(_content(use, key), purpose=_PURPOSE)).decode()


def current(keys: Sequence[ServiceKey]) -> Pins:
    """What an answer says is current, believed by nobody yet. Raises `Unauthenticated` (`service_keys_unclear`)."""
    found: dict[KeyUse, str] = {}
    for key in keys:
        if key.current:
            if key.use in found:
                raise _unclear(f"names two current {key.use} keys")
            found[key.use] = key.key
    try:
        pins = Pins(static=found[KeyUse.STATIC], signing=found[KeyUse.SIGNING])
        PublicKey.parse(pins.static)
        VerifyKey.parse(pins.signing)
    except KeyError as missing:
        raise _unclear(f"names no current {missing.args[0]} key") from None
    except AltnetError:
        raise _unclear("holds what is no key") from None
    return pins


def follow(pins: Pins, keys: Sequence[ServiceKey]) -> Pins:
    """The present pins, as far as endorsements lead. Raises `Unauthenticated` (`service_keys_unclear`, `not_endorsed`).

    A static key that was pinned and is current needs no endorsement: it was there first.
    """
    now = current(keys)
    trusted, reach = {pins.signing}, True
    while reach:
        reach = False
        for key in keys:
            if key.use is KeyUse.SIGNING and key.key not in trusted and _vouched(key, trusted):
                trusted.add(key.key)
                reach = True
    static = next(key for key in keys if key.current and key.use is KeyUse.STATIC)
    if now.signing not in trusted:
        raise _not_endorsed(KeyUse.SIGNING)
    if now.static != pins.static and not _vouched(static, trusted):
        raise _not_endorsed(KeyUse.STATIC)
    return now


def _vouched(key: ServiceKey, trusted: set[str]) -> bool:
    if key.endorsed_by not in trusted:
        return False
    try:
        signature = base64.b64decode(key.endorsement, validate=True)
        signer = VerifyKey.parse(key.endorsed_by)
    except (binascii.Error, ValueError, AltnetError):
        return False
    return signer.verifies(signature, purpose=_PURPOSE, content=_content(key.use, key.key))


def _content(use: KeyUse, key: str) -> bytes:
    return f"{use}\0{key}".encode()


def _unclear(why: str) -> Unauthenticated:
    return Unauthenticated("service_keys_unclear", f"the answer {why}.", mend="Is it keyd of this version or later?")


def _not_endorsed(use: KeyUse) -> Unauthenticated:
    return Unauthenticated(
        "not_endorsed",
        f"keyd's {use} key is another than the pinned one, and no signature of the pinned key leads to it.",
        mend="If keyd was set up anew, compare its fingerprint and remove keyd.json from the agent's state.",
    )
