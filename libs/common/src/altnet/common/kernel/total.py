"""Readers of bytes that end in a value or in one typed error, whatever the bytes are.

The kernel and wireguard-go speak formats that we read by offset; another version of theirs, or a fault of ours, must
not come out as a `KeyError` in the middle of a plane.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

from altnet.common.errors import Invalid, Unavailable

_P = ParamSpec("_P")
_T = TypeVar("_T")

_MALFORMED: Final = (struct.error, KeyError, IndexError, ValueError, OverflowError, OSError, Invalid)
"""`OSError` is what `inet_pton` says; nothing that is decorated waits for anything."""


def total(what: str) -> Callable[[Callable[_P, _T]], Callable[_P, _T]]:
    """Decorator of a reader of `what`: malformed bytes raise `Unavailable` (`kernel_unreadable`) and nothing else."""

    def decorate(read: Callable[_P, _T]) -> Callable[_P, _T]:
        @functools.wraps(read)
        def reading(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            try:
                return read(*args, **kwargs)
            except _MALFORMED as error:  # without their words, which may quote a key
                raise Unavailable("kernel_unreadable", f"{what} cannot be read: {type(error).__name__}.") from None

        return reading

    return decorate
