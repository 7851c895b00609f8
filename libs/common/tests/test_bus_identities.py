"""Keys, passes and the files they lie in; what the server makes of them is in test_bus_permissions.py."""

from __future__ import annotations

import secrets
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from altnet.common.bus.credentials import Credentials
from altnet.common.bus.jwt import (
    BusIdentity,
    make_nkey,
    relay_user_jwt,
    server_config,
    service_credentials,
    sign,
    verify,
)
from altnet.common.bus.nkey import Role, check_user_nkey, public_of
from altnet.common.clock import FixedClock
from altnet.common.errors import Invalid, NotFound
from hypothesis import given, settings
from hypothesis import strategies as st

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def test_keys_are_written_as_every_nats_tool_writes_them() -> None:
    # vector: nats-io/nkeys, README: `nk -inkey` of this seed
    seed = b"SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
    nkeys = pytest.importorskip("nkeys", reason="the reference implementation is not installed")
    assert public_of(seed) == nkeys.from_seed(bytearray(seed)).public_key.decode()


@settings(max_examples=20)
@given(raw=st.binary(min_size=32, max_size=32), data=st.binary(max_size=100), role=st.sampled_from(list(Role)))
def test_what_a_seed_signs_its_public_key_verifies_and_no_other(raw: bytes, data: bytes, role: Role) -> None:
    public, seed = make_nkey(role, lambda _: raw)
    other, _ = make_nkey(role)
    signature = sign(seed, data)
    assert public == public_of(seed)
    assert verify(public, data, signature)
    assert not verify(public, data + b"x", signature)
    assert not verify(other, data, signature)


@pytest.mark.parametrize(
    "text",
    ["", "U", "not base32!", "UAAAA", "A" * 56, make_nkey(Role.ACCOUNT)[0], make_nkey()[1].decode()],
    ids=["empty", "short", "not-base32", "cut-off", "wrong-checksum", "an-accounts-key", "a-seed"],
)
def test_what_is_no_users_public_key_is_refused_with_its_field(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_user_nkey(text, field="/nkey")
    assert (refused.value.code, refused.value.field) == ("bad_nkey", "/nkey")


@settings(max_examples=30)
@given(place=st.integers(0, 55), letter=st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"))
def test_one_wrong_letter_in_a_key_is_noticed(place: int, letter: str) -> None:
    public, _ = make_nkey(randomness=lambda n: bytes(range(n)))
    wrong = public[:place] + letter + public[place + 1 :]
    if wrong != public:
        with pytest.raises(Invalid):
            check_user_nkey(wrong)


def test_credentials_are_kept_private_and_read_back(tmp_path: Path) -> None:
    credentials = service_credentials(BusIdentity.create(FixedClock(NOW)), "keyd")
    path = tmp_path / "keyd.creds"
    credentials.write(path)
    assert Credentials.read(path) == credentials
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert credentials.name == "keyd"
    assert credentials.expires is None


def test_a_seed_never_shows_in_a_repr() -> None:
    identity = BusIdentity.create(FixedClock(NOW))
    credentials = service_credentials(identity, "keyd")
    shown = repr(credentials) + repr(identity) + repr(identity.relay_issuer)
    assert credentials.seed.decode() not in shown
    assert repr(identity) == f"BusIdentity(account={identity.account!r})"
    assert identity.relay_issuer.seed.decode() not in shown


def test_a_file_that_is_no_credentials_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.creds"
    path.write_text("hello")
    with pytest.raises(Invalid, match="not a credentials file"):
        Credentials.read(path)


def test_an_identity_is_the_same_after_saving_and_loading(tmp_path: Path) -> None:
    identity = BusIdentity.create(FixedClock(NOW), secrets.token_bytes)
    identity.save(tmp_path / "bus")
    again = BusIdentity.load(tmp_path / "bus", FixedClock(NOW))
    assert again.account_jwt() == identity.account_jwt()
    assert again.operator_jwt == identity.operator_jwt
    assert service_credentials(again, "dnsd") == service_credentials(identity, "dnsd")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "bus").iterdir()}
    assert modes == {0o600}


def test_everything_is_signed_without_the_operators_root_seed(tmp_path: Path) -> None:
    BusIdentity.create(FixedClock(NOW)).save(tmp_path)
    (tmp_path / "operator.seed").unlink()
    identity = BusIdentity.load(tmp_path)
    identity.revoke({make_nkey()[0]: int(NOW.timestamp())})
    assert identity.account_jwt()


def test_an_absent_identity_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as absent:
        BusIdentity.load(tmp_path)
    assert absent.value.code == "no_bus_identity"
    assert absent.value.mend


def test_revocations_of_two_processes_on_one_directory_add_up(tmp_path: Path) -> None:
    clock = FixedClock(NOW)
    BusIdentity.create(clock).save(tmp_path)
    one, two = BusIdentity.load(tmp_path, clock), BusIdentity.load(tmp_path, clock)
    first, second = make_nkey()[0], make_nkey()[0]
    one.revoke({first: 1_000 + int(NOW.timestamp())})
    two.revoke({second: 2_000 + int(NOW.timestamp()), first: int(NOW.timestamp())})
    assert BusIdentity.load(tmp_path, clock).revocations == {
        first: 1_000 + int(NOW.timestamp()),  # the later instant stays
        second: 2_000 + int(NOW.timestamp()),
    }


def test_a_revocation_is_forgotten_once_no_pass_can_be_older(tmp_path: Path) -> None:
    clock = FixedClock(NOW)
    identity = BusIdentity.create(clock)
    nkey = make_nkey()[0]
    identity.revoke({nkey: int(NOW.timestamp())})
    clock.advance(7 * 86_400)
    identity.revoke({})
    assert nkey in identity.revocations
    clock.advance(2 * 86_400)
    identity.revoke({})
    assert nkey not in identity.revocations


@pytest.mark.parametrize("life", [timedelta(0), timedelta(seconds=-1), timedelta(days=7, seconds=1)])
def test_a_relays_pass_must_end_within_a_week(life: timedelta) -> None:
    clock = FixedClock(NOW)
    with pytest.raises(Invalid) as refused:
        relay_user_jwt(
            BusIdentity.create(clock),
            relay="rly_1",
            network="net_1",
            nkey=make_nkey()[0],
            expires=NOW + life,
            clock=clock,
        )
    assert (refused.value.code, refused.value.field) == ("bad_expiry", "/expires")


@pytest.mark.parametrize("relay", ["*", ">", "a.b", "", "rly 1", "{{name()}}"])
def test_a_relays_name_can_not_widen_its_rights(relay: str) -> None:
    clock = FixedClock(NOW)
    with pytest.raises(ValueError, match="not a subject token"):
        relay_user_jwt(
            BusIdentity.create(clock),
            relay=relay,
            network="net_1",
            nkey=make_nkey()[0],
            expires=NOW + timedelta(hours=1),
            clock=clock,
        )


def test_the_servers_configuration_holds_no_secret_and_syncs_each_write(tmp_path: Path) -> None:
    identity = BusIdentity.create(FixedClock(NOW))
    identity.save(tmp_path)
    text = server_config(identity, host="::1", port=4222, store_dir=tmp_path)
    saved = (tmp_path / "identity.json").read_text()
    seeds = [word for word in saved.replace('"', " ").split() if word.startswith("S") and len(word) == 58]
    assert len(seeds) == 4 + 6
    assert not any(seed in text for seed in seeds)
    assert "sync_interval: always" in text
    assert 'listen: "[::1]:4222"' in text


def test_an_unknown_user_of_the_bus_gets_nothing() -> None:
    with pytest.raises(ValueError, match="no such user"):
        service_credentials(BusIdentity.create(FixedClock(NOW)), "mallory")
