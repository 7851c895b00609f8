"""Files of the network lock: keys stay where they were made, and what is passed around is signed by whom it needs."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from altnet.common.errors import AltnetError, Conflict, Invalid
from altnet.common.lock.encoding import canonical
from altnet.common.lock.log import LockChange, Log, SignedEntry, first_entry, next_entry
from altnet.common.lock.statements import ClientStatement, RelayStatement
from altnet.common.signing import SigningKey
from altnet.host.operator.lock_files import (
    Carried,
    make_key,
    read_carried,
    read_key,
    sign_carried,
    words_of,
    write_carried,
)
from altnet.host.operator.lock_subjects import Subject, chosen, merged, revoking, suffices

NETWORK = "net_1"
A, B, C, AUTHORITY = (SigningKey(bytes([number]) * 32) for number in range(1, 5))


def public(*keys: SigningKey) -> list[str]:
    return [one.public().base64 for one in keys]


def log() -> Log:
    entry = first_entry(NETWORK, owners=public(A, B), threshold=2, authorities=public(AUTHORITY))
    return Log(NETWORK).extended([SignedEntry(entry=canonical(entry)).with_signature(A).with_signature(B)])


def carried(change: LockChange = LockChange.DISABLE, **fields: object) -> Carried:
    known = log()
    entry = next_entry(known, change, **fields)  # type: ignore[arg-type]  # a shorthand of these tests
    return Carried(network=NETWORK, log=known.entries, entry=SignedEntry(entry=canonical(entry)))


def relay(**fields: object) -> RelayStatement:
    made = RelayStatement(
        network=NETWORK, relay="rly_1", name="one", slot=1, identity=public(C)[0], prefixes=("fd00:1::/48",), serial=1
    )
    return msgspec.structs.replace(made, **fields)


def subject(**fields: object) -> Subject:
    return replace(Subject(id="rly_1", name="one", kind="relay", wanted=relay(), known=None), **fields)  # type: ignore[arg-type]


def test_a_key_is_private_is_never_overwritten_and_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "owner.key"
    made = make_key(path, "owner")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_key(path).public() == made
    with pytest.raises(Conflict, match="there already"):
        make_key(path, "owner")
    path.chmod(0o644)
    with pytest.raises(Invalid, match="open to other users"):
        read_key(path)


@pytest.mark.parametrize("text", ["", "{}", "not a key", '{"kind":"altnet-lock-key","role":"owner"}'])
def test_what_is_no_key_file_is_refused_without_quoting_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "owner.key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(Invalid, match=r"holds no key of a network lock\.") as error:
        read_key(path)
    assert not text or text not in str(error.value)


def test_a_file_is_passed_from_owner_to_owner_until_enough_have_signed(tmp_path: Path) -> None:
    path = tmp_path / "request.json"
    write_carried(path, carried())
    for key, missing in ((A, 1), (A, 1), (B, 0)):
        write_carried(path, sign_carried(read_carried(path), [key]))
        assert read_carried(path).missing == missing
    done = read_carried(path)
    assert done.entry is not None
    assert not done.verified_log().extended([done.entry]).enabled
    text = path.read_text()
    for key in (A, B):
        assert key.reveal().hex() not in text


def test_who_is_no_owner_signs_nothing() -> None:
    with pytest.raises(Invalid, match="no owner"):
        sign_carried(carried(), [C])
    new = carried(LockChange.OWNERS, owners=public(B, C), threshold=2)
    assert sign_carried(new, [A, B, C]).missing == 0
    assert sign_carried(new, [A, B]).missing == 1


def test_statements_are_signed_by_one_authority_alone() -> None:
    asked = Carried(network=NETWORK, log=log().entries, statements=(relay(),))
    for keys in ([], [AUTHORITY, A]):
        with pytest.raises(Invalid, match="one authority"):
            sign_carried(asked, keys)
    with pytest.raises(Invalid, match="no authority"):
        sign_carried(asked, [A])
    done = sign_carried(asked, [AUTHORITY])
    assert (done.missing, [one.opened() for one in done.signed]) == (0, [relay()])


def test_who_signs_sees_what_changes() -> None:
    lines = "\n".join(words_of(carried(LockChange.OWNERS, owners=public(B, C), threshold=1)))
    assert log().fingerprint in lines
    assert f"owner {public(C)[0]}  NEW" in lines
    assert f"owner {public(A)[0]}  REMOVED" in lines
    assert "1 of 2 owners sign" in lines
    assert "OFF" in "\n".join(words_of(carried()))
    out = Carried(network=NETWORK, statements=(relay(revoked=True),))
    assert "REVOKED" in words_of(out)[0]


def test_a_file_whose_log_was_touched_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "request.json"
    write_carried(path, carried())
    for old, new in (('"threshold\\":2', '"threshold\\":1'), ("altnet-lock-request", "altnet-lock-demand")):
        text = path.read_text()
        assert old.replace("\\", "\\") in text
        bad = tmp_path / "bad.json"
        bad.write_text(text.replace(old, new))
        with pytest.raises(AltnetError):
            read_carried(bad)
    both = msgspec.structs.replace(carried(), statements=(relay(),))
    write_carried(path, both)
    with pytest.raises(Invalid, match="or both"):
        read_carried(path)


def test_what_is_signed_and_covers_what_is_wanted_is_left_alone() -> None:
    wide = relay(prefixes=("fd00::/16",), serial=7)
    assert not subject(known=wide).lacks
    for other in (relay(slot=2), relay(identity=public(A)[0]), relay(prefixes=()), relay(revoked=True)):
        assert subject(known=other).to_sign
    assert subject(wanted=None).lacks.startswith("its identity key")
    assert "certificate" in subject(known=relay(), certified=False).lacks
    client = ClientStatement(network=NETWORK, client="cli_1", name="x", key=public(A)[0], addresses=(), serial=1)
    assert not suffices(relay(), client)


def test_who_is_out_comes_back_by_name_alone_and_stays_out_under_another_authority() -> None:
    gone = relay(revoked=True)
    still = subject(wanted=relay(serial=2), known=gone, out=True)
    assert (still.to_sign, still.lacks) == (False, "")  # whatever the servers list

    by_nobody = subject(wanted=relay(serial=2), known=None, out=True)
    assert by_nobody.to_sign
    assert by_nobody.lacks
    assert by_nobody.proposed == relay(serial=2, revoked=True)

    assert merged(still) == relay(serial=2)  # what naming it signs


def test_signing_again_takes_nothing_away_and_revoking_says_so() -> None:
    known = relay(prefixes=("fd00:9::/48",), outside=("2001:db8::/32",))
    again = merged(subject(known=known, wanted=relay(serial=2)))
    assert isinstance(again, RelayStatement)
    assert (again.prefixes, again.outside, again.serial) == (("fd00:1::/48", "fd00:9::/48"), ("2001:db8::/32",), 2)
    assert revoking(subject()).revoked
    assert [one.id for one in chosen([subject()], ["one"])] == ["rly_1"]
    with pytest.raises(AltnetError, match="no relay or client"):
        chosen([subject()], ["two"])
