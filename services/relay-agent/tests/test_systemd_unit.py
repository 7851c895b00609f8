"""The agent as a unit of systemd: what the unit says, and what the process says to systemd."""

from __future__ import annotations

import asyncio
import configparser
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from altnet.relay_agent import cli
from altnet.relay_agent.disk_state import DiskState
from altnet.relay_agent.settings import AgentSettings
from support.relays import enrolment_of

UNITS = Path(__file__).resolve().parents[3] / "deploy/systemd"
HARDENED = {
    "NoNewPrivileges": "yes",
    "DevicePolicy": "closed",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "ProtectClock": "yes",
    "ProtectControlGroups": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectHostname": "yes",
    "ProtectProc": "invisible",
    "PrivateTmp": "yes",
    "RestrictNamespaces": "yes",
    "RestrictRealtime": "yes",
    "RestrictSUIDSGID": "yes",
    "LockPersonality": "yes",
    "MemoryDenyWriteExecute": "yes",
    "SystemCallArchitectures": "native",
    "SystemCallFilter": "@system-service",
    "UMask": "0077",
    "StateDirectoryMode": "0700",
    "RuntimeDirectoryMode": "0700",
}
MOST_EXPOSED = 30
"""Tenths, as `systemd-analyze security` counts: 29 with what the agent has to do on the network; a bare unit has 96."""
needs_systemd_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="NOT TESTED: units are checked by systemd-analyze"
)


def service(name: str) -> dict[str, str]:
    """The section [Service] of a unit, each setting once."""
    unit = configparser.ConfigParser(interpolation=None, delimiters=("=",), comment_prefixes=("#",))
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's names have capitals
    unit.read_string((UNITS / name).read_text())
    return dict(unit["Service"])


def for_this_machine(name: str, folder: Path) -> Path:
    """A copy of a unit whose program exists here."""
    text = (UNITS / name).read_text()
    program = service(name)["ExecStart"].split()[0]
    copy = folder / name
    copy.write_text(text.replace(f"ExecStart={program}", f"ExecStart={sys.executable}"))
    return copy


def test_systemd_waits_until_the_agent_is_ready_watches_it_and_leaves_what_it_started_alone() -> None:
    unit = service("altnet-agent.service")

    assert (unit["Type"], unit["NotifyAccess"]) == ("notify", "main")
    assert unit["ExecStart"].split() == ["/usr/bin/altnet-agent", "run"]
    assert unit["WatchdogSec"] == "60s"
    assert (unit["Restart"], unit["RestartPreventExitStatus"]) == ("on-failure", str(cli.USAGE))
    assert (unit["KillMode"], unit["SendSIGKILL"]) == ("process", "no"), "sessions and routes outlive the agent"
    assert AgentSettings().state_dir == f"/var/lib/{unit['StateDirectory']}"


def test_the_agents_unit_gives_it_three_capabilities_and_one_device() -> None:
    unit = service("altnet-agent.service")

    assert {name: unit.get(name) for name in HARDENED} == HARDENED
    three = {"CAP_NET_ADMIN", "CAP_NET_BIND_SERVICE", "CAP_NET_RAW"}
    assert set(unit["CapabilityBoundingSet"].split()) == set(unit["AmbientCapabilities"].split()) == three
    assert unit["DeviceAllow"] == "/dev/net/tun rw"
    assert set(unit["RestrictAddressFamilies"].split()) == {"AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"}


@needs_systemd_analyze
@pytest.mark.parametrize("name", sorted(path.name for path in UNITS.glob("*.service")))
def test_systemd_finds_nothing_wrong_with_a_unit_and_little_that_is_exposed(name: str, tmp_path: Path) -> None:
    copy = for_this_machine(name, tmp_path)

    def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["systemd-analyze", *arguments, str(copy)]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    verified = analyze("verify", "--man=no", "--recursive-errors=no")
    judged = analyze("security", "--offline=true", "--no-pager", f"--threshold={MOST_EXPOSED}")

    assert (verified.returncode, verified.stderr) == (0, "")
    assert judged.returncode == 0, judged.stdout[-300:] + judged.stderr


@pytest.mark.e2e
def test_the_agents_process_tells_systemd_that_it_is_ready_that_it_lives_and_that_it_stops(tmp_path: Path) -> None:
    state = DiskState.at(str(tmp_path / "state"))
    state.identity()
    asyncio.run(state.save_enrolment(enrolment_of("me", 1)))
    address = tmp_path / "notify"
    told: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(address))
        systemd.settimeout(30)

        def until(word: str) -> None:
            while True:
                told.extend(systemd.recv(4096).decode().split("\n"))
                if word in told[-2:]:
                    return

        env = {name: value for name, value in os.environ.items() if not name.startswith("ALTNET_")}
        env |= {"NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": "150000"}
        command = [sys.executable, "-m", "altnet.relay_agent.cli", "run", "--backend", "memory"]
        agent = subprocess.Popen(
            [*command, "--state-dir", str(tmp_path / "state")], env=env, stderr=subprocess.PIPE, text=True
        )
        try:
            until("READY=1")
            for _ in range(3):
                told.append("")
                until("WATCHDOG=1")
            agent.send_signal(signal.SIGTERM)
            until("STOPPING=1")
            _, said = agent.communicate(timeout=15)
        finally:
            if agent.poll() is None:
                agent.kill()
                agent.communicate()

    assert agent.returncode == 0, said
    assert "STATUS=relay me (rly_me), waiting for the first documents" in told
    words = [word for word in told if word and not word.startswith("STATUS=")]
    assert set(words[: words.index("READY=1")]) <= {"WATCHDOG=1"}
    assert words.count("READY=1") == 1
    assert words[-1] == "STOPPING=1"
