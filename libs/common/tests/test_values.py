"""Identifiers, keys and clocks."""

from datetime import UTC, datetime, timedelta

import pytest
from altnet.common import ids
from altnet.common.clock import FixedClock, SystemClock
from altnet.common.errors import Conflict, Invalid
from altnet.common.keys import PrivateKey, PublicKey
from hypothesis import given
from hypothesis import strategies as st

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
moments = st.datetimes(datetime(2024, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 (hypothesis wants naive bounds)


@given(st.sampled_from(sorted(ids.KINDS)), moments, st.binary(min_size=10, max_size=10))
def test_an_identifier_passes_its_own_check_and_no_other_kinds(kind: str, now: datetime, noise: bytes) -> None:
    text = ids.new_id(kind, now, lambda count: noise[:count])

    assert ids.check_id(kind, text) == text
    other = next(k for k in ids.KINDS if k != kind)
    with pytest.raises(Invalid):
        ids.check_id(other, text)


@given(moments, st.integers(1, 10**9))
def test_identifiers_sort_by_time_of_creation(now: datetime, later: int) -> None:
    earlier_id = ids.new_id(ids.RELAY, now)
    later_id = ids.new_id(ids.RELAY, now + timedelta(milliseconds=later))

    assert earlier_id < later_id


@pytest.mark.parametrize("text", ["", "rly_", "rly_*", "rly_01.>", "RLY_01m84h7b5nfbnr3sgfvd70cepa", "x" * 10_000])
def test_what_is_no_identifier_is_refused_with_its_field(text: str) -> None:
    with pytest.raises(Invalid) as refusal:
        ids.check_id(ids.RELAY, text, field="/relay")

    assert refusal.value.code == "bad_id"
    assert refusal.value.field == "/relay"


def test_a_private_key_never_shows_itself() -> None:
    key = PrivateKey.generate()

    shown = f"{key} {key!r} {[key]} {key:}"

    assert key.reveal().hex() not in shown
    assert "hidden" in shown


@given(st.binary(min_size=32, max_size=32))
def test_a_generated_key_is_clamped_and_reads_back(noise: bytes) -> None:
    key = PrivateKey.generate(lambda count: noise[:count])

    raw = key.reveal()
    assert raw[0] & 7 == 0
    assert raw[31] & 0b1100_0000 == 0b0100_0000
    assert PublicKey.parse(key.public().base64) == key.public()


@pytest.mark.parametrize(
    "text",
    ["", "abc", "A" * 43, "A" * 44, "A" * 43 + "=", "A" * 42 + "B=", "!" * 44, "QUJD\n" * 9],
    ids=["empty", "short", "unpadded", "no-padding", "zero", "stray-bits", "not-base64", "newlines"],
)
def test_a_malformed_public_key_names_the_field_and_the_mend(text: str) -> None:
    with pytest.raises(Invalid) as refusal:
        PublicKey.parse(text, field="/key")

    assert refusal.value.code == "bad_public_key"
    assert refusal.value.field == "/key"


def test_a_refused_private_key_is_not_repeated() -> None:
    with pytest.raises(Invalid) as refusal:
        PrivateKey.parse("secretsecretsecret")

    assert "secretsecret" not in str(refusal.value)


def test_an_error_says_field_reason_and_mend() -> None:
    error = Conflict("name_taken", "the name is taken.", field="/name", mend="Choose another.")

    assert str(error) == "/name: the name is taken. Choose another."


def test_a_fixed_clock_moves_only_when_told() -> None:
    clock = FixedClock(NOON)
    clock.advance(1.5)

    assert clock.now() == NOON + timedelta(seconds=1.5)
    assert clock.monotonic() == 1.5
    with pytest.raises(ValueError, match="back"):
        clock.advance(-1)
    with pytest.raises(ValueError, match="aware"):
        FixedClock(datetime(2026, 1, 1))  # noqa: DTZ001 (a naive time is the point)


def test_the_system_clock_is_aware_and_monotonic() -> None:
    clock = SystemClock()

    assert clock.now().tzinfo is UTC
    assert clock.monotonic() <= clock.monotonic()
