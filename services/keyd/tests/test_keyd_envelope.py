"""Private keys at rest: what opens them, what does not, and where the key to them comes from."""

from __future__ import annotations

import base64
import secrets
from pathlib import Path

import pytest
from altnet.common.errors import Invalid, Unavailable
from altnet.common.settings import Secret, load
from altnet.keyd.domain.envelope import EncryptionKey, about
from altnet.keyd.settings import KeydSettings, encryption_keys
from hypothesis import given
from hypothesis import strategies as st

PRIVATE = b"\xab" * 32
ABOUT = about("static", "public")


def key(byte: bytes = b"k") -> EncryptionKey:
    return EncryptionKey.parse(base64.b64encode(byte * 32).decode(), field="/key")


def sealed(by: EncryptionKey) -> bytes:
    return by.seal(PRIVATE, about=ABOUT, randomness=secrets.token_bytes)


def test_a_sealed_key_opens_with_its_key_and_for_its_name_alone() -> None:
    envelope = sealed(key())

    assert key().open(envelope, about=ABOUT) == PRIVATE
    assert PRIVATE not in envelope
    for opener, name in ((key(b"x"), ABOUT), (key(), about("signing", "public")), (key(), about("static", "other"))):
        with pytest.raises(Unavailable) as refusal:
            opener.open(envelope, about=name)
        assert refusal.value.code == "keys_sealed"


@given(st.integers(0, 200), st.integers(1, 255))
def test_one_altered_byte_anywhere_closes_it(at: int, by: int) -> None:
    envelope = bytearray(sealed(key()))
    envelope[at % len(envelope)] ^= by

    with pytest.raises(Unavailable):
        key().open(bytes(envelope), about=ABOUT)


@given(st.binary(max_size=150))
def test_what_is_no_envelope_is_refused(data: bytes) -> None:
    with pytest.raises(Unavailable):
        key().open(data, about=ABOUT)


def test_rewrapping_gives_it_to_another_key_and_takes_it_from_the_first() -> None:
    before, after = key(b"a"), key(b"b")
    moved = before.rewrap(sealed(before), about=ABOUT, by=after, randomness=secrets.token_bytes)

    assert after.open(moved, about=ABOUT) == PRIVATE
    with pytest.raises(Unavailable):
        before.open(moved, about=ABOUT)


@given(st.text(max_size=80))
def test_what_is_no_key_encryption_key_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(Invalid) as refusal:
        EncryptionKey.parse(text, field="/key_encryption_key")

    assert len(text) < 12 or text not in str(refusal.value)


def test_it_never_shows_itself() -> None:
    assert "kkkk" not in repr(key())
    assert base64.b64encode(b"k" * 32).decode() not in f"{key()!r} {key()}"


def test_the_key_comes_from_the_environment_a_file_or_a_credential(tmp_path: Path) -> None:
    text = base64.b64encode(b"k" * 32).decode()
    (tmp_path / "kek").write_text(text + "\n")
    (tmp_path / "altnet-keyd-kek").write_text(text + "\n")

    for env in (
        {"ALTNET_KEYD_KEY_ENCRYPTION_KEY": text},
        {"ALTNET_KEYD_KEY_ENCRYPTION_KEY_FILE": str(tmp_path / "kek")},
        {"CREDENTIALS_DIRECTORY": str(tmp_path)},
    ):
        found, previous = encryption_keys(load(KeydSettings, prefix="ALTNET_KEYD", env=env), env)
        assert found.id == key().id
        assert previous is None


def test_without_a_key_the_error_says_how_to_give_one() -> None:
    with pytest.raises(Invalid, match="ALTNET_KEYD_KEY_ENCRYPTION_KEY_FILE") as refusal:
        encryption_keys(KeydSettings(), {})
    assert refusal.value.code == "no_key_encryption_key"
    both = KeydSettings(key_encryption_key=Secret("nonsense"))
    with pytest.raises(Invalid, match="32 random bytes"):
        encryption_keys(both, {})
