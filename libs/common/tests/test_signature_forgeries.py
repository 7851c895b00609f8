"""Second signatures for a text, second spellings of a key, and keys that anybody can sign for: none of them count.

The points are computed here (RFC 8032 section 5.1), so that the list in the code is checked and not copied.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import itertools
from collections.abc import Iterator

import pytest
from altnet.common.bus import nkey
from altnet.common.errors import Invalid
from altnet.common.signing import SigningKey, VerifyKey, proves_nothing
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ROOT = pow(2, (P - 1) // 4, P)
NEUTRAL = (0, 1)

Point = tuple[int, int]


def add(one: Point, other: Point) -> Point:
    (x1, y1), (x2, y2) = one, other
    product = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, P)
    y = (y1 * y2 + x1 * x2) * pow(1 - product, -1, P)
    return x % P, y % P


def times(factor: int, point: Point) -> Point:
    result = NEUTRAL
    while factor:
        if factor & 1:
            result = add(result, point)
        point, factor = add(point, point), factor >> 1
    return result


def point_at(y: int) -> Point | None:
    """One of the two points of this y."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * ROOT % P
    return (x, y) if x * x % P == square else None


def small_points() -> set[Point]:
    """All eight whose order divides 8: whatever point is multiplied by the large prime ends among them."""
    found = {NEUTRAL}
    for y in itertools.count(2):
        start = point_at(y)
        if start is not None:
            found |= {times(n, times(ORDER, start)) for n in range(8)}
        if len(found) == 8:
            return found
    raise AssertionError


def spellings(point: Point) -> Iterator[bytes]:
    """Every 32 bytes that a lax reader takes for the point: y or y + p, and for x = 0 either sign."""
    x, y = point
    for value in (y, y + P):
        for sign in {x & 1, 1} if x == 0 else {x & 1}:
            if value < 2**255:
                yield (value | sign << 255).to_bytes(32, "little")


WEAK = sorted(spelling for point in small_points() for spelling in spellings(point))


def user_nkey(raw: bytes) -> str:
    whole = bytes([nkey.Role.USER]) + raw
    return base64.b32encode(whole + binascii.crc_hqx(whole, 0).to_bytes(2, "little")).decode().rstrip("=")


def forged() -> bytes:
    """(R, S) where R is S times the base point: what the neutral point "signs", over any text.

    A public key is such an R, of a scalar that its holder knows (RFC 8032 section 5.1.5).
    """
    scalar = int.from_bytes(hashlib.sha512(bytes(32)).digest()[:32], "little") & ((1 << 254) - 8) | 1 << 254
    public = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()
    return public.public_bytes_raw() + (scalar % ORDER).to_bytes(32, "little")


def test_there_are_eight_points_of_small_order_and_no_spelling_of_one_is_a_key() -> None:
    assert len(small_points()) == 8
    assert all(times(8, point) == NEUTRAL for point in small_points())
    assert len(WEAK) == 14
    for raw in WEAK:
        assert proves_nothing(raw), raw.hex()
        text = base64.b64encode(raw).decode()
        with pytest.raises(Invalid) as bad_key:
            VerifyKey.parse(text, field="/signing_key")
        assert (bad_key.value.code, bad_key.value.field) == ("bad_signing_key", "/signing_key")
        with pytest.raises(Invalid) as bad_nkey:
            nkey.check_user_nkey(user_nkey(raw), field="/nkey")
        assert (bad_nkey.value.code, bad_nkey.value.field) == ("bad_nkey", "/nkey")


def test_a_signature_that_nobody_made_is_none_although_the_library_takes_it() -> None:
    taken = 0
    for raw, number in itertools.product(WEAK, range(16)):
        content = f"text {number}".encode()
        with contextlib.suppress(InvalidSignature, ValueError):  # some are refused, by the chance of their hash
            Ed25519PublicKey.from_public_bytes(raw).verify(forged(), b"purpose\0" + content)
            taken += 1
        assert not VerifyKey(raw).verifies(forged(), purpose=b"purpose", content=content)
        assert not nkey.verify(user_nkey(raw), content, forged())
    assert taken > 0, "else this shows nothing"


def test_a_key_is_written_in_one_way() -> None:
    for y in range(19):
        second = (y + P).to_bytes(32, "little")
        assert proves_nothing(second)
        assert proves_nothing((int.from_bytes(second, "little") | 1 << 255).to_bytes(32, "little"))


@given(seed=st.binary(min_size=32, max_size=32), content=st.binary(max_size=64))
def test_a_signature_cannot_be_turned_into_a_second_one(seed: bytes, content: bytes) -> None:
    key = SigningKey(seed)
    public, private = nkey.make_nkey(randomness=lambda _: seed)
    assert not proves_nothing(key.public().raw)
    for signature, holds in (
        (key.sign(content, purpose=b"p"), lambda it: key.public().verifies(it, purpose=b"p", content=content)),
        (nkey.sign(private, content), lambda it: nkey.verify(public, content, it)),
    ):
        r, s = signature[:32], int.from_bytes(signature[32:], "little")
        assert holds(signature)
        for other in (s + ORDER, s + 2 * ORDER, ORDER - s):
            assert not holds(r + other.to_bytes(32, "little"))
        flipped = (int.from_bytes(r, "little") ^ 1 << 255).to_bytes(32, "little")
        assert not holds(flipped + signature[32:])
        for wrong in (signature[:63], signature + b"\0", b"", bytes(64)):
            assert not holds(wrong)
