"""What we say to relays about where we are attached (contracts.attach). Pure.

The counter begins with the time and grows with each move, so that a client that has forgotten everything is still
ahead of what it said before; where its clock went back, the relay's answer tells it how far to jump.

Invariant: at one value of the counter we say of one relay, and no other, that we are attached to it.
"""

from __future__ import annotations

from typing import Final

from altnet.common.contracts.attach import Answer, Hello

_KEPT: Final = 64
"""Hellos whose counter is known: an answer older than that is no answer."""
_HIGHEST: Final = 2**63
"""A relay that claims a higher counter than this lies; the rest of the range is for what comes after."""


class Word:
    """`begin` is milliseconds since 1970."""

    def __init__(self, *, begin: int) -> None:
        self._counter = max(1, begin)
        self._relay: str | None = None
        self._number = 0
        self._said: dict[int, tuple[str, int]] = {}
        self._confirmed = False

    @property
    def relay(self) -> str | None:
        """Where we say that we are."""
        return self._relay

    @property
    def confirmed(self) -> bool:
        """Whether the relay has said that it holds us, since the last move."""
        return self._confirmed

    @property
    def counter(self) -> int:
        return self._counter

    def move(self, relay: str | None) -> None:
        """We are attached to this relay from now on."""
        if relay != self._relay:
            self._relay = relay
            self._raise(self._counter + 1)

    def hello(self, relay: str, *, rtt: float | None = None) -> Hello:
        """What to say to a relay now."""
        self._number += 1
        self._said[self._number] = (relay, self._counter)
        self._said.pop(self._number - _KEPT, None)
        return Hello(number=self._number, counter=self._counter, attached=relay == self._relay, rtt=rtt)

    def answered(self, relay: str, answer: Answer) -> bool:
        """Take in a relay's answer; True if there is something new to say."""
        said = self._said.pop(answer.number, None)
        if said != (relay, self._counter):
            return False  # to what we said before the last move
        if answer.counter > self._counter and answer.counter < _HIGHEST:
            self._raise(answer.counter + 1)
            return True
        if relay != self._relay:
            return False
        if answer.attached:
            self._confirmed = True
            return False
        self._raise(self._counter + 1)  # it has let go of us, and an old word does not bring us back
        return True

    def _raise(self, counter: int) -> None:
        self._counter = counter
        self._confirmed = False
