"""The command: exit codes, JSON, settings, the control socket, systemd."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from altnet.common.errors import Invalid, NotFound
from altnet.common.settings import Secret, load
from altnet.common.systemd import Systemd
from altnet.relay_agent import cli
from altnet.relay_agent.control import ask_status, serve
from altnet.relay_agent.disk_state import DiskState
from altnet.relay_agent.main import host_name
from altnet.relay_agent.settings import ENV_PREFIX, AgentSettings
from support.relays import Paper, Rig, document, enrolment_of, entry, identity_of


def call(state: Path, *arguments: str, env: dict[str, str] | None = None) -> int:
    flags = ["--state-dir", str(state), "--backend", "memory"]
    return cli.main([arguments[0], *flags, *arguments[1:]], env={"PATH": os.environ["PATH"], **(env or {})})


def enrolled(path: Path) -> DiskState:
    state = DiskState(path, make=lambda: identity_of("me"))
    state.open()
    state.identity()
    asyncio.run(state.save_enrolment(enrolment_of("me", 1)))
    return state


def test_version_needs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["version"], env={}) == 0
    assert capsys.readouterr().out.strip() == "0.1.0"


def test_a_host_that_is_not_enrolled_is_told_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("status", "plan", "run"):
        assert call(tmp_path / "state", command) == cli.USAGE
        assert "altnet-agent enrol" in capsys.readouterr().err


def test_status_without_an_agent_says_so_with_exit_code_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    enrolled(tmp_path / "state")
    assert call(tmp_path / "state", "status", "--json") == cli.NOT_RUNNING
    said = json.loads(capsys.readouterr().out)
    assert (said["running"], said["relay"], said["health"]) == (False, "rly_me", "the agent is not running")


async def test_status_of_a_running_agent_is_shown_to_people_and_programs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    enrolment = tmp_path / "state"
    await asyncio.to_thread(enrolled, enrolment)
    rig, paper = Rig(), Paper()
    paper.put(entry("me", 1), entry("a", 2))
    rig.shelf.put_mesh(paper)
    rig.shelf.put_document(document("me"))
    await rig.start()
    await rig.fetch()
    path = str(enrolment / "control.sock")
    async with serve(path, rig.agent.status, timeout=5):
        assert os.stat(path).st_mode & 0o777 == 0o600
        assert await asyncio.to_thread(call, enrolment, "status", "--json") == cli.OK
        said = json.loads(capsys.readouterr().out)
        assert (said["health"], said["settled"], said["links"][0]["neighbour"]) == ("ok", True, "rly_a")
        await rig.tell(paper.put(entry("b", 3, origins=("::/0",))))
        assert await asyncio.to_thread(call, enrolment, "status") == cli.UNWELL
        shown = capsys.readouterr().out
        assert "failed    document rly_b" in shown
        assert "rly_a  DOWN" in shown
    with pytest.raises(NotFound):
        await ask_status(path, timeout=1)


async def test_an_asker_that_asks_nonsense_or_nothing_harms_nobody(tmp_path: Path) -> None:
    rig = Rig()
    path = str(tmp_path / "c.sock")
    async with serve(path, rig.agent.status, timeout=0.2):
        for question in (b"x" * 5000 + b"\n", b"reboot\n", b""):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(question)
            await reader.read()
            writer.close()
        assert (await ask_status(path, timeout=2)).relay == "rly_me"


async def test_a_socket_path_that_is_too_long_is_refused_with_the_mend(tmp_path: Path) -> None:
    rig = Rig()
    with pytest.raises(Invalid, match="control_socket"):
        async with serve(str(tmp_path / ("x" * 120)), rig.agent.status, timeout=1):
            pass


def test_down_without_anything_is_done_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    enrolled(tmp_path / "state")
    assert call(tmp_path / "state", "down", "--json") == cli.OK
    assert json.loads(capsys.readouterr().out)["failed"] == []


def test_two_agents_on_one_directory_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = enrolled(tmp_path / "state")
    state.hold()
    assert call(tmp_path / "state", "down") == cli.USAGE
    assert "another agent" in capsys.readouterr().err
    state.release()


@pytest.mark.parametrize(
    ("env", "field"),
    [
        ({"ALTNET_AGENT_INTERFACE_PREFIX": "Alt!"}, "/interface_prefix"),
        ({"ALTNET_AGENT_INTERFACE_PREFIX": "longerthanten"}, "/interface_prefix"),
        ({"ALTNET_AGENT_NAME": "-x"}, "/name"),
        ({"ALTNET_AGENT_MESH_PORT": "70000"}, "/mesh_port"),
        ({"ALTNET_AGENT_MESH_PORT": "51899"}, "/mesh_port"),
        ({"ALTNET_AGENT_FIREWALL_TABLE": "a b; flush"}, "/firewall_table"),
        ({"ALTNET_AGENT_TIMERS__RESYNC": "soon"}, "/timers/resync"),
        ({"ALTNET_AGENT_BACKEND": "magic"}, "/backend"),
    ],
)
def test_a_wrong_setting_stops_the_start_with_its_name(env: dict[str, str], field: str) -> None:
    with pytest.raises(Invalid) as error:
        load(AgentSettings, prefix=ENV_PREFIX, env=env)
    assert error.value.field == field


def test_flags_win_over_the_environment_and_the_file(tmp_path: Path) -> None:
    file, token = tmp_path / "agent.toml", tmp_path / "token"
    file.write_text('region = "file"\nname = "file"\n[labels]\nrack = "1"\n')
    token.write_text("alt_token\n")
    arguments = ["enrol", "--config", str(file), "--name", "flag", "--token-file", str(token)]
    arguments += ["--endpoint", "192.0.2.1:1", "--endpoint", "[2001:db8::1]:2", "--label", "a=b"]
    options = cli._parser().parse_args(arguments)
    settings = cli.read_settings(options, {"ALTNET_AGENT_NAME": "env", "ALTNET_AGENT_JOIN_TOKEN": "other"})
    assert (settings.name, settings.region) == ("flag", "file")
    assert settings.join_token == Secret("alt_token")
    assert settings.endpoints == ("192.0.2.1:1", "[2001:db8::1]:2")
    assert settings.labels["a"] == "b"
    assert "alt_token" not in repr(settings)


def test_a_host_name_becomes_a_label(monkeypatch: pytest.MonkeyPatch) -> None:
    class Uname:
        nodename = "My_Host.example.org"

    monkeypatch.setattr(os, "uname", Uname)
    assert host_name() == "my-host"


async def test_systemd_hears_that_we_are_ready_and_alive(tmp_path: Path) -> None:
    path = tmp_path / "notify"
    heard: list[bytes] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(path))
        server.setblocking(False)
        env = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "60000", "WATCHDOG_PID": str(os.getpid())}
        systemd = Systemd(env)
        systemd.tell("READY=1", "STATUS=fine")
        dog = asyncio.create_task(systemd.run_watchdog())
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(5):
            while len(heard) < 4:
                heard.append(await loop.sock_recv(server, 100))
        dog.cancel()
    assert heard[0] == b"READY=1\nSTATUS=fine"
    assert set(heard[1:]) == {b"WATCHDOG=1"}


@pytest.mark.parametrize("env", [{}, {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}, {"NOTIFY_SOCKET": "/nowhere/x"}])
async def test_without_systemd_nothing_is_said(env: dict[str, str]) -> None:
    systemd = Systemd(env)
    systemd.tell("READY=1")
    await asyncio.wait_for(systemd.run_watchdog(), 1)


def test_the_agent_loads_nothing_heavy() -> None:
    heavy = ("fastapi", "pydantic", "sqlalchemy", "sqlmodel", "asyncpg", "typer", "starlette", "httpx", "alembic")
    code = f"import sys, altnet.relay_agent.main; print([m for m in {heavy!r} if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert said.stdout.strip() == "[]"


def test_json_errors_have_code_field_and_mend(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(tmp_path / "s", "enrol", "--json", "--registry", "nonsense") == cli.USAGE
    said: dict[str, Any] = json.loads(capsys.readouterr().out)["error"]
    assert (said["code"], said["field"]) == ("bad_setting", "/registry_url")
    assert said["mend"]
