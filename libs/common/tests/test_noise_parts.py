"""The parts of the channel: window, frames, sessions, rates, pins, fingerprints, the psk."""

from __future__ import annotations

import msgspec
import pytest
from altnet.common.errors import AltnetError, Invalid, Unauthenticated
from altnet.common.keys import PrivateKey
from altnet.common.noise import first_contact, wire
from altnet.common.noise.engine import Keys
from altnet.common.noise.failures import EXPIRED, REFUSED, REPLAYED
from altnet.common.noise.pins import KeyUse, Pins, ServiceKey, current, endorse, follow
from altnet.common.noise.rates import Buckets, Rate
from altnet.common.noise.session import Session, SessionLimits
from altnet.common.noise.window import ReplayWindow
from altnet.common.signing import SigningKey, VerifyKey, fingerprint, same_fingerprint
from hypothesis import given, settings
from hypothesis import strategies as st

ID = b"session8"


def pair(limits: SessionLimits | None = None) -> tuple[Session, Session]:
    keys = Keys(send=b"a" * 32, receive=b"b" * 32, binding=b"h" * 32)
    other = Keys(send=b"b" * 32, receive=b"a" * 32, binding=b"h" * 32)
    chosen = limits or SessionLimits()
    return Session(ID, keys, limits=chosen, now=0.0), Session(ID, other, limits=chosen, now=0.0)


@settings(max_examples=150)
@given(st.integers(1, 130), st.lists(st.one_of(st.integers(0, 300), st.integers(0, 2**64 - 2)), max_size=200))
def test_the_window_accepts_what_a_set_of_all_numbers_would(size: int, numbers: list[int]) -> None:
    window, seen = ReplayWindow(size), set[int]()
    for number in numbers:
        fresh = number not in seen and (not seen or number > max(seen) - size)
        assert window.check(number) == fresh
        if fresh:
            window.mark(number)
            seen.add(number)


def test_the_window_is_two_thousand_and_forty_eight_wide() -> None:
    window = ReplayWindow()
    window.mark(10_000)

    assert window.check(10_000 - 2047)
    assert not window.check(10_000 - 2048)
    assert SessionLimits().window >= 2048


@given(st.binary(max_size=200))
def test_whatever_bytes_come_they_are_a_frame_or_refused(data: bytes) -> None:
    readers = (wire.read_hello, wire.read_welcome, wire.read_record)
    read, codes = [], set[str]()
    for reader in readers:
        try:
            read.append(reader(data))  # type: ignore[operator]
        except Invalid as refusal:
            codes.add(refusal.code)

    assert len(read) <= 1  # no frame is two kinds
    assert codes <= {"noise_bad_frame"}


@given(st.lists(st.tuples(st.integers(0, 19), st.booleans()), max_size=60))
def test_records_open_once_in_any_order(arrivals: list[tuple[int, bool]]) -> None:
    sender, receiver = pair()
    frames = [sender.seal(b"number %d" % number, now=0.0) for number in range(20)]
    opened: set[int] = set()
    refusals: list[tuple[str, str]] = []
    honest = False
    for number, damaged in arrivals:
        frame = frames[number][:-1] + bytes([frames[number][-1] ^ damaged])
        try:
            assert receiver.open(wire.read_record(frame), now=0.0) == b"number %d" % number
            assert not damaged
            assert number not in opened
            opened.add(number)
        except Unauthenticated as refusal:
            refusals.append((refusal.code, REPLAYED if number in opened else REFUSED))
            honest = honest or not (damaged or number in opened)

    assert all(code == expected for code, expected in refusals)
    assert not honest


def test_a_forged_counter_does_not_push_the_window_on() -> None:
    sender, receiver = pair()
    frame = sender.seal(b"word", now=0.0)
    forged = wire.record_header(ID, 1_000_000) + frame[wire.HEADER_BYTES :]
    with pytest.raises(Unauthenticated, match="authenticate"):
        receiver.open(wire.read_record(forged), now=0.0)

    assert receiver.open(wire.read_record(frame), now=0.0) == b"word"


def test_an_answer_fits_its_own_request_alone() -> None:
    ours, theirs = pair()
    one, other = ours.seal(b"one", now=0.0), ours.seal(b"other", now=0.0)
    answer = theirs.seal(b"to one", now=0.0, context=one[: wire.HEADER_BYTES])

    with pytest.raises(Unauthenticated):
        ours.open(wire.read_record(answer), now=0.0, context=other[: wire.HEADER_BYTES])
    assert ours.open(wire.read_record(answer), now=0.0, context=one[: wire.HEADER_BYTES]) == b"to one"


def test_a_session_grows_stale_by_age_and_by_count_and_then_ends() -> None:
    limits = SessionLimits(rekey_after=10, reject_after=20, rekey_after_messages=3, reject_after_messages=5)
    ours, theirs = pair(limits)
    assert (ours.stale(9.9), ours.stale(10), ours.over(19.9), ours.over(20)) == (False, True, False, True)

    frames = [ours.seal(b"", now=0.0) for _ in range(5)]

    assert ours.stale(0.0)
    with pytest.raises(Unauthenticated) as ended:
        ours.seal(b"", now=0.0)
    assert ended.value.code == EXPIRED
    assert theirs.open(wire.read_record(frames[4]), now=19.9) == b""
    with pytest.raises(Unauthenticated) as late:
        theirs.open(wire.read_record(frames[3]), now=20.0)
    assert late.value.code == EXPIRED


def test_a_rate_is_a_peers_own_and_its_memory_is_bounded() -> None:
    buckets = Buckets(Rate(burst=2, per_second=0.5), most=3)

    assert [buckets.take("a", 0.0) for _ in range(3)] == [0.0, 0.0, 2.0]
    assert buckets.take("b", 0.0) == 0.0
    assert buckets.take("a", 2.0) == 0.0
    for number in range(100):
        buckets.take(f"stranger {number}", 3.0)
    assert len(buckets) == 3


def chain(length: int) -> tuple[list[SigningKey], list[ServiceKey]]:
    """Signing keys one after the other, and a static key endorsed by the last."""
    signers = [SigningKey.generate() for _ in range(length)]
    keys = []
    for number, signer in enumerate(signers):
        public = signer.public().base64
        keys.append(
            ServiceKey(
                use=KeyUse.SIGNING,
                key=public,
                current=number == length - 1,
                endorsed_by=signers[number - 1].public().base64 if number else "",
                endorsement=endorse(KeyUse.SIGNING, public, by=signers[number - 1]) if number else "",
            )
        )
    return signers, keys


def static_key(signer: SigningKey) -> ServiceKey:
    public = PrivateKey.generate().public().base64
    return ServiceKey(
        use=KeyUse.STATIC,
        key=public,
        current=True,
        endorsed_by=signer.public().base64,
        endorsement=endorse(KeyUse.STATIC, public, by=signer),
    )


def test_a_host_follows_several_rotations_at_once_and_moves_its_pins() -> None:
    signers, keys = chain(4)
    keys.append(static_key(signers[3]))

    pins = follow(Pins(static="old", signing=signers[0].public().base64), keys)

    assert pins == Pins(static=keys[-1].key, signing=signers[3].public().base64)


def test_keys_that_no_pinned_key_leads_to_are_refused() -> None:
    signers, keys = chain(2)
    stranger = SigningKey.generate()
    pinned = Pins(static="old", signing=signers[0].public().base64)

    for answer in (
        [*keys, static_key(stranger)],
        [*chain(1)[1], static_key(signers[1])],
        [msgspec.structs.replace(keys[1], endorsement="AAAA"), static_key(signers[1])],
    ):
        with pytest.raises(Unauthenticated) as refusal:
            follow(pinned, answer)
        assert refusal.value.code == "not_endorsed"


def test_an_older_signing_key_does_not_lead_back() -> None:
    signers, _keys = chain(2)
    back = ServiceKey(
        use=KeyUse.SIGNING,
        key=signers[0].public().base64,
        current=True,
    )

    with pytest.raises(Unauthenticated):
        follow(Pins(static="old", signing=signers[1].public().base64), [back, static_key(signers[0])])


def test_an_answer_with_two_current_keys_or_none_is_unclear() -> None:
    signers, keys = chain(1)
    for answer in ([], keys, [*keys, *chain(1)[1], static_key(signers[0])]):
        with pytest.raises(Unauthenticated) as refusal:
            current(answer)
        assert refusal.value.code == "service_keys_unclear"


def test_a_fingerprint_reads_well_and_names_both_keys() -> None:
    static, signing = PrivateKey.generate().public(), SigningKey.generate().public()
    whole = fingerprint(static, signing)

    assert [len(group) for group in whole.split()] == [4] * 8
    assert same_fingerprint(whole, whole.lower().replace(" ", "-"))
    assert not same_fingerprint(whole, fingerprint(static, None))
    assert whole != fingerprint(static, SigningKey.generate().public())


@given(st.text(max_size=60))
def test_what_is_no_signing_key_is_refused_without_being_repeated(text: str) -> None:
    for kind in (VerifyKey, SigningKey):
        with pytest.raises(AltnetError) as refusal:
            kind.parse(text)
        assert len(text) < 8 or text not in str(refusal.value)


def test_a_signature_for_one_purpose_does_not_fit_another_and_keys_never_show() -> None:
    key = SigningKey.generate()
    signature = key.sign(b"content", purpose=b"one")

    assert key.public().verifies(signature, purpose=b"one", content=b"content")
    assert not key.public().verifies(signature, purpose=b"two", content=b"content")
    assert not key.public().verifies(signature[:-1], purpose=b"one", content=b"content")
    assert key.reveal().hex() not in f"{key!r} {key}"


def test_hosts_that_share_a_token_do_not_share_a_psk() -> None:
    digest = first_contact.token_digest("altj_x_y")
    one, other = PrivateKey.generate().public(), PrivateKey.generate().public()

    assert first_contact.psk_of(digest, nkey="UA", identity=one) == first_contact.psk_of(
        digest, nkey="UA", identity=one
    )
    assert first_contact.psk_of(digest, nkey="UA", identity=one) != first_contact.psk_of(
        digest, nkey="UB", identity=one
    )
    assert first_contact.psk_of(digest, nkey="UA", identity=one) != first_contact.psk_of(
        digest, nkey="UA", identity=other
    )
