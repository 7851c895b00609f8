"""Private files that are whole or absent.

Leaves out what the content means. Invariant: a reader sees the old bytes or the new ones, also after a crash, and
nobody but the owner sees any.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from altnet.common.errors import Unavailable


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
