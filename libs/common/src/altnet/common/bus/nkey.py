"""NATS keys: Ed25519 keys written in base32 with a prefix that names their role and a checksum.

The format is that of https://github.com/nats-io/nkeys: prefix byte(s), 32 bytes, CRC-16/XMODEM little endian. Only
the three roles that Altnet uses are here. Seeds are bytes so that no log formatter prints one by accident.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from enum import IntEnum
from typing import Final

from altnet.common.errors import Invalid
from altnet.common.ids import Randomness
from altnet.common.signing import proves_nothing
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_SEED: Final = 18 << 3  # base32 shows it as S


class Role(IntEnum):
    """The prefix byte: what kind of principal a key belongs to."""

    OPERATOR = 14 << 3
    ACCOUNT = 0
    USER = 20 << 3


def make_nkey(role: Role = Role.USER, randomness: Randomness = secrets.token_bytes) -> tuple[str, bytes]:
    """A new key pair: its public key (`U…`) and its seed (`SU…`)."""
    raw = randomness(32)
    head = bytes([_SEED | role >> 5, (role & 31) << 3])
    seed = _encode(head + raw)
    return public_of(seed), seed.encode()


def public_of(seed: bytes | str) -> str:
    """The public key that belongs to a seed. Raises `Invalid` (`bad_nkey`)."""
    role, key = _private(seed)
    return _encode(bytes([role]) + key.public_key().public_bytes_raw())


def sign(seed: bytes, data: bytes) -> bytes:
    """The 64 bytes of an Ed25519 signature. Raises `Invalid` (`bad_nkey`)."""
    return _private(seed)[1].sign(data)


def verify(public: str, data: bytes, signature: bytes) -> bool:
    """Whether `signature` was made over `data` by the owner of `public`; raises `Invalid` for what is no key."""
    raw = _decode(public)
    if len(raw) != 33:
        raise _bad("has the wrong length")
    if proves_nothing(raw[1:]):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(raw[1:]).verify(signature, data)
    except InvalidSignature:
        return False
    return True


def check_user_nkey(public: str, *, field: str | None = None) -> str:
    """Return `public` if it is a user's public key. Raises `Invalid` (`bad_nkey`)."""
    raw = _decode(public, field=field)
    if len(raw) != 33 or raw[0] != Role.USER:
        raise _bad("is not the public key of a user", field=field)
    if proves_nothing(raw[1:]):
        raise _bad("is one that anybody can sign for", field=field)
    return public


def _private(seed: bytes | str) -> tuple[Role, Ed25519PrivateKey]:
    raw = _decode(seed.decode("ascii", "replace") if isinstance(seed, bytes) else seed)
    if len(raw) != 34 or raw[0] & 0xF8 != _SEED:
        raise _bad("is not a seed")
    try:
        role = Role((raw[0] & 7) << 5 | raw[1] >> 3)
    except ValueError:
        raise _bad("has a role that is not used here") from None
    return role, Ed25519PrivateKey.from_private_bytes(raw[2:])


def _encode(raw: bytes) -> str:
    checksum = binascii.crc_hqx(raw, 0).to_bytes(2, "little")
    return base64.b32encode(raw + checksum).decode().rstrip("=")


def _decode(text: str, *, field: str | None = None) -> bytes:
    try:
        raw = base64.b32decode(text + "=" * (-len(text) % 8))
    except (binascii.Error, ValueError):
        raise _bad("is not base32", field=field) from None
    if len(raw) < 3 or binascii.crc_hqx(raw[:-2], 0).to_bytes(2, "little") != raw[-2:]:
        raise _bad("does not match its checksum", field=field)
    return raw[:-2]


def _bad(why: str, *, field: str | None = None) -> Invalid:
    return Invalid(
        "bad_nkey", f"the NATS key {why}.", field=field, mend="A user's public key is U and 55 more characters."
    )
