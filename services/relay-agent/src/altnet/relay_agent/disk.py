"""Files in the agent's private directory that grow without ever being half-read.

A file of *frames* grows at its end: each frame carries its length and checksum, so one that was being written when
the host died is cut off and the ones before it count. Whole files, and the directory, are `altnet.common.files`'s.

Leaves out what the content means (state.py). Invariant: nothing here is readable by anybody but the agent's user.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import Final

from altnet.common.errors import Unavailable
from altnet.common.files import open_private_dir, read, remove, set_aside

__all__ = [
    "append_frame",
    "encode_frame",
    "open_private_dir",
    "read",
    "read_frames",
    "remove",
    "set_aside",
]

_HEAD: Final = struct.Struct(">II")


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
