"""A server of our own as a child process: started, watched, ended, and alone on its directory.

What the servers have in common; what they are, where their files lie and when they are ready is theirs (`nats`,
`postgres`). Invariant: one directory has one server, and that server has a living parent: the lock is held as long as
the parent lives, and the kernel stops the child when the parent dies. A server that is left over all the same is for
the caller to stop, before a new one starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

from altnet.common import log
from altnet.common.errors import AltnetError, Conflict

_LOG: Final = log.get(__name__)
WATCH: Final = 0.1
"""Seconds between two looks at a child that runs: how late its death may be noticed."""

AGAIN: Final = 1.0
"""Seconds between two signals to a child that is to end."""


class Child:
    """The process of one server, if there is one, and the lock of its directory.

    `what` names it in logs. `lock` is the file that is locked, `in_use` the error where another process has it. `poll`
    is the rest in seconds between two looks at a child that is ending.
    """

    def __init__(self, what: str, *, lock: Path, in_use: Callable[[], Conflict], poll: float) -> None:
        self.wanted = False
        """Whether it shall run: `keep_running` ends where it need not."""
        self._what = what
        self._lock_file = lock
        self._in_use = in_use
        self._poll = poll
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None

    @property
    def running(self) -> bool:
        """Whether it lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """Its process id, while it runs."""
        return self._process.pid if self._process is not None and self.running else None

    @property
    def exit_code(self) -> int | None:
        """Of the last one, if it has ended."""
        return None if self._process is None else self._process.poll()

    def take_lock(self) -> None:
        """Make the directory ours until `release_lock`; what is ours already stays so. Raises the error `in_use`."""
        if self._lock is not None:
            return
        lock = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise self._in_use() from None
        self._lock = lock

    def release_lock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def spawn(self, command: Sequence[str], *, log_file: Path, when_we_die: signal.Signals, **options: Any) -> None:
        """Start it, with its words in `log_file` (mode 0600). `options` are `subprocess.Popen`'s."""
        command = list(command)
        # The kernel tells it when we die. setpriv rather than preexec_fn, which is unsafe beside threads.
        if setpriv := shutil.which("setpriv"):
            command = [setpriv, "--pdeathsig", when_we_die.name.removeprefix("SIG"), "--", *command]
        with open(os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as out:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd="/",
                start_new_session=True,  # a Ctrl-C in the terminal reaches us, and we stop it in order
                **options,
            )

    async def end(self, *signals: signal.Signals, timeout: float) -> None:
        """Send each signal in turn, until it is gone; each has `timeout` seconds."""
        for how in signals:
            if self._process is None or not self.running:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._signal_until_gone(self._process, how)
            if self.running:
                _LOG.warning(f"embedded {self._what} does not stop", signal=how.name, waited_seconds=timeout)

    async def _signal_until_gone(self, process: subprocess.Popen[bytes], how: signal.Signals) -> None:
        """Again each second: Postgres may miss a signal that comes while it starts."""
        asked = -AGAIN
        while process.poll() is None:  # another process sends no event that any loop knows
            if time.monotonic() - asked >= AGAIN:
                asked = time.monotonic()
                process.send_signal(how)
            await asyncio.sleep(self._poll)

    async def exited(self) -> int:
        """Wait until it is gone, by whatever cause; returns its exit code."""
        if self._process is None:
            raise RuntimeError("the server was never started")
        while (code := self._process.poll()) is None:  # noqa: ASYNC110 - as in `end`
            await asyncio.sleep(WATCH)
        return code

    async def keep_running(self, start: Callable[[], Awaitable[None]], *, rest: float, log_file: Path) -> None:
        """Have it started again whenever it dies unasked, until it stays up; `rest` seconds after a try that failed.

        Ends when it is no longer wanted.
        """
        while True:
            code = await self.exited()
            if not self.wanted:
                return
            if self.running:  # somebody else has started it meanwhile
                continue
            _LOG.error(f"embedded {self._what} died and is started again", exit_code=code, log_file=str(log_file))
            try:
                await start()
            except AltnetError as error:
                _LOG.error(f"embedded {self._what} did not start; it is tried again", reason=str(error))
                await asyncio.sleep(rest)
