"""A client of BIRD's control socket.

A reply is lines: `NNNN-text` while it goes on, `NNNN text` at its end, and ` text` for one more line of the code
before. Codes from 8000 on are errors (BIRD's doc/reply_codes). Leaves out what the answers mean (state.py).

Invariant: one question at a time, each with a deadline; a connection whose answer was cut short is thrown away.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final, NamedTuple

from altnet.common.errors import AltnetError, Invalid, Unavailable

_LONGEST_LINE: Final = 1 << 20
LARGEST_REPLY: Final = 64 * 2**20
"""Bytes: 100,000 routes with all their attributes."""
_FIRST_ERROR: Final = 8000


class BirdRefused(Invalid):
    """BIRD said no. `reply_code` is its own."""

    def __init__(self, reply_code: int, reason: str) -> None:
        super().__init__("bird_refused", f"BIRD refuses: {reason}.")
        self.reply_code = reply_code
        self.reason = reason


class Line(NamedTuple):
    """One line of a reply."""

    code: int
    text: str


def bird_unavailable(detail: str, *, mend: str | None = None) -> Unavailable:
    return Unavailable("bird_unavailable", detail, mend=mend)


class Control:
    """A connection to a running BIRD. `async with await connect(path, deadline=…) as control:`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, deadline: float) -> None:
        self._reader = reader
        self._writer = writer
        self._deadline = deadline
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Control:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def ask(self, command: str) -> list[Line]:
        """The lines of the reply. Raises `BirdRefused`, `Unavailable` (`bird_unavailable`)."""
        if not command.isprintable():
            raise ValueError("a command is one line")
        async with self._turn:
            try:
                async with asyncio.timeout(self._deadline):
                    self._writer.write(command.encode() + b"\n")
                    await self._writer.drain()
                    return await self._reply()
            except TimeoutError:
                self.close()
                raise bird_unavailable(f"BIRD did not answer `{command}` within {self._deadline:g} s.") from None
            except AltnetError:
                raise
            except (OSError, ValueError) as error:
                self.close()
                raise bird_unavailable(f"BIRD's answer cannot be read: {error}.") from None
            except BaseException:
                self.close()
                raise

    async def greeting(self) -> None:
        """Read what BIRD says first."""
        async with asyncio.timeout(self._deadline):
            await self._reply()

    async def gone(self) -> None:
        """Return when BIRD closes the connection: it ended, or was killed."""
        while await self._reader.read(4096):
            pass

    def close(self) -> None:
        self._writer.close()

    async def _reply(self) -> list[Line]:
        lines: list[Line] = []
        size = 0
        while True:
            raw = await self._reader.readline()
            if not raw.endswith(b"\n"):
                raise bird_unavailable("BIRD closed the connection.")
            size += len(raw)
            if size > LARGEST_REPLY:
                self.close()
                raise bird_unavailable(f"BIRD's answer is larger than {LARGEST_REPLY} bytes.")
            text = raw.decode(errors="replace").rstrip("\n")
            if text[:4].isdigit() and text[4:5] in (" ", "-"):
                lines.append(Line(int(text[:4]), text[5:]))
                if text[4] == " ":
                    return self._checked(lines)
            elif not text.startswith("+"):  # asynchronous messages of BIRD's log
                lines.append(Line(lines[-1].code if lines else 0, text[1:]))

    def _checked(self, lines: list[Line]) -> list[Line]:
        last = lines[-1]
        if last.code >= _FIRST_ERROR:
            raise BirdRefused(last.code, last.text)
        return lines


async def connect(path: Path, *, deadline: float) -> Control:
    """Connect to the BIRD whose socket is at `path`. Raises `Unavailable` (`bird_unavailable`)."""
    try:
        async with asyncio.timeout(deadline):
            reader, writer = await asyncio.open_unix_connection(str(path), limit=_LONGEST_LINE)
            control = Control(reader, writer, deadline=deadline)
            try:
                await control.greeting()
            except BaseException:
                control.close()
                raise
            return control
    except TimeoutError:
        raise bird_unavailable(f"BIRD did not greet within {deadline:g} s.") from None
    except OSError as error:
        raise bird_unavailable(f"BIRD does not run here: {error.strerror or error}.") from None
