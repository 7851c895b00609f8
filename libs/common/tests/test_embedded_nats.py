"""The embedded nats-server: starts, stops, crashes, cleans up after its parent."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
import textwrap
import urllib.request
from pathlib import Path

import pytest
from altnet.common.bus.jwt import BusIdentity
from altnet.common.embedded.nats import NatsServer, NatsSettings
from altnet.common.errors import Conflict, Unavailable


async def reachable(server: NatsServer) -> bool:
    try:
        _, writer = await asyncio.open_connection(server.host, server.port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def test_it_finds_a_port_and_keeps_it(nats_server: NatsServer) -> None:
    port, pid = nats_server.port, nats_server.pid
    assert await reachable(nats_server)
    await nats_server.restart()
    assert (nats_server.port, nats_server.pid == pid) == (port, False)
    await nats_server.kill()
    assert not nats_server.running
    assert not await reachable(nats_server)
    await nats_server.start()
    assert await reachable(nats_server)


async def test_stopping_and_starting_twice_is_no_error(nats_server: NatsServer) -> None:
    pid = nats_server.pid
    await nats_server.start()
    assert nats_server.pid == pid
    await nats_server.stop()
    await nats_server.stop()
    await nats_server.kill()
    assert nats_server.pid is None


async def test_its_files_are_private(nats_server: NatsServer) -> None:
    directory = nats_server.directory
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    for name in ("server.conf", "nats-server.log"):
        assert stat.S_IMODE((directory / name).stat().st_mode) == 0o600


async def test_a_directory_has_one_server(nats_server: NatsServer, bus_identity: BusIdentity) -> None:
    with pytest.raises(Conflict) as refused:
        await NatsServer(nats_server.directory, bus_identity).start()
    assert refused.value.code == "nats_dir_in_use"


async def test_a_port_that_is_taken_is_told_with_the_servers_own_words(
    nats_server: NatsServer, bus_identity: BusIdentity, tmp_path: Path
) -> None:
    second = NatsServer(tmp_path / "nats", bus_identity, port=nats_server.port)
    with pytest.raises(Unavailable) as refused:
        await second.start()
    assert refused.value.code == "nats_did_not_start"
    assert "address already in use" in refused.value.detail
    await second.stop()
    third = NatsServer(tmp_path / "nats", bus_identity)  # the directory is free again
    async with third:
        assert await reachable(third)


async def test_without_the_program_it_says_what_to_install(bus_identity: BusIdentity, tmp_path: Path) -> None:
    settings = NatsSettings(binary=tmp_path / "absent")
    environment = os.environ.get("PATH", "")
    executable = sys.executable
    try:
        os.environ["PATH"], sys.executable = "", str(tmp_path / "python")
        with pytest.raises(Unavailable) as absent:
            await NatsServer(tmp_path / "nats", bus_identity, settings=settings).start()
    finally:
        os.environ["PATH"], sys.executable = environment, executable
    assert absent.value.code == "no_nats_server"
    assert absent.value.mend


async def test_it_tells_its_monitoring_address(bus_identity: BusIdentity, tmp_path: Path) -> None:
    async with NatsServer(tmp_path / "nats", bus_identity, monitor_port=-1) as server:

        def read() -> bytes:
            with urllib.request.urlopen(f"{server.monitor_url}/healthz", timeout=5) as answer:
                return bytes(answer.read())

        assert b"ok" in await asyncio.to_thread(read)


async def test_it_listens_on_ipv6(bus_identity: BusIdentity, tmp_path: Path) -> None:
    async with NatsServer(tmp_path / "nats", bus_identity, host="::1") as server:
        assert server.url.startswith("nats://[::1]:")
        assert await reachable(server)


async def test_a_wipe_deletes_what_was_stored(nats_server: NatsServer) -> None:
    marker = nats_server.directory / "jetstream" / "marker"
    marker.write_text("x")
    await nats_server.wipe()
    assert not marker.exists()
    assert await reachable(nats_server)
    await nats_server.stop()
    await nats_server.wipe()
    assert not nats_server.running


async def test_it_is_started_again_when_it_dies_unasked(nats_server: NatsServer) -> None:
    first = nats_server.pid
    assert first is not None
    keeper = asyncio.create_task(nats_server.keep_running())
    os.kill(first, signal.SIGKILL)
    async with asyncio.timeout(10):
        while nats_server.pid in (first, None):  # noqa: ASYNC110 - another process sends no event
            await asyncio.sleep(0.01)
        await nats_server.stop()
        await keeper


async def test_it_is_started_again_however_often_it_dies_while_it_starts(nats_server: NatsServer) -> None:
    keeper = asyncio.create_task(nats_server.keep_running())
    killed: set[int] = set()
    async with asyncio.timeout(20):
        while len(killed) < 5:
            if nats_server.pid is not None and nats_server.pid not in killed:
                killed.add(nats_server.pid)
                os.kill(nats_server.pid, signal.SIGKILL)
            await asyncio.sleep(0.001)
        while not await reachable(nats_server):  # noqa: ASYNC110 - another process sends no event
            await asyncio.sleep(0.01)
        await nats_server.stop()
        await keeper


PARENT = textwrap.dedent(
    """
    import asyncio, sys
    from pathlib import Path
    from altnet.common.bus.jwt import BusIdentity
    from altnet.common.clock import SystemClock
    from altnet.common.embedded.nats import NatsServer

    async def main():
        server = NatsServer(Path(sys.argv[1]), BusIdentity.create(SystemClock()))
        await server.start()
        print(server.pid, flush=True)
        await asyncio.Event().wait()

    asyncio.run(main())
    """
)


async def test_it_dies_with_its_parent_and_the_next_one_starts(bus_identity: BusIdentity, tmp_path: Path) -> None:
    directory = tmp_path / "nats"
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, str(directory), stdout=subprocess.PIPE)
    assert parent.stdout is not None
    async with asyncio.timeout(30):
        child = int(await parent.stdout.readline())
    parent.kill()
    await parent.wait()
    async with NatsServer(directory, bus_identity) as server:
        assert await reachable(server)
        assert server.pid != child
        async with asyncio.timeout(10):
            while is_nats_server(child):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)


def is_nats_server(pid: int) -> bool:
    try:
        return "nats-server" in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False
