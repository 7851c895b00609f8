"""What is sealed opens for its recipient and its purpose, and for nothing else."""

import base64

import pytest
from altnet.common.errors import Broken
from altnet.common.keys import PrivateKey, PublicKey
from altnet.common.seal import seal, unseal
from hypothesis import given
from hypothesis import strategies as st

KEY = PrivateKey.generate()


@given(st.binary(max_size=300), st.binary(max_size=40))
def test_the_recipient_reads_what_was_sealed(plain: bytes, context: bytes) -> None:
    assert unseal(seal(plain, to=KEY.public(), context=context), key=KEY, context=context) == plain


def test_two_seals_of_one_text_have_nothing_in_common() -> None:
    one, other = (base64.b64decode(seal(b"word", to=KEY.public(), context=b"c")) for _ in range(2))

    assert one[:32] != other[:32]
    assert one[32:] != other[32:]


def test_another_key_and_another_purpose_do_not_open_it() -> None:
    text = seal(b"word", to=KEY.public(), context=b"bgp password of a")

    with pytest.raises(Broken):
        unseal(text, key=PrivateKey.generate(), context=b"bgp password of a")
    with pytest.raises(Broken):
        unseal(text, key=KEY, context=b"bgp password of b")


@given(st.integers(0, 200), st.integers(1, 255))
def test_one_altered_byte_anywhere_closes_it(at: int, by: int) -> None:
    raw = bytearray(base64.b64decode(seal(b"a secret word", to=KEY.public(), context=b"c")))
    raw[at % len(raw)] ^= by
    # The top bit of an X25519 point is ignored by the exchange (RFC 7748 §5); it is bound by the key derivation.
    with pytest.raises(Broken):
        unseal(base64.b64encode(bytes(raw)).decode(), key=KEY, context=b"c")


@given(st.one_of(st.text(max_size=80), st.binary(max_size=80).map(lambda raw: base64.b64encode(raw).decode())))
def test_what_is_no_sealed_text_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(Broken) as refusal:
        unseal(text, key=KEY, context=b"c")

    assert len(text) < 12 or text not in str(refusal.value)


def test_a_point_of_small_order_is_refused() -> None:
    with pytest.raises(Broken):
        seal(b"word", to=PublicKey(b"\x01" + bytes(31)), context=b"c")
