"""What of statements and certificates counts, by whom they are signed, and when they stop counting."""

from __future__ import annotations

import msgspec
import pytest
from altnet.common.errors import AltnetError, Conflict, Invalid, Unauthenticated
from altnet.common.keys import PrivateKey
from altnet.common.lock.book import Book
from altnet.common.lock.certificates import MOST_CERTIFICATES, WgUse, certify, merged
from altnet.common.lock.encoding import canonical
from altnet.common.lock.log import LockChange, Log, SignedEntry, first_entry, next_entry
from altnet.common.lock.statements import (
    ClientStatement,
    RelayStatement,
    SignedStatement,
    covers,
    sign_statement,
)
from altnet.common.signing import SigningKey
from hypothesis import given, settings
from hypothesis import strategies as st

NETWORK = "net_1"
OWNER, AUTHORITY, OTHER, HOST = (SigningKey(bytes([number]) * 32) for number in range(1, 5))
WG = PrivateKey(b"w" * 32).public().base64


def log_with(*authorities: SigningKey) -> Log:
    keys = [one.public().base64 for one in authorities]
    entry = first_entry(NETWORK, owners=[OWNER.public().base64], threshold=1, authorities=keys)
    return Log(NETWORK).extended([SignedEntry(entry=canonical(entry)).with_signature(OWNER)])


def next_log(log: Log, *authorities: SigningKey) -> Log:
    keys = [one.public().base64 for one in authorities]
    entry = next_entry(log, LockChange.AUTHORITIES, authorities=keys)
    return log.extended([SignedEntry(entry=canonical(entry)).with_signature(OWNER)])


def book(log: Log | None = None, *, pin: str = "") -> Book:
    made = Book(NETWORK, pin=pin)
    made.take_log(log or log_with(AUTHORITY))
    return made


def relay(**fields: object) -> RelayStatement:
    made = RelayStatement(
        network=NETWORK, relay="rly_1", name="one", slot=1, identity=HOST.public().base64, serial=1,
        prefixes=("fd00:12::/48",),
    )  # fmt: skip
    return msgspec.structs.replace(made, **fields)


def certificate(key: str = WG, *, by: SigningKey = HOST, epoch: int = 0, **fields: str):  # type: ignore[no-untyped-def]
    where = {"network": NETWORK, "relay": "rly_1", **fields}
    return certify(use=WgUse.MESH, epoch=epoch, key=key, by=by, **where)


def test_a_statement_counts_by_an_authority_in_force_alone() -> None:
    kept = book()
    assert not kept.put(sign_statement(relay(), by=OTHER))
    assert not kept.put(sign_statement(relay(network="net_2"), by=AUTHORITY))
    assert not kept.put(SignedStatement(**{**_fields(sign_statement(relay(), by=OTHER)), "authority": _key(AUTHORITY)}))
    assert kept.relay("rly_1") is None
    assert kept.put(sign_statement(relay(), by=AUTHORITY))
    assert kept.relay("rly_1") == relay()
    kept.take_log(next_log(kept.log, OTHER))
    assert kept.relay("rly_1") is None
    assert kept.put(sign_statement(relay(), by=OTHER))


def test_a_statement_gives_way_to_a_higher_serial_only() -> None:
    kept = book()
    assert kept.put(sign_statement(relay(serial=5), by=AUTHORITY))
    assert not kept.put(sign_statement(relay(serial=5, slot=9), by=AUTHORITY))
    assert not kept.put(sign_statement(relay(serial=4, slot=9), by=AUTHORITY))
    assert kept.put(sign_statement(relay(serial=6, revoked=True), by=AUTHORITY))
    assert (kept.relay("rly_1"), kept.serial("rly_1")) == (None, 6)
    assert not kept.put(sign_statement(relay(serial=5), by=AUTHORITY))


def test_a_key_counts_by_the_identity_that_is_vouched_for_alone() -> None:
    kept = book()
    mine = certificate()
    kept.certify("rly_1", [mine])
    assert not kept.certified("rly_1", WgUse.MESH, epoch=0, key=WG)  # nobody has vouched for the host yet
    kept.put(sign_statement(relay(), by=AUTHORITY))
    assert kept.certified("rly_1", WgUse.MESH, epoch=0, key=WG)
    assert not kept.certified("rly_1", WgUse.MESH, epoch=1, key=WG)
    assert not kept.certified("rly_1", WgUse.ACCESS, epoch=0, key=WG)
    kept.put(sign_statement(relay(identity=_key(OTHER), serial=2), by=AUTHORITY))
    assert not kept.certified("rly_1", WgUse.MESH, epoch=0, key=WG)


@pytest.mark.parametrize("wrong", [{"by": OTHER}, {"network": "net_2"}, {"relay": "rly_2"}])
def test_a_certificate_of_somebody_or_somewhere_else_is_none(wrong: dict[str, object]) -> None:
    kept = book()
    kept.put(sign_statement(relay(), by=AUTHORITY))
    assert not kept.certify("rly_1", [certificate(**wrong)])  # type: ignore[arg-type]  # a shorthand of these tests
    assert not kept.certified("rly_1", WgUse.MESH, epoch=0, key=WG)


def test_junk_does_not_push_good_certificates_out() -> None:
    kept = book()
    kept.put(sign_statement(relay(), by=AUTHORITY))
    kept.certify("rly_1", [certificate()])
    for epoch in range(1, 40):
        kept.certify("rly_1", [certificate(by=OTHER, epoch=epoch)])
    assert kept.certified("rly_1", WgUse.MESH, epoch=0, key=WG)


def test_the_key_of_before_stays_beside_the_new_one() -> None:
    keys = [PrivateKey(bytes([number]) * 32).public().base64 for number in range(1, 20)]
    known: tuple[object, ...] = ()
    for epoch, key in enumerate(keys):
        known = merged(known, [certificate(key, epoch=epoch)])  # type: ignore[arg-type]  # a shorthand of these tests
        epochs = {one.epoch for one in known}  # type: ignore[attr-defined]  # a shorthand of these tests
        assert {epoch, max(0, epoch - 1)} <= epochs
        assert len(known) <= MOST_CERTIFICATES


def test_a_pinned_log_is_the_only_one_and_before_it_nothing_counts() -> None:
    log, other = log_with(AUTHORITY), log_with(OTHER)
    kept = Book(NETWORK, pin=log.fingerprint.lower())
    assert kept.enforced
    with pytest.raises(Conflict, match="fingerprint"):
        kept.take_log(other)
    assert kept.take_log(log)
    assert Book(NETWORK).enforced is False


def test_the_first_log_that_is_seen_is_the_one_and_no_other_replaces_it() -> None:
    kept = book(log_with(AUTHORITY))
    other = log_with(OTHER)
    with pytest.raises(Conflict, match="differs"):
        kept.follow(length=1, head=other.head, entries=other.entries)


def test_a_statement_that_nobody_could_use_is_not_made() -> None:
    for bad in (relay(prefixes=("fd00::1/48",)), relay(outside=("x",)), relay(identity="A" * 44)):
        with pytest.raises(Invalid) as error:
            sign_statement(bad, by=AUTHORITY)
        assert error.value.code == "lock_bad_statement"
    client = ClientStatement(network=NETWORK, client="cli_1", name="x", key="A" * 44, addresses=(), serial=1)
    with pytest.raises(Invalid):
        sign_statement(client, by=AUTHORITY)


def test_a_statement_that_was_touched_is_not_signed() -> None:
    made = sign_statement(relay(), by=AUTHORITY)
    touched = msgspec.structs.replace(made, statement=made.statement.replace('"slot":1', '"slot":2'))
    with pytest.raises(Unauthenticated, match="not signed by"):
        touched.opened()


def test_a_prefix_is_covered_by_itself_and_by_what_is_wider() -> None:
    have = ("fd00:12::/48", "10.0.0.0/8")
    for wanted in ("fd00:12::/48", "fd00:12:0:7::/64", "10.2.3.0/24"):
        assert covers(have, wanted)
    for wanted in ("fd00::/16", "::/0", "0.0.0.0/0", "11.0.0.0/8", "fd00:13::/48", "not a prefix", "10.0.0.1/8"):
        assert not covers(have, wanted)
    assert not covers((), "fd00:12::/48")


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda raw: raw.decode("latin-1")), st.integers(0, 2))
@settings(max_examples=200, deadline=None)
def test_no_text_from_the_network_does_more_than_be_refused(text: str, where: int) -> None:
    good = sign_statement(relay(), by=AUTHORITY)
    name = ("statement", "authority", "signature")[where]
    item = msgspec.structs.replace(good, **{name: text})
    kept = book()
    if getattr(good, name) != text:
        assert not kept.put(item)
    with pytest.raises(AltnetError):
        Log(NETWORK).extended([SignedEntry(entry=text)])


def _fields(one: SignedStatement) -> dict[str, str]:
    return {"statement": one.statement, "signature": one.signature}


def _key(of: SigningKey) -> str:
    return of.public().base64
