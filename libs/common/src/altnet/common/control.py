"""A daemon's control socket: one question, one answer, in JSON, for the owner of its private directory.

Leaves out what may be asked. Invariant: nobody but the daemon's user can connect, for the socket lies in a directory
of mode 0700 and has mode 0600 itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from altnet.common.errors import UNREADABLE, Invalid, NotFound, Unavailable

LARGEST: Final = 16 * 2**20
"""Bytes of an answer."""
_LONGEST_PATH: Final = 107
"""Bytes of a socket's path (unix(7))."""

T = TypeVar("T")


@contextlib.asynccontextmanager
async def serve(
    path: str, answers: Mapping[str, Callable[[], Awaitable[Any]]], *, timeout: float
) -> AsyncIterator[None]:
    """Answer these questions on the socket at `path` as long as the context lasts. Raises `Invalid`, `Unavailable`."""
    if len(path.encode()) > _LONGEST_PATH:
        raise Invalid(
            "bad_setting",
            f"{path} is too long for a socket's path ({_LONGEST_PATH} bytes).",
            field="/control_socket",
            mend="Set control_socket to a shorter one.",
        )

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(timeout):
                question = (await reader.readline()).strip().decode(errors="replace")
                known = answers.get(question)
                said = await known() if known is not None else {"error": f"ask for one of {', '.join(answers)}"}
                writer.write(msgspec.json.encode(said) + b"\n")
                await writer.drain()
        except (TimeoutError, ConnectionError, ValueError):
            pass  # the asker went away, or asked for something too long
        finally:
            writer.close()

    _unlink(path)  # of a daemon that was killed; we hold the directory's lock
    mask = os.umask(0o177)
    try:
        server = await asyncio.start_unix_server(answer, path, limit=1024)
    except OSError as error:
        raise Unavailable("no_control_socket", f"{path}: {error.strerror}.", field="/control_socket") from None
    finally:
        os.umask(mask)
    try:
        yield
    finally:
        server.close()
        _unlink(path)


def _unlink(path: str) -> None:
    Path(path).unlink(missing_ok=True)


async def ask(path: str, question: str, kind: type[T], *, timeout: float, who: str, mend: str) -> T:
    """The running daemon's answer; `who` names the daemon in errors.

    Raises `NotFound` (`not_running`) with `mend`, `Unavailable` (`unreachable`).
    """
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_unix_connection(path, limit=LARGEST)
            try:
                writer.write(f"{question}\n".encode())
                await writer.drain()
                return msgspec.json.decode(await reader.readline(), type=kind)
            finally:
                writer.close()
    except (FileNotFoundError, ConnectionRefusedError):
        raise NotFound("not_running", f"no {who} is running here.", mend=mend) from None
    except PermissionError:
        raise Unavailable("unreachable", f"{path} is another user's.", mend="Ask as root.") from None
    except TimeoutError:
        raise Unavailable("unreachable", f"{who} did not answer within {timeout:g} s.") from None
    except (OSError, *UNREADABLE) as error:
        raise Unavailable("unreachable", f"{who}'s answer cannot be read: {error}.") from None
