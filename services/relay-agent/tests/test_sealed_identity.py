"""The identity at rest, sealed by the real systemd-creds with a host key of the test's own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from altnet.common.errors import Invalid, Unavailable
from altnet.relay_agent import sealing
from altnet.relay_agent.disk_state import DiskState
from altnet.relay_agent.sealing import NAME, PROGRAM, Sealing, SystemdCreds
from altnet.relay_agent.state import Identity
from support.relays import identity_of


def _works() -> bool:
    return shutil.which(PROGRAM) is not None


pytestmark = [pytest.mark.skipif(not _works(), reason="NOT TESTED: sealing an identity needs systemd-creds")]


@pytest.fixture(autouse=True)
def host_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This test's own host key, so that none is made for the machine."""
    path = tmp_path / "host" / "credential.secret"
    path.parent.mkdir(mode=0o700)
    monkeypatch.setenv("SYSTEMD_CREDENTIAL_SECRET", str(path))
    try:
        SystemdCreds("host").seal(b"x")
    except Unavailable as error:  # no right to make one, or a systemd without the means
        pytest.skip(f"NOT TESTED: systemd-creds does not work here: {error}")
    return path


def open_state(path: Path, seal: Sealing = "off") -> DiskState:
    state = DiskState(path / "state", make=lambda: identity_of("me"), seal=seal)
    state.open()
    return state


def secrets_of(identity: Identity) -> list[bytes]:
    return [
        text.encode()
        for text in (identity.nkey_seed, identity.mesh_key, identity.access_key, identity.identity_key)
        if text
    ]


def lie_in_the_clear(path: Path, identity: Identity) -> list[str]:
    files = [file for file in (path / "state").iterdir() if file.is_file()]
    return [file.name for file in files for secret in secrets_of(identity) if secret in file.read_bytes()]


async def test_a_sealed_identity_is_read_back_and_no_key_lies_in_the_clear(tmp_path: Path) -> None:
    identity = open_state(tmp_path, "host").identity()
    again = open_state(tmp_path, "host")
    assert again.identity() == identity
    await again.save_identity(identity)
    assert open_state(tmp_path, "host").identity() == identity
    assert lie_in_the_clear(tmp_path, identity) == []
    assert (tmp_path / "state" / "identity.cred").stat().st_mode & 0o777 == 0o600


async def test_an_identity_is_sealed_and_unsealed_as_the_setting_says_and_stays_the_same(tmp_path: Path) -> None:
    identity = open_state(tmp_path).identity()
    assert lie_in_the_clear(tmp_path, identity)
    assert open_state(tmp_path, "host").identity() == identity
    assert lie_in_the_clear(tmp_path, identity) == []
    assert open_state(tmp_path).identity() == identity
    assert not (tmp_path / "state" / "identity.cred").exists()
    assert open_state(tmp_path).identity() == identity


def test_what_was_sealed_on_another_host_or_is_torn_is_refused_and_no_new_keys_are_made(
    tmp_path: Path, host_key: Path
) -> None:
    identity = open_state(tmp_path, "host").identity()
    kept = host_key.read_bytes()
    host_key.unlink()
    SystemdCreds("host").seal(b"makes another host key")
    with pytest.raises(Unavailable, match="does not decrypt"):
        open_state(tmp_path, "host").identity()
    host_key.unlink()
    host_key.write_bytes(kept)
    host_key.chmod(0o400)
    assert open_state(tmp_path, "host").identity() == identity
    file = tmp_path / "state" / "identity.cred"
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(Unavailable):
        open_state(tmp_path, "host").identity()


def test_another_credential_of_this_host_does_not_pass_for_the_identity() -> None:
    other = subprocess.run(
        [PROGRAM, "encrypt", "--with-key=host", "--name=something-else", "-", "-"],
        input=b"{}",
        capture_output=True,
        check=True,
    )
    with pytest.raises(Unavailable):
        SystemdCreds("host").open(other.stdout)
    assert NAME != "something-else"


def test_where_it_is_wanted_and_missing_nothing_is_written_in_the_clear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "PROGRAM", "no-such-program")
    with pytest.raises(Invalid, match="cannot be sealed"):
        open_state(tmp_path, "auto")
    monkeypatch.setattr(SystemdCreds, "__init__", _broken)
    monkeypatch.setattr(sealing, "PROGRAM", PROGRAM)
    with pytest.raises(Unavailable):
        open_state(tmp_path, "host").identity()
    assert not list((tmp_path / "state").glob("identity*"))


def _broken(self: SystemdCreds, with_key: str = "auto") -> None:
    self._with_key, self._program, self._within = with_key, "/bin/false", 5.0
