"""What an agent keeps of keyd and of its token, on disk."""

from __future__ import annotations

import base64
from pathlib import Path

import msgspec
import pytest
from altnet.common.bus.nkey import make_nkey
from altnet.common.errors import Invalid
from altnet.common.noise.first_contact import psk_of, token_digest
from altnet.common.settings import Secret
from altnet.relay_agent.disk_state import DiskState
from altnet.relay_agent.keyd import remember_token
from altnet.relay_agent.state import Keyd, make_identity


def open_state(path: Path) -> DiskState:
    state = DiskState(path / "state", make=lambda: make_identity(make_nkey=make_nkey))
    state.open()
    return state


async def test_a_token_leaves_its_secret_and_not_itself(tmp_path: Path) -> None:
    state, token = open_state(tmp_path), Secret("altj_0123_secretsecret")

    await remember_token(state, token)

    file = tmp_path / "state" / "keyd.json"
    identity = state.identity()
    expected = psk_of(token_digest(token.reveal()), nkey=identity.nkey, identity=identity.sealed_for.public())
    assert base64.b64decode(open_state(tmp_path).keyd().psk) == expected
    assert file.stat().st_mode & 0o777 == 0o600
    assert "secretsecret" not in file.read_text()
    assert "secretsecret" not in repr(state.keyd())
    assert state.keyd().psk not in repr(state.keyd())


async def test_without_a_token_nothing_is_forgotten(tmp_path: Path) -> None:
    state = open_state(tmp_path)
    await state.save_keyd(Keyd(static="s", signing="g"))

    await remember_token(state, Secret(""))

    assert state.keyd() == Keyd(static="s", signing="g")


async def test_a_torn_file_is_an_error_and_no_fresh_start(tmp_path: Path) -> None:
    state = open_state(tmp_path)
    file = tmp_path / "state" / "keyd.json"
    file.write_text('{"psk": "a-secret-')
    file.chmod(0o600)

    with pytest.raises(Invalid, match="Remove it") as refusal:
        state.keyd()
    assert "a-secret" not in str(refusal.value)


async def test_an_identity_of_before_there_were_signing_keys_gets_one_and_keeps_the_rest(tmp_path: Path) -> None:
    identity = open_state(tmp_path).identity()
    file = tmp_path / "state" / "identity.json"
    file.write_bytes(msgspec.json.encode(msgspec.structs.replace(identity, signing_key="")))

    made = open_state(tmp_path).identity()

    assert made.signing_key
    assert msgspec.structs.replace(made, signing_key="") == msgspec.structs.replace(identity, signing_key="")
    assert open_state(tmp_path).identity() == made
    assert made.signing_key not in repr(made)
