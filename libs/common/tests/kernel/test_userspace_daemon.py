"""wireguard-go as a process: it outlives us, and its deaths and silences end in clear errors."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from altnet.common.errors import AltnetError, NotFound, Unavailable
from altnet.common.kernel.wg_uapi import UserspaceWireGuard
from altnet.common.kernel.wireguard import DeviceConfig, Endpoint, PeerChange, PeerConfig, WireGuardRefused
from altnet.common.keys import PrivateKey, PublicKey
from support.hosts import PREFIX, userspace
from support.netns import Namespace, NamespaceFactory, processes

MESH = "alt-mesh"
pytestmark = pytest.mark.netns

AGENT = """
import asyncio, os, sys
from pathlib import Path
from altnet.common.kernel.wg_uapi import UserspaceWireGuard

asyncio.run(UserspaceWireGuard(prefix="alt", command=sys.argv[2:], sockets=Path(sys.argv[1])).create("alt-mesh"))
os.kill(os.getpid(), 9)
"""


Maker = Callable[..., UserspaceWireGuard]


@pytest.fixture
async def backend(inside_netns: Namespace) -> AsyncIterator[Maker]:
    """Makes a backend with options of its own; closes it at the end."""
    async with AsyncExitStack() as stack:

        def make(**options: Any) -> UserspaceWireGuard:
            defaults = {"prefix": PREFIX, "command": inside_netns.wireguard_go, "sockets": inside_netns.sockets}
            made = UserspaceWireGuard(**{**defaults, **options})
            stack.push_async_callback(made.close)
            return made

        yield make


@pytest.fixture
def wireguard(backend: Maker) -> UserspaceWireGuard:
    return backend()


def daemons(namespace: Namespace) -> list[int]:
    return [pid for pid in processes(namespace.name) if Path(f"/proc/{pid}/comm").read_text() == "wireguard-go\n"]


def environment(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(line.split("=", 1) for line in lines if line)


async def gone(pid: int) -> None:
    """Wait for the end of a process that is not our child."""
    descriptor = os.pidfd_open(pid)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(descriptor, ended.set)
    try:
        await asyncio.wait_for(ended.wait(), 10)
    finally:
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)


async def test_the_device_outlives_an_agent_that_is_killed(
    inside_netns: Namespace, wireguard: UserspaceWireGuard
) -> None:
    agent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", AGENT, str(inside_netns.sockets), *inside_netns.wireguard_go
    )
    assert await agent.wait() == -signal.SIGKILL
    assert await wireguard.list() == (MESH,)
    await wireguard.apply(MESH, [PeerChange.add(PeerConfig(key=PublicKey(b"\x01" * 32)))])
    assert len((await wireguard.read(MESH)).peers) == 1


async def test_the_daemon_is_in_a_session_of_its_own_and_quiet(
    inside_netns: Namespace, wireguard: UserspaceWireGuard
) -> None:
    await wireguard.create(MESH)
    (pid,) = daemons(inside_netns)
    assert os.getsid(pid) != os.getsid(0)
    assert {os.readlink(f"/proc/{pid}/fd/{number}") for number in (0, 1, 2)} == {"/dev/null"}


async def test_the_daemon_sees_of_our_environment_what_is_for_gos_runtime_and_nothing_else(
    inside_netns: Namespace, wireguard: UserspaceWireGuard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOMAXPROCS", "1")
    monkeypatch.setenv("ALTNET_AGENT_JOIN_TOKEN", "a secret")
    await wireguard.create(MESH)
    (pid,) = daemons(inside_netns)
    seen = environment(pid)
    assert seen["GOMAXPROCS"] == "1"
    own = {name for name in seen if not name.startswith("WG_")}  # what it tells its own second process
    assert own <= {"PATH", "PWD", "LOG_LEVEL", "GOMAXPROCS", "GOMEMLIMIT", "GOGC"}


async def test_removing_the_device_ends_the_daemon(inside_netns: Namespace, wireguard: UserspaceWireGuard) -> None:
    await wireguard.create(MESH)
    (pid,) = daemons(inside_netns)
    await wireguard.remove(MESH)
    await gone(pid)
    assert not list(inside_netns.sockets.iterdir())


async def test_a_killed_daemon_is_no_device_and_its_socket_does_not_stand_in_the_way(
    inside_netns: Namespace, wireguard: UserspaceWireGuard
) -> None:
    await wireguard.create(MESH)
    (pid,) = daemons(inside_netns)
    os.kill(pid, signal.SIGKILL)
    await gone(pid)
    stale = inside_netns.sockets / f"{MESH}.sock"
    assert stale.exists()
    with pytest.raises(NotFound):
        await wireguard.read(MESH)
    assert await wireguard.list() == ()
    assert not stale.exists()
    await wireguard.create(MESH)
    assert await wireguard.list() == (MESH,)


async def test_a_stale_socket_alone_is_removed_with_its_device(
    inside_netns: Namespace, wireguard: UserspaceWireGuard
) -> None:
    await wireguard.create(MESH)
    (pid,) = daemons(inside_netns)
    os.kill(pid, signal.SIGKILL)
    await gone(pid)
    await wireguard.remove(MESH)
    assert not list(inside_netns.sockets.iterdir())


async def test_two_hosts_use_the_same_name_side_by_side(
    inside_netns: Namespace, wireguard: UserspaceWireGuard, netns_factory: NamespaceFactory
) -> None:
    other = netns_factory("other")
    await wireguard.create(MESH)
    with other.entered():
        second = userspace(other)
        await second.create(MESH)
        await second.remove(MESH)
        await second.close()
    assert await wireguard.list() == (MESH,)


async def test_a_refusal_in_the_middle_of_a_long_stream_names_the_peer(wireguard: UserspaceWireGuard) -> None:
    await wireguard.create(MESH)
    keys = [PrivateKey.generate().public(), *(PublicKey(n.to_bytes(32, "big")) for n in range(1, 5001))]
    changes = [PeerChange.add(PeerConfig(key=key)) for key in keys]
    bad = PeerChange.add(PeerConfig(key=keys[0], endpoint=Endpoint.parse("[fe80::1%nowhere]:1")))
    with pytest.raises(WireGuardRefused) as caught:
        await wireguard.apply(MESH, [*changes[1:700], bad, *changes[700:]])
    assert caught.value.peer == keys[0]


async def test_a_missing_program_is_told_with_what_to_install(backend: Maker) -> None:
    with pytest.raises(Unavailable) as caught:
        await backend(command=["no-such-program"]).create(MESH)
    assert "no-such-program is not installed" in caught.value.detail
    assert "apt-get install wireguard-go" in str(caught.value.mend)


async def test_a_daemon_that_fails_to_start_is_told_with_its_reason(inside_netns: Namespace, backend: Maker) -> None:
    blocked = 'mount --bind /dev/null /dev/net/tun && exec "$0" "$@"'
    failing = (*inside_netns.command, "sh", "-c", blocked, "wireguard-go")
    with pytest.raises(Unavailable, match=f"could not make {MESH}: Failed to create TUN device: "):
        await backend(command=failing).create(MESH)
    assert processes(inside_netns.name) == []


async def test_a_daemon_that_does_not_come_up_is_stopped_at_the_deadline(
    inside_netns: Namespace, backend: Maker
) -> None:
    with pytest.raises(Unavailable, match="did not make alt-mesh within"):
        await backend(command=("sh", "-c", "exec sleep 60"), start_deadline=0.1).create(MESH)
    assert processes(inside_netns.name) == []


@asynccontextmanager
async def listener(sockets: Path, answer: bytes | None) -> AsyncIterator[None]:
    """Something on the device's socket that answers with `answer`, or never."""
    stop = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        if answer is None:
            await stop.wait()
        else:
            writer.write(answer)
        writer.close()

    server = await asyncio.start_unix_server(serve, sockets / f"{MESH}.sock")
    try:
        yield
    finally:
        stop.set()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("answer", [None, b"", b"private_key="], ids=["silence", "a closed socket", "half an answer"])
async def test_a_daemon_that_does_not_answer_is_unavailable(
    inside_netns: Namespace, backend: Maker, answer: bytes | None
) -> None:
    wireguard = backend(deadline=0.2)
    async with listener(inside_netns.sockets, answer):
        for verb in (wireguard.read(MESH), wireguard.apply(MESH, [PeerChange.remove(PublicKey(b"\x01" * 32))])):
            with pytest.raises(Unavailable) as caught:
                await verb
            assert caught.value.code == "wireguard_unavailable"


async def test_the_private_key_is_in_no_error(inside_netns: Namespace, wireguard: UserspaceWireGuard) -> None:
    private = PrivateKey.generate()
    async with listener(inside_netns.sockets, b"errno=22\n\n"):
        with pytest.raises(AltnetError) as caught:
            await wireguard.configure(MESH, DeviceConfig(private_key=private, listen_port=1))
    assert private.reveal().hex() not in f"{caught.value!r} {caught.value}"


async def test_wg_sees_what_we_configured(inside_netns: Namespace, wireguard: UserspaceWireGuard) -> None:
    key = PrivateKey.generate()
    await wireguard.create(MESH)
    await wireguard.configure(MESH, DeviceConfig(private_key=key, listen_port=51877))
    shown = await asyncio.to_thread(subprocess.check_output, [*inside_netns.wg, "show", MESH], text=True, timeout=30)
    assert str(key.public()) in shown
    assert "listening port: 51877" in shown
