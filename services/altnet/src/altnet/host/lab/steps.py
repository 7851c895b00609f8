"""Saying what goes on, for people: each step with its clock.

On a terminal a step spins while it lasts; elsewhere a line says that it began and another how long it took. The lab
speaks on standard error, so that standard output stays free for what a command answers.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from rich.console import Console


class Steps(Protocol):
    """Told about each step of something that takes a while."""

    def step(self, text: str) -> contextlib.AbstractContextManager[None]: ...

    def say(self, text: str) -> None: ...


class Silent:
    """Says nothing: tests, and callers that report by themselves."""

    @contextlib.contextmanager
    def step(self, text: str) -> Iterator[None]:
        yield

    def say(self, text: str) -> None:
        return


class Spoken:
    """Steps on a console. With `clock`, every line starts with the seconds since the beginning.

    A step that takes less than `quiet_below` seconds leaves no line.
    """

    def __init__(
        self,
        console: Console,
        *,
        clock: bool = False,
        quiet_below: float = 0.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self._monotonic = monotonic
        self._quiet_below = quiet_below
        self._began = monotonic() if clock else None

    @contextlib.contextmanager
    def step(self, text: str) -> Iterator[None]:
        began = self._monotonic()
        with contextlib.ExitStack() as stack:
            if self._console.is_terminal:
                stack.enter_context(self._console.status(f"{text} …"))
            elif self._quiet_below:
                later = threading.Timer(self._quiet_below, self.say, [f"{text} …"])
                later.daemon = True
                later.start()
                stack.callback(later.cancel)
            else:
                self.say(f"{text} …")
            yield
        took = self._monotonic() - began
        if took >= self._quiet_below:
            self.say(f"{text}: {took:.2f} s")

    def say(self, text: str) -> None:
        clock = "" if self._began is None else f"{self._monotonic() - self._began:6.1f} s  "
        self._console.print(f"{clock}{text}", highlight=False, markup=False, soft_wrap=True)


def spoken() -> Spoken:
    return Spoken(Console(stderr=True))
