"""A client's file as a QR code, which a phone reads: as much error correction as fits.

Leaves out where it is shown. Invariant: what does not fit is said, with the way that is left; a file is never cut.
"""

from __future__ import annotations

from typing import Final

import segno
from altnet.common.errors import Conflict

LARGEST: Final = 2_953
"""Bytes that the largest code (version 40) holds with the least correction; with `m` it holds 2,331."""
_LEVELS: Final = ("m", "l")
"""Of error correction, preferred first: `m` mends 15 % of a code, `l` 7 %, which a screen rarely needs."""


def code_of(text: str) -> segno.QRCode:
    """The code of a file's text. Raises `Conflict` (`too_large_for_code`) where it does not fit, whatever the level."""
    for level in _LEVELS:
        try:
            return segno.make(text, error=level, micro=False)
        except segno.DataOverflowError:
            continue
    raise Conflict(
        "too_large_for_code",
        f"The configuration has {len(text.encode())} bytes, and a QR code holds {LARGEST}.",
        mend="Take the file instead, and carry it to the device: it is the same.",
    )
