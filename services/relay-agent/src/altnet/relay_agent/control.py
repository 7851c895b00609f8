"""The agent's control socket: one question, one answer, in JSON, for the owner of the state directory.

Leaves out changing anything: who may do that talks to the registry. Invariant: nobody but the agent's user can
connect, for the socket lies in a directory of mode 0700 and has mode 0600 itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec
from altnet.common.contracts.routing import LearnedTable, RouteQuery, RouteTable
from altnet.common.errors import UNREADABLE, AltnetError, Invalid, NotFound, Unavailable
from altnet.relay_agent.status import AgentStatus

_LARGEST: Final = 16 * 2**20
"""Bytes of an answer: 10,000 links take about two million."""
_LONGEST_PATH: Final = 107
"""Bytes of a socket's path (unix(7))."""

_Answerer = Callable[[RouteQuery], Awaitable[msgspec.Struct]]


@contextlib.asynccontextmanager
async def serve(
    path: str,
    status: Callable[[], Awaitable[AgentStatus]],
    *,
    timeout: float,
    routes: Callable[[RouteQuery], Awaitable[RouteTable]] | None = None,
    learned: Callable[[RouteQuery], Awaitable[LearnedTable]] | None = None,
) -> AsyncIterator[None]:
    """Answer `status`, and `routes` and `learned` with a `RouteQuery` behind it, on the socket at `path` as long as the
    context lasts.
    """
    verbs: dict[bytes, _Answerer] = {}
    if routes is not None:
        verbs[b"routes"] = routes
    if learned is not None:
        verbs[b"learned"] = learned
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
                question, _, rest = (await reader.readline()).strip().partition(b" ")
                writer.write(await _answer(question, rest, status, verbs))
                writer.write(b"\n")
                await writer.drain()
        except (TimeoutError, ConnectionError, *UNREADABLE):
            pass  # the asker went away, or asked for something too long
        finally:
            writer.close()

    _unlink(path)  # of an agent that was killed; we hold the directory's lock
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


async def _answer(
    question: bytes,
    rest: bytes,
    status: Callable[[], Awaitable[AgentStatus]],
    verbs: Mapping[bytes, _Answerer],
) -> bytes:
    if question == b"status":
        return msgspec.json.encode(await status())
    if (verb := verbs.get(question)) is not None:
        try:
            return msgspec.json.encode(await verb(msgspec.json.decode(rest, type=RouteQuery)))
        except AltnetError as error:
            said = _Refusal(code=error.code, detail=error.detail, field=error.field, mend=error.mend)
            return msgspec.json.encode({"error": said})
    return b'{"error":{"code":"bad_question","detail":"ask for status, routes or learned"}}'


class _Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """An error on the socket."""

    code: str
    detail: str
    field: str | None = None
    mend: str | None = None


class _Refused(msgspec.Struct, frozen=True, kw_only=True):
    error: _Refusal | None = None


def _unlink(path: str) -> None:
    Path(path).unlink(missing_ok=True)


async def ask_status(path: str, *, timeout: float) -> AgentStatus:
    """The running agent's status. Raises `NotFound` (`agent_not_running`), `Unavailable`."""
    return msgspec.json.decode(await _ask(path, b"status", timeout=timeout), type=AgentStatus)


async def ask_routes(path: str, query: RouteQuery, *, timeout: float) -> RouteTable:
    """The running agent's routes. Raises `NotFound` (`agent_not_running`), `Unavailable`, `Invalid`."""
    return msgspec.json.decode(await _query(path, b"routes", query, timeout=timeout), type=RouteTable)


async def ask_learned(path: str, *, timeout: float) -> LearnedTable:
    """What routers outside told. Raises `NotFound` (`agent_not_running`), `Unavailable`, `Invalid`."""
    return msgspec.json.decode(await _query(path, b"learned", RouteQuery(), timeout=timeout), type=LearnedTable)


async def _query(path: str, verb: bytes, query: RouteQuery, *, timeout: float) -> bytes:
    answer = await _ask(path, verb + b" " + msgspec.json.encode(query), timeout=timeout)
    refused = msgspec.json.decode(answer, type=_Refused).error
    if refused is not None:
        raise Invalid(refused.code, refused.detail, field=refused.field, mend=refused.mend)
    return answer


async def _ask(path: str, question: bytes, *, timeout: float) -> bytes:
    """One line for one line, valid JSON."""
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_unix_connection(path, limit=_LARGEST)
            try:
                writer.write(question + b"\n")
                await writer.drain()
                answer = await reader.readline()
                msgspec.json.decode(answer)
                return answer
            finally:
                writer.close()
    except (FileNotFoundError, ConnectionRefusedError):
        raise NotFound("agent_not_running", "no agent is running here.", mend="systemctl start altnet-agent") from None
    except PermissionError:
        raise Unavailable("agent_unreachable", f"{path} is another user's.", mend="Ask as root.") from None
    except TimeoutError:
        raise Unavailable("agent_unreachable", f"the agent did not answer within {timeout:g} s.") from None
    except (OSError, *UNREADABLE) as error:
        raise Unavailable("agent_unreachable", f"the agent's answer cannot be read: {error}.") from None
