"""What becomes of clients that change their keys: who is asked next, who is late, and how a change ends. Pure.

A client that follows by itself (altnetd) is asked while it is there and there is room, so that no more than so many are
under way at once. One that does not (a wg-quick file) changes at its date, whoever asks when.

Leaves out where presence comes from (jobs/client_sessions.py), and what a rotation makes of the late ones (keyd).
Invariant: a key that its client announced itself is kept at the date only if a handshake by it was seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Outcome(StrEnum):
    """How a change of keys ends at its latest date."""

    KEPT = "kept"
    """The announced key is the client's from now on."""
    NO_ANSWER = "no_answer"
    """It was asked, and announced nothing: it keeps its key."""
    NO_HANDSHAKE = "no_handshake"
    """It announced a key, and came by it never: it keeps its key, or it would be cut off."""


def at_the_date(*, announced: bool, proven: bool, seen: bool) -> Outcome:
    """`proven`: the client announced the key itself. Else an operator did, and the new file is in place by the date."""
    if not announced:
        return Outcome.NO_ANSWER
    return Outcome.NO_HANDSHAKE if proven and not seen else Outcome.KEPT


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A client that follows by itself and was asked at `at`. `here_since`: None while it is away."""

    client: str
    at: datetime
    here_since: datetime | None


@dataclass(frozen=True, kw_only=True)
class UnderWay:
    """Of the clients that were asked and are there: those that have time left, and those that had enough."""

    timely: tuple[str, ...]
    late: tuple[str, ...]


def under_way(asked: Iterable[Asked], *, patience: float, now: datetime) -> UnderWay:
    """Who is away is neither; its time begins when it is there. `patience` in seconds."""
    timely: list[str] = []
    late: list[str] = []
    for one in asked:
        if one.here_since is not None:
            begun = max(one.at, one.here_since)
            (late if now - begun >= timedelta(seconds=patience) else timely).append(one.client)
    return UnderWay(timely=tuple(sorted(timely)), late=tuple(sorted(late)))


def next_asked(waiting: Sequence[str], timely: Sequence[str], *, at_once: int) -> tuple[str, ...]:
    """Which of the clients that are there and not asked yet there is room for."""
    return tuple(waiting[: max(0, at_once - len(timely))])
