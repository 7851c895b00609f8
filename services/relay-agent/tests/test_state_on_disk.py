"""The state directory: private, whole or absent, and clear about what is wrong with it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import msgspec
import pytest
from altnet.common.errors import Conflict, Invalid, Unavailable
from altnet.relay_agent import disk
from altnet.relay_agent.disk_state import DiskState
from altnet.relay_agent.state import Owned
from support.relays import enrolment_of, identity_of


def open_state(path: Path) -> DiskState:
    state = DiskState(path / "state", make=lambda: identity_of("me"))
    state.open()
    return state


async def test_everything_written_is_read_back_and_private(tmp_path: Path) -> None:
    state = open_state(tmp_path)
    identity = state.identity()
    await state.save_enrolment(enrolment_of("me", 1))
    await state.save_snapshot(b"snapshot")
    assert await state.save_delta(b"one")
    assert await state.save_delta(b"two")
    await state.save_document(b"document")
    await state.save_owned(Owned(addresses=("fd00::1/128",), sysctls={"net/x": "0"}))

    again = open_state(tmp_path)

    assert again.identity() == identity
    assert again.enrolment() == enrolment_of("me", 1)
    assert again.mesh() == [b"snapshot", b"one", b"two"]
    assert again.document() == b"document"
    assert again.owned() == Owned(addresses=("fd00::1/128",), sysctls={"net/x": "0"})
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    for file in (tmp_path / "state").iterdir():
        assert file.stat().st_mode & 0o777 == 0o600, file
    assert not again.warnings


async def test_keys_are_made_once(tmp_path: Path) -> None:
    names = iter("ab")
    state = DiskState(tmp_path / "state", make=lambda: identity_of(next(names)))
    state.open()
    assert state.identity() == state.identity()


async def test_an_identity_of_before_there_were_identity_keys_gets_one_and_keeps_the_rest(tmp_path: Path) -> None:
    identity = open_state(tmp_path).identity()
    file = tmp_path / "state" / "identity.json"
    old = msgspec.structs.replace(identity, identity_key="")
    file.write_bytes(msgspec.json.encode(old))

    made = open_state(tmp_path).identity()

    assert msgspec.structs.replace(made, identity_key="") == old
    assert made.sealed_for.public()
    assert open_state(tmp_path).identity() == made
    assert file.stat().st_mode & 0o777 == 0o600


async def test_no_secret_shows_in_a_repr(tmp_path: Path) -> None:
    identity = open_state(tmp_path).identity()
    shown = f"{identity!r} {identity} {identity.mesh!r}"
    assert identity.mesh_key not in shown
    assert identity.nkey_seed not in shown


@pytest.mark.parametrize("cut", range(1, 12))
async def test_a_delta_that_was_being_written_is_cut_off_and_the_log_goes_on(tmp_path: Path, cut: int) -> None:
    state = open_state(tmp_path)
    await state.save_snapshot(b"snapshot")
    await state.save_delta(b"lost")
    path = tmp_path / "state" / "mesh.log"
    os.truncate(path, path.stat().st_size - cut)

    again = open_state(tmp_path)
    assert again.mesh() == [b"snapshot"]
    assert again.warnings or cut == 12
    await again.save_delta(b"next")
    assert open_state(tmp_path).mesh() == [b"snapshot", b"next"]


async def test_a_flipped_bit_ends_the_log_there(tmp_path: Path) -> None:
    state = open_state(tmp_path)
    await state.save_snapshot(b"snapshot")
    await state.save_delta(b"delta")
    path = tmp_path / "state" / "mesh.log"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert open_state(tmp_path).mesh() == [b"snapshot"]


async def test_a_write_that_was_never_renamed_is_swept_and_never_wins(tmp_path: Path) -> None:
    state = open_state(tmp_path)
    await state.save_document(b"good")
    half = tmp_path / "state" / ".document.log.new-1234"
    half.write_bytes(b"half")
    assert open_state(tmp_path).document() == b"good"
    assert not half.exists()


async def test_a_full_disk_keeps_the_old_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = open_state(tmp_path)
    await state.save_snapshot(b"snapshot")
    await state.save_document(b"old")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(Unavailable, match="No space left"):
            await state.save_document(b"new")
        with pytest.raises(Unavailable, match="No space left"):
            await state.save_delta(b"delta")
    assert state.document() == b"old"
    await state.save_delta(b"after")
    assert state.mesh() == [b"snapshot", b"after"]


async def test_a_directory_or_file_that_others_can_read_is_refused_with_the_mend(tmp_path: Path) -> None:
    state = open_state(tmp_path)
    state.identity()
    (tmp_path / "state" / "identity.json").chmod(0o640)
    with pytest.raises(Invalid, match=r"mode 0640.*chmod 0600"):
        state.identity()
    (tmp_path / "state").chmod(0o755)
    with pytest.raises(Invalid, match=r"mode 0755.*chmod 0700"):
        state.open()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
async def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    state = open_state(tmp_path)
    state.identity()
    os.chown(tmp_path / "state" / "identity.json", 12345, -1)
    with pytest.raises(Invalid, match="belongs to user 12345"):
        state.identity()


async def test_a_link_in_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    state = open_state(tmp_path)
    (tmp_path / "elsewhere").write_text("{}")
    (tmp_path / "state" / "enrolment.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Unavailable):
        state.enrolment()


async def test_corrupt_keys_stop_the_start_and_are_not_quoted(tmp_path: Path) -> None:
    state = open_state(tmp_path)
    secret = state.identity().mesh_key
    path = tmp_path / "state" / "identity.json"
    path.write_text(path.read_text().replace(secret, secret[:-2]))
    with pytest.raises(Invalid) as error:
        state.identity()
    assert error.value.code == "state_corrupt"
    assert secret[:10] not in str(error.value)


async def test_lost_keys_of_an_enrolled_host_are_not_replaced_silently(tmp_path: Path) -> None:
    state = open_state(tmp_path)
    state.identity()
    await state.save_enrolment(enrolment_of("me", 1))
    (tmp_path / "state" / "identity.json").unlink()
    with pytest.raises(Invalid, match="missing although"):
        state.identity()


async def test_a_corrupt_journal_is_set_aside_and_kept(tmp_path: Path) -> None:
    state = open_state(tmp_path)
    await state.save_owned(Owned(addresses=("fd00::1/128",)))
    (tmp_path / "state" / "owned.json").write_text("{")
    assert state.owned() == Owned()
    assert (tmp_path / "state" / "owned.json.corrupt").exists()
    assert state.warnings


async def test_two_agents_do_not_share_a_directory(tmp_path: Path) -> None:
    one, other = open_state(tmp_path), open_state(tmp_path)
    one.hold()
    with pytest.raises(Conflict, match="another agent"):
        other.hold()
    one.release()
    other.hold()
    other.release()


def test_frames_of_any_content_come_back(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for frame in (b"", b"\0" * 8, bytes(range(256))):
        disk.append_frame(path, frame)
    assert disk.read_frames(path) == ([b"", b"\0" * 8, bytes(range(256))], False)
