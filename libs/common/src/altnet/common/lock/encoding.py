"""One spelling for what is signed: JSON of a struct's fields, all of them in their declared order, no blanks, UTF-8.

A reader decodes the text, encodes what it read, and refuses a text that differs: so a hash or a signature has one
content, and people can read it on a machine without network. Invariant: no text is read beyond its bound.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Final, TypeVar

import msgspec
from altnet.common.errors import UNREADABLE, AltnetError, Invalid
from altnet.common.signing import SIGNATURE_BYTES, SigningKey, VerifyKey

LARGEST_TEXT: Final = 64 * 2**10
"""Bytes of one signed text; 256 prefixes and 16 keys stay far below it."""

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
KeyText = Annotated[str, msgspec.Meta(min_length=44, max_length=44)]
"""32 bytes in base64."""
SignatureText = Annotated[str, msgspec.Meta(min_length=88, max_length=88)]
"""64 bytes in base64."""
Text = Annotated[str, msgspec.Meta(max_length=LARGEST_TEXT)]
Name = Annotated[str, msgspec.Meta(max_length=128)]

_T = TypeVar("_T")


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """Who signed. Keys and signatures in base64."""

    key: KeyText
    signature: SignatureText


def canonical(value: msgspec.Struct) -> str:
    """The one text of a value."""
    return msgspec.json.encode(value).decode()


def read(text: str, kind: Any, *, what: str) -> Any:
    """A value out of its one text. Raises `Invalid` (`lock_too_large`, `lock_unreadable`, `lock_not_canonical`)."""
    data = text.encode()
    if len(data) > LARGEST_TEXT:
        raise Invalid("lock_too_large", f"{what}: {len(data)} bytes, of at most {LARGEST_TEXT}.")
    try:
        value = msgspec.json.decode(data, type=kind)
    except UNREADABLE as error:
        raise Invalid("lock_unreadable", f"{what}: {error}.") from None
    if msgspec.json.encode(value) != data:
        raise Invalid("lock_not_canonical", f"{what} is not in its one spelling: JSON, fields in order, no blanks.")
    return value


def sign(text: str, *, by: SigningKey, purpose: bytes) -> Signature:
    """Sign a text for one purpose."""
    signature = by.sign(text.encode(), purpose=purpose)
    return Signature(key=by.public().base64, signature=base64.b64encode(signature).decode())


def signed(text: str, by: Signature, *, purpose: bytes) -> bool:
    """Whether the signature is its key's, of this text, for this purpose, in its one spelling."""
    try:
        raw = base64.b64decode(by.signature, validate=True)
        key = VerifyKey.parse(by.key)
    except (binascii.Error, ValueError, AltnetError):
        return False
    if len(raw) != SIGNATURE_BYTES or base64.b64encode(raw).decode() != by.signature:
        return False
    return key.verifies(raw, purpose=purpose, content=text.encode())
