"""The agent's private directory, and files in it that grow without ever being half-read.

A file of *frames* grows at its end: each frame carries its length and checksum, so one that was being written when
the host died is cut off and the ones before it count. Whole files are `altnet.common.files.write_private`'s.

Leaves out what the content means (state.py). Invariant: nothing here is readable by anybody but the agent's user.
"""

from __future__ import annotations

import os
import stat
import struct
import zlib
from pathlib import Path
from typing import Final

from altnet.common.errors import Invalid, Unavailable
from altnet.common.files import sync_directory

_HEAD: Final = struct.Struct(">II")
_LARGEST_FRAME: Final = 64 * 2**20


def open_private_dir(path: Path) -> None:
    """Make `path` with mode 0700, or check that it is the agent's alone. Raises `Invalid`, `Unavailable`."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        raise Unavailable(
            "state_dir_unusable",
            f"{path}: {error.strerror}.",
            field="/state_dir",
            mend="Run as root, or give another state directory.",
        ) from None
    if not stat.S_ISDIR(found.st_mode):
        raise Invalid("state_dir_unusable", f"{path} is not a directory.", field="/state_dir")
    _check_private(path, found, "directory", "0700")
    for stray in path.glob(".*.new-*"):  # left by a crash between write and rename
        stray.unlink(missing_ok=True)


def read(path: Path, *, limit: int = _LARGEST_FRAME) -> bytes | None:
    """The content of a private file, None where there is none. Raises `Invalid` if others can read or write it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unavailable("state_unreadable", f"{path}: {error.strerror}.", field="/state_dir") from None
    with os.fdopen(descriptor, "rb") as file:
        _check_private(path, os.fstat(file.fileno()), "file", "0600")
        data = file.read(limit + 1)
    if len(data) > limit:
        raise Invalid("state_corrupt", f"{path} is larger than {limit} bytes.", field="/state_dir")
    return data


def remove(path: Path) -> None:
    """Remove a file durably; one that is not there is fine."""
    path.unlink(missing_ok=True)
    sync_directory(path.parent)


def set_aside(path: Path) -> Path:
    """Keep a broken file under another name for whoever wants to look, out of the way of the next start."""
    aside = path.with_name(f"{path.name}.corrupt")
    path.replace(aside)
    sync_directory(path.parent)
    return aside


def encode_frame(data: bytes) -> bytes:
    """One frame, as it lies in a file."""
    return _HEAD.pack(len(data), zlib.crc32(data)) + data


def append_frame(path: Path, data: bytes) -> None:
    """Add a frame durably. A torn earlier end would hide it, so callers start with `read_frames`, which cuts."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            before = file.seek(0, os.SEEK_END)
            try:
                file.write(encode_frame(data))
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                os.ftruncate(descriptor, before)  # half a frame would hide every later one
                raise
    except OSError as error:
        raise Unavailable("state_not_saved", f"{path}: {error.strerror}.", field="/state_dir") from None


def read_frames(path: Path) -> tuple[list[bytes], bool]:
    """The whole frames of a file, and whether its end was torn (it is cut off then)."""
    data = read(path)
    if data is None:
        return [], False
    frames: list[bytes] = []
    at = 0
    while at + _HEAD.size <= len(data):
        length, checksum = _HEAD.unpack_from(data, at)
        body = data[at + _HEAD.size : at + _HEAD.size + length]
        if len(body) != length or zlib.crc32(body) != checksum:
            break
        frames.append(body)
        at += _HEAD.size + length
    torn = at != len(data)
    if torn:
        os.truncate(path, at)
    return frames, torn


def _check_private(path: Path, found: os.stat_result, what: str, mode: str) -> None:
    if found.st_uid != os.geteuid():
        raise Invalid(
            "state_not_ours",
            f"the {what} {path} belongs to user {found.st_uid}, the agent runs as {os.geteuid()}.",
            field="/state_dir",
            mend=f"chown {os.geteuid()} {path}, after a look at how it came there.",
        )
    if found.st_mode & 0o077:
        raise Invalid(
            "state_not_private",
            f"the {what} {path} is open to other users (mode {stat.S_IMODE(found.st_mode):04o}).",
            field="/state_dir",
            mend=f"chmod {mode} {path}; if others could read keys there, enrol with new ones.",
        )
