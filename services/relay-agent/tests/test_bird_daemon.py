"""BIRD's process and its control socket: real BIRD in a namespace, and a socket that talks rubbish."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from altnet.common.contracts.routing import Engine
from altnet.common.errors import Invalid, Unavailable
from altnet.relay_agent.bird.config import Config, render
from altnet.relay_agent.bird.control import BirdRefused, connect
from altnet.relay_agent.bird.daemon import ConfigRefused, Daemon, Times, find
from altnet.relay_agent.bird.pieces import RoutingHost, RoutingRelay, relay_key
from altnet.relay_agent.bird.state import protocols
from support.hosts import until
from support.netns import Namespace, NamespaceFactory
from support.relays import PREFIX

HOST = RoutingHost(
    slot=1, network=PREFIX, links="altl", table=42186, bfd_interval=0.05, bfd_multiplier=3, restart_time=120
)
TIMES = Times(ask=5.0, start=10.0, confirm=2)


def config(*slots: int, cost: int = 1000) -> Config:
    relays = {relay_key(f"rly_{slot}"): RoutingRelay(slot=slot, session=True) for slot in slots}
    return render(HOST, relays=relays, costs=dict.fromkeys(slots, cost))


@pytest_asyncio.fixture
async def daemon(inside_netns: Namespace, tmp_path: Path) -> AsyncIterator[Daemon]:
    made = Daemon("bird", tmp_path / "bird", times=TIMES)
    yield made
    await made.stop()


@pytest.mark.netns
async def test_it_starts_tells_its_mark_takes_another_configuration_and_ends(daemon: Daemon) -> None:
    assert await daemon.mark() is None
    first, second = config(2), config(2, 3)
    await daemon.check(first.text)
    await daemon.start(recover=False)
    assert await daemon.mark() == first.mark
    assert os.stat(daemon.config).st_mode & 0o777 == 0o600
    assert os.stat(daemon.directory).st_mode & 0o777 == 0o700

    await daemon.check(second.text)
    await daemon.configure(second.mark, reload_routes=True)
    assert (await daemon.mark(), daemon.text()) == (second.mark, second.text)
    async with await daemon.connect() as control:
        found = protocols(await control.ask("show protocols all"))
    assert {"m2", "m3", "kernel6", "learn6"} <= set(found)
    assert not found["m2"].info.startswith("Established")

    await daemon.stop()
    assert await daemon.mark() is None
    daemon.forget()
    assert not daemon.directory.exists()


@pytest.mark.netns
async def test_a_refused_configuration_is_named_by_line_and_the_running_one_stays(daemon: Daemon) -> None:
    good = config(2)
    await daemon.check(good.text)
    await daemon.start(recover=False)
    with pytest.raises(ConfigRefused) as error:
        await daemon.check("router id 192.0.2.1;\nprotocol bgp x {\n  neighbour fe80::1;\n}\n")
    assert error.value.line == 3
    assert "syntax error" in error.value.reason
    assert not daemon.candidate.exists(), "what was refused is never taken for what runs"
    with pytest.raises(ConfigRefused, match="No such file"):
        await daemon.configure("x", reload_routes=False)
    other = config(3)
    await daemon.check(other.text)
    with pytest.raises(Unavailable, match="another configuration"):
        await daemon.configure("x", reload_routes=False)
    await daemon.adopt()
    assert await daemon.mark() == good.mark
    assert daemon.text() == good.text


@pytest.mark.netns
async def test_a_configuration_that_nobody_confirms_is_taken_back(daemon: Daemon) -> None:
    good, other = config(2), config(3)
    await daemon.check(good.text)
    await daemon.start(recover=False)
    await daemon.check(other.text)
    async with await daemon.connect() as control:
        await control.ask(f'configure "{daemon.candidate}" timeout 1')
        assert (await control.ask("eval ALTNET_MARK"))[-1].text == other.mark

        async def back() -> bool:
            return (await control.ask("eval ALTNET_MARK"))[-1].text == good.mark

        await until(back)
    assert daemon.text() == good.text, "the file was not replaced either"


@pytest.mark.netns
async def test_what_a_dead_agent_had_not_confirmed_yet_is_confirmed_by_the_next_one(daemon: Daemon) -> None:
    good, other = config(2), config(3)
    await daemon.check(good.text)
    await daemon.start(recover=False)
    await daemon.check(other.text)
    async with await daemon.connect() as control:
        await control.ask(f'configure "{daemon.candidate}" timeout 1')
        await daemon.adopt()
        await asyncio.sleep(1.2)
        assert (await control.ask("eval ALTNET_MARK"))[-1].text == other.mark
    assert daemon.text() == other.text


@pytest.mark.netns
async def test_the_death_of_a_bird_that_is_not_our_child_is_noticed_at_once(daemon: Daemon) -> None:
    await daemon.check(config(2).text)
    await daemon.start(recover=False)
    async with await daemon.connect() as control:
        gone = asyncio.create_task(control.gone())
        await asyncio.sleep(0)
        assert not gone.done()
        os.kill(pid_of(daemon), signal.SIGKILL)
        await asyncio.wait_for(gone, 5)
    await daemon.start(recover=True)
    assert await daemon.running()


@pytest.mark.netns
async def test_a_bird_that_hangs_is_a_deadline_and_can_still_be_ended(inside_netns: Namespace, tmp_path: Path) -> None:
    daemon = Daemon("bird", tmp_path / "bird", times=Times(ask=0.3, start=10.0, confirm=2))
    await daemon.check(config(2).text)
    await daemon.start(recover=False)
    pid = pid_of(daemon)
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(Unavailable, match=r"within 0\.3 s"):
        await daemon.connect()
    assert await daemon.mark() is None
    await daemon.stop()
    assert ended(pid)


@pytest.mark.netns
async def test_a_bird_of_another_network_namespace_is_none_and_gives_way(
    daemon: Daemon, netns_factory: NamespaceFactory
) -> None:
    before = Daemon("bird", daemon.directory, times=TIMES)
    await before.check(config(2).text)
    with netns_factory().entered():
        await before.start(recover=False)
        assert await before.running()
    stranger = pid_of(daemon)
    assert not ended(stranger)

    assert await daemon.mark() is None
    with pytest.raises(Unavailable, match="another network namespace"):
        await daemon.connect()

    await daemon.check(config(2, 3).text)
    await daemon.start(recover=False)
    assert await daemon.mark() == config(2, 3).mark
    assert pid_of(daemon) != stranger
    assert ended(stranger)


@pytest.mark.netns
async def test_a_running_bird_is_ours_by_another_name_of_its_directory_and_where_nobody_tells_whose_it_is(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await daemon.check(config(2).text)
    await daemon.start(recover=False)
    (tmp_path / "other").symlink_to(daemon.directory)
    assert await Daemon("bird", tmp_path / "other", times=TIMES).running()
    monkeypatch.setattr("altnet.relay_agent.bird.daemon._SOCKETS", tmp_path / "nothing")
    assert await Daemon("bird", daemon.directory, times=TIMES).running()


@pytest.mark.netns
async def test_a_pid_that_belongs_to_another_program_now_is_left_alone(daemon: Daemon) -> None:
    other = await asyncio.create_subprocess_exec("sleep", "60")
    try:
        daemon.prepare()
        (daemon.directory / "bird.pid").write_text(str(other.pid))
        await daemon.stop()
        assert other.returncode is None
    finally:
        other.kill()
        await other.wait()


def ended(pid: int) -> bool:
    """Whether a process is gone, or only waits to be counted by its parent."""
    path = Path(f"/proc/{pid}/cmdline")
    return not path.exists() or path.read_bytes() == b""


def pid_of(daemon: Daemon) -> int:
    return int((daemon.directory / "bird.pid").read_text())


async def test_a_directory_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid) as error:
        Daemon("bird", tmp_path / ("x" * 120), times=TIMES).prepare()
    assert error.value.field == "/state_dir"


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo 'BIRD version 2.0.7'", "2.0.8 up to 2.x is needed"),
        ("echo 'BIRD version 1.6.8'", "2.0.8 up to 2.x is needed"),
        ("echo 'BIRD version 3.0.1'", "2.0.8 up to 2.x is needed"),
        ("echo hello", "says nothing of BIRD"),
        ("exec sleep 30", "did not end within"),
    ],
)
async def test_a_program_that_is_no_usable_bird_gives_static_routes_and_a_reason(
    tmp_path: Path, script: str, why: str
) -> None:
    program = tmp_path / "bird"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    found = await find("auto", str(program), deadline=1.0)
    assert found.engine is Engine.STATIC
    assert why in found.problem
    assert "apt-get install bird2" in found.problem


async def test_who_wants_no_bird_is_not_told_of_one() -> None:
    found = await find("static", "bird", deadline=1.0)
    assert (found.engine, found.problem) == (Engine.STATIC, "")


@pytest.mark.parametrize(
    ("says", "error"),
    [
        (b"0001 BIRD ready.\n8002 nothing\n", BirdRefused),
        (b"0001 BIRD ready.\n9001 syntax error\n", BirdRefused),
        (b"0001 BIRD ready.\n1002-half a", Unavailable),
        (b"0001 BIRD ready.\n", Unavailable),
        (b"0001 BIRD ready.\n" + b"x" * (1 << 21), Unavailable),
        (b"\xff\xfe\n" * 100, Unavailable),
        (b"", Unavailable),
    ],
)
async def test_whatever_comes_over_the_socket_is_an_answer_or_an_error(
    tmp_path: Path, says: bytes, error: type[Exception]
) -> None:
    ended = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        greeting, newline, rest = says.partition(b"\n")
        with contextlib.suppress(ConnectionError):
            writer.write(greeting + newline)
            if rest:
                await reader.readline()
            writer.write(rest)
            await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        ended.set()

    path = tmp_path / "ctl"
    async with await asyncio.start_unix_server(talk, path):
        with pytest.raises(error):
            async with await connect(path, deadline=1.0) as control:
                await control.ask("show status")
        await asyncio.wait_for(ended.wait(), 5)
