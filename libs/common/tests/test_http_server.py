"""Serving: sockets of every kind, a stop that keeps its deadline, and a start again after a crash."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from altnet.common.errors import Invalid
from altnet.common.http import server
from altnet.common.http.settings import MIB, HttpSettings
from support.toy_api import Toy, make_toy

GRACE = HttpSettings(shutdown_grace=0.5)


@asynccontextmanager
async def serving(app: Any, sockets: list[socket.socket]) -> AsyncIterator[asyncio.Task[None]]:
    started = asyncio.Event()
    task = asyncio.create_task(server.serve(app, sockets=sockets, settings=GRACE, started=started))
    async with asyncio.timeout(10):
        await started.wait()
    yield task
    task.cancel()
    await asyncio.wait([task])
    assert all(listener.fileno() == -1 for listener in sockets)


def port(listener: socket.socket) -> int:
    found: int = listener.getsockname()[1]
    return found


async def get(url: str, **transport: Any) -> int:
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(**transport)) as client:
        return (await client.get(url)).status_code


@pytest.fixture
def toy() -> Toy:
    return make_toy()


async def test_every_address_means_ipv4_and_ipv6_on_one_port(toy: Toy) -> None:
    sockets = server.listen("*", 0)
    assert {listener.family for listener in sockets} == {socket.AF_INET, socket.AF_INET6}
    assert len({port(listener) for listener in sockets}) == 1

    async with serving(toy.app, sockets):
        number = port(sockets[0])
        assert await get(f"http://127.0.0.1:{number}/livez") == 200
        assert await get(f"http://[::1]:{number}/livez") == 200


async def test_a_name_with_two_addresses_gets_both(toy: Toy) -> None:
    sockets = server.listen("localhost", 0)
    async with serving(toy.app, sockets):
        for listener in sockets:
            host = listener.getsockname()[0]
            assert await get(f"http://{f'[{host}]' if ':' in host else host}:{port(listener)}/livez") == 200


def test_a_port_that_is_taken_is_refused_with_its_number() -> None:
    (first,) = server.listen("127.0.0.1", 0)
    with first, pytest.raises(Invalid) as caught:
        server.listen("127.0.0.1", port(first))
    assert caught.value.code == "cannot_listen"
    assert str(port) not in caught.value.detail
    assert caught.value.mend


@pytest.mark.parametrize("host", ["no such host", "192.0.2.1"])
def test_an_address_that_is_not_ours_is_refused(host: str) -> None:
    with pytest.raises(Invalid):
        server.listen(host, 0)


async def test_a_unix_socket_has_its_mode_and_replaces_a_dead_one_only(toy: Toy, tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    server.listen_unix(path).close()
    assert path.exists()

    listener = server.listen_unix(path, mode=0o600)
    async with serving(toy.app, [listener]):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert await get("http://toy/livez", uds=str(path)) == 200
        with pytest.raises(Invalid, match="already"):
            server.listen_unix(path)

    plain = tmp_path / "plain"
    plain.write_text("precious")
    with pytest.raises(Invalid, match="no socket"):
        server.listen_unix(plain)
    assert plain.read_text() == "precious"


async def test_a_socket_that_systemd_opened_is_taken_over_once(toy: Toy) -> None:
    (opened,) = server.listen("127.0.0.1", 0)
    number = os.dup(opened.fileno())
    env = {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid()), "LISTEN_FDNAMES": "api"}

    (taken,) = server.inherited_sockets(env, first=number)

    assert env == {}
    assert server.inherited_sockets(env) == []
    assert not taken.get_inheritable()
    where = port(opened)
    opened.close()
    async with serving(toy.app, [taken]):
        assert await get(f"http://127.0.0.1:{where}/livez") == 200


def test_sockets_of_another_process_are_left_alone() -> None:
    assert server.inherited_sockets({"LISTEN_FDS": "1", "LISTEN_PID": "1"}) == []
    assert server.inherited_sockets({}) == []


@pytest.mark.parametrize("count", ["x", "1"])
def test_inherited_files_that_are_no_sockets_are_refused(count: str, tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file, pytest.raises(Invalid):
        server.inherited_sockets({"LISTEN_FDS": count, "LISTEN_PID": str(os.getpid())}, first=file.fileno())


async def test_an_open_request_may_end_within_the_grace() -> None:
    release = asyncio.Event()
    entered = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        entered.set()
        await release.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    sockets = server.listen("127.0.0.1", 0)
    async with serving(app, sockets) as task:
        asking = asyncio.create_task(get(f"http://127.0.0.1:{port(sockets[0])}/"))
        await entered.wait()
        task.cancel()
        await asyncio.sleep(0.05)
        release.set()
        assert await asking == 200
        await asyncio.wait([task], timeout=5)
        assert task.cancelled()


async def test_a_body_over_the_limit_gets_its_answer_through_a_real_connection(toy: Toy) -> None:
    sockets = server.listen("127.0.0.1", 0)
    async with serving(toy.app, sockets), httpx.AsyncClient() as client, asyncio.timeout(20):
        answer = await client.post(f"http://127.0.0.1:{port(sockets[0])}/v1/enrol", content=b"x" * 8 * MIB)

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


async def _flood(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        await writer.drain()


async def test_an_endless_chunked_body_gets_its_answer_and_is_cut_off(toy: Toy) -> None:
    sockets = server.listen("127.0.0.1", 0)
    async with serving(toy.app, sockets), asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", port(sockets[0]))
        writer.write(b"POST /v1/enrol HTTP/1.1\r\nHost: toy\r\nTransfer-Encoding: chunked\r\n\r\n")
        status = asyncio.create_task(reader.readline())
        with pytest.raises(ConnectionError):
            await _flood(writer)
        writer.close()

    assert b" 413 " in await status


async def test_a_request_that_never_ends_does_not_hold_the_server_beyond_its_grace() -> None:
    entered = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        entered.set()
        await asyncio.Event().wait()

    sockets = server.listen("127.0.0.1", 0)
    async with serving(app, sockets) as task:
        asking = asyncio.create_task(get(f"http://127.0.0.1:{port(sockets[0])}/"))
        await entered.wait()
        began = time.monotonic()
        task.cancel()
        await asyncio.wait([task], timeout=10)
        assert task.cancelled()
        assert time.monotonic() - began < GRACE.shutdown_grace + 2
        assert await asking == 500


async def test_after_a_crash_it_serves_the_same_sockets_again(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    sockets = server.listen("127.0.0.1", 0)
    with monkeypatch.context() as patched:
        patched.setattr("uvicorn.Server.main_loop", _crash)
        with pytest.raises(RuntimeError):
            await server.serve(toy.app, sockets=sockets, settings=GRACE)

    async with serving(toy.app, sockets):
        assert await get(f"http://127.0.0.1:{port(sockets[0])}/livez") == 200


async def _crash(self: Any) -> None:
    for listening in self.servers:
        listening.close()
    raise RuntimeError("crash")


async def test_signals_stay_the_hosts(toy: Toy) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    sockets = server.listen("127.0.0.1", 0)
    async with serving(toy.app, sockets):
        assert {number: signal.getsignal(number) for number in before} == before


UVLOOP = """
import asyncio, sys, uvloop
from pathlib import Path
from altnet.common.http import server
from altnet.common.http.settings import HttpSettings
from support.toy_api import make_toy
import httpx

async def main():
    path = Path(sys.argv[1])
    sockets = [*server.listen("*", 0), server.listen_unix(path)]
    started = asyncio.Event()
    job = asyncio.create_task(server.serve(make_toy().app, sockets=sockets, settings=HttpSettings(), started=started))
    await started.wait()
    number = sockets[0].getsockname()[1]
    for url, uds in ((f"http://127.0.0.1:{number}/livez", None), (f"http://[::1]:{number}/livez", None),
                     ("http://toy/livez", str(path))):
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=uds)) as client:
            print((await client.get(url)).status_code)
    job.cancel()
    await asyncio.wait([job])
    print("stopped")

uvloop.run(main())
"""


@pytest.mark.slow
def test_it_serves_the_same_under_uvloop(tmp_path: Path) -> None:
    paths = [path for path in sys.path if path]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", UVLOOP, str(tmp_path / "api.sock")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.stdout.split() == ["200", "200", "200", "stopped"], done.stderr
