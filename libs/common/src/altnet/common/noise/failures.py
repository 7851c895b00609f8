"""Why the channel refuses something. Each is one of Altnet's errors with a stable code.

Invariant: a refusal says what was wrong with the message, never what a key or a plaintext was.
"""

from __future__ import annotations

from typing import Final

from altnet.common.errors import Exhausted, Invalid, TooMany, Unauthenticated

BAD_FRAME: Final = "noise_bad_frame"
REFUSED: Final = "noise_refused"
REPLAYED: Final = "noise_replayed"
UNKNOWN_SESSION: Final = "noise_unknown_session"
EXPIRED: Final = "noise_expired"
UNKNOWN_STATIC: Final = "noise_unknown_static"
TOO_MANY: Final = "noise_too_many"
FULL: Final = "noise_full"
UNFINISHED: Final = "noise_unfinished"
"""A handshake that was answered, and nothing came after: the psk or a key was another one, or somebody died."""

SHAKE_AGAIN: Final = frozenset({UNKNOWN_SESSION, EXPIRED, REFUSED})
"""After these an initiator gives its session up and shakes hands anew."""


def bad_frame(why: str) -> Invalid:
    return Invalid(BAD_FRAME, f"the frame {why}.", mend="The two ends speak different versions, or it was cut off.")


def refused(what: str) -> Unauthenticated:
    return Unauthenticated(
        REFUSED,
        f"the {what} does not authenticate.",
        mend="It was altered, or made with other keys than those that are pinned.",
    )


def replayed() -> Unauthenticated:
    return Unauthenticated(REPLAYED, "the message was received before, or is too old to tell.", mend="Send a new one.")


def unknown_session() -> Unauthenticated:
    return Unauthenticated(UNKNOWN_SESSION, "there is no such session here.", mend="Shake hands anew.")


def expired(why: str) -> Unauthenticated:
    return Unauthenticated(EXPIRED, f"the session {why}.", mend="Shake hands anew.")


def unknown_static() -> Unauthenticated:
    return Unauthenticated(
        UNKNOWN_STATIC, "the handshake is for a key that does not answer any more.", mend="Ask for the present keys."
    )


def too_many(after: float) -> TooMany:
    return TooMany(TOO_MANY, "too many messages of this relay.", after=after, mend="Wait and try again.")


def full() -> Exhausted:
    return Exhausted(FULL, "no more sessions fit here.", mend="Raise keyd's `channel.most_peers`.")
