"""Private directories, and files in them that are whole or absent.

Leaves out what the content means. Invariant: a reader sees the old bytes or the new ones, also after a crash, and
nobody but the owner sees any.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path
from typing import Final

from altnet.common.errors import Invalid, Unavailable

LARGEST: Final = 64 * 2**20
"""Bytes of a private file that are read at all."""


def write_private(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Make `path` hold `data`, durably. Raises `Unavailable` (a full disk, for one); the old content then stays."""
    beside = path.with_name(f".{path.name}.new-{secrets.token_hex(4)}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise Unavailable(
            "file_not_saved",
            f"{path}: {error.strerror}.",
            mend="Free space on the disk, or see why it is read-only.",
        ) from None


def sync_directory(path: Path) -> None:
    """Make renames and removals inside `path` durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_private_dir(path: Path) -> None:
    """Make `path` with mode 0700, or check that it is ours alone. Raises `Invalid`, `Unavailable`."""
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


def read(path: Path, *, limit: int = LARGEST) -> bytes | None:
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


def _check_private(path: Path, found: os.stat_result, what: str, mode: str) -> None:
    if found.st_uid != os.geteuid():
        raise Invalid(
            "state_not_ours",
            f"the {what} {path} belongs to user {found.st_uid}, and we run as {os.geteuid()}.",
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
