"""Processes on the lab's hosts, and taking them away: kill, heal, partition hit what they name and nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from altnet.common.errors import Conflict, Invalid, Unavailable
from altnet.host.lab import launcher, members, namespaces
from altnet.host.lab.cli import app
from altnet.host.lab.faults import Shape
from altnet.host.lab.lab import Lab, Target
from altnet.host.lab.prober import Endpoint, Prober
from altnet.host.lab.settings import LabSettings
from altnet.host.lab.state import Wanted
from altnet.host.lab.steps import Silent
from altnet.host.lab.topology import Spec
from typer.testing import CliRunner

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: hosts of the lab need root"),
]

PREFIX = f"tb{os.getpid() % 100_000}"
ENV = {"PATH": os.environ["PATH"]}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(LabSettings(prefix=PREFIX, run_dir=str(tmp_path / "run"), api_port=0))
    try:
        lab.up(Spec(prefix=PREFIX, relays=3, clients=2), network_only=True)
        yield lab
    finally:
        lab.down()
        assert namespaces.of_lab(PREFIX) == set()


def start(lab: Lab, host: str, name: str, argv: list[str], **options: object) -> launcher.Process:
    with lab.files.locked() as lock:
        return launcher.start(
            lab.topology().host(host),
            name,
            argv,
            files=lab.files,
            lock=lock,
            env=ENV,
            **options,  # type: ignore[arg-type]  # test helper
        )


def want(lab: Lab, host: str, name: str, argv: tuple[str, ...]) -> None:
    """Have something run on a host as the lab's own processes do."""
    lab._want(Wanted(host=host, name=name, argv=argv))
    lab.heal([host])


def by_command(lab: Lab, *line: str) -> Any:
    """`altnet lab … --json`: what it answers on standard output, where there is nothing else."""
    env = {"ALTNET_LAB_PREFIX": PREFIX, "ALTNET_LAB_RUN_DIR": lab.settings.run_dir, "ALTNET_LAB_API_PORT": "0"}
    result = CliRunner().invoke(app, [*line, "--json"], env=env)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    return json.loads(result.stdout)


def between(lab: Lab, one: str, other: str, *, port: int = 7777) -> Prober:
    topology = lab.topology()
    ends = [
        Endpoint(namespace=topology.host(name).namespace, address=str(topology.address(name))) for name in (one, other)
    ]
    return Prober(*ends, rate=200, port=port)


def test_a_process_lives_in_its_host_with_a_wireguard_directory_of_its_own(lab: Lab) -> None:
    one = start(lab, "relay1", "one", ["sh", "-c", "touch /run/wireguard/x; exec sleep 60"])
    start(lab, "relay2", "one", ["sleep", "60"])

    _until(lambda: os.listdir(lab.files.wireguard("relay1")) == ["x"])
    _until(lambda: namespaces.processes([f"{PREFIX}-relay1"]) == {one.pid: f"{PREFIX}-relay1"})  # `touch` has ended
    assert os.listdir(lab.files.wireguard("relay2")) == []
    assert not Path("/run/wireguard/x").exists()
    assert (
        subprocess.run(lab.exec_argv("relay1", ["ls", "/run/wireguard"]), capture_output=True, text=True).stdout
        == "x\n"
    )


def test_a_process_inherits_listening_sockets_as_systemd_would_give_them(lab: Lab) -> None:
    script = (
        "import os, socket; assert os.environ['LISTEN_PID'] == str(os.getpid()); "
        "s = socket.socket(fileno=3); c, _ = s.accept(); c.sendall(os.environ['LISTEN_FDS'].encode())"
    )
    with members.listen_outside("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        start(lab, "control", "api", [sys.executable, "-c", script], inherit=[listening.fileno()])

    # The process is inside a namespace; the socket belongs to the world outside.
    with socket.create_connection(("127.0.0.1", port), timeout=10) as caller:
        assert caller.recv(10) == b"1"


def test_a_process_that_cannot_start_says_why(lab: Lab) -> None:
    # It may end before or after the first look at it; its log has the reason either way.
    with contextlib.suppress(Unavailable):
        process = start(lab, "relay1", "nothing", ["no-such-program"])
        _until(lambda: launcher.start_time(process.pid) is None)

    assert "no-such-program" in launcher.last_words(launcher.log_file(lab.files, "relay1", "nothing"))


def test_whoever_starts_a_process_may_die_at_once_and_it_is_still_recorded(lab: Lab) -> None:
    script = f"""
import os, signal
from altnet.host.lab import launcher
from altnet.host.lab.lab import Lab
from altnet.host.lab.settings import LabSettings
launcher._await_record = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)
lab = Lab(LabSettings(prefix={PREFIX!r}, run_dir={lab.settings.run_dir!r}))
with lab.files.locked() as lock:
    launcher.start(lab.topology().host("relay1"), "orphan", ["sleep", "60"], files=lab.files, lock=lock, env={ENV!r})
"""
    died = subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode

    with lab.files.locked():  # the new process holds the lock until it is recorded
        found = launcher.find(lab.files, "relay1", "orphan")

    assert died == -signal.SIGKILL
    assert found is not None
    assert namespaces.processes([f"{PREFIX}-relay1"]) == {found.pid: f"{PREFIX}-relay1"}


def test_a_recycled_pid_is_not_taken_for_ours(lab: Lab) -> None:
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        started = launcher.start_time(bystander.pid)
        assert started is not None
        launcher.record_file(lab.files, "relay1", "agent").write_text(f"{bystander.pid} {started - 1}\n")

        assert launcher.find(lab.files, "relay1", "agent") is None
        old = launcher.Process(bystander.pid, started - 1)
        assert launcher.end(old, sign=signal.SIGKILL, timeout=1) is False
        lab.down()

        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_killing_the_agent_leaves_the_hosts_other_processes_and_heal_starts_it_again(lab: Lab) -> None:
    want(lab, "relay1", "agent", ("sleep", "60"))
    other = start(lab, "relay1", "other", ["sleep", "60"])
    first = launcher.find(lab.files, "relay1", "agent")

    lab.kill("relay1", Target.AGENT)
    damaged = lab.status()
    lab.heal(["relay1"])
    second = launcher.find(lab.files, "relay1", "agent")

    assert damaged.missing == ("relay1: agent does not run",)
    assert first is not None
    assert second is not None
    assert first.pid != second.pid
    assert launcher.start_time(other.pid) == other.started
    assert lab.status().state == "up"


def test_each_verb_that_takes_a_while_says_what_it_does(lab: Lab) -> None:
    told: list[str] = []

    class Listening(Silent):
        @contextlib.contextmanager
        def step(self, text: str) -> Iterator[None]:
            told.append(text)
            yield

    want(lab, "relay1", "agent", ("sleep", "60"))
    lab.steps = Listening()
    for act, says in (
        (lambda: lab.kill("relay1", Target.AGENT), "killing agent on relay1"),
        (lambda: lab.heal(["relay1"]), "1 processes and 0 tunnels run, or start"),
        (lambda: lab.kill("relay1"), "relay1 loses its power"),
        (lambda: lab.partition(["relay1"], ["relay2"]), "nothing goes from relay1 to relay2, or back"),
        (lambda: lab.impair("relay2", "relay3", loss=0.1, one_way=True), "path from relay2 to relay3 changes"),
        (lambda: lab.shape(Shape.CHAIN), "relays reach each other by the shape chain"),
    ):
        told.clear()
        act()
        assert says in told


def test_killing_what_does_not_run_is_said(lab: Lab) -> None:
    with pytest.raises(Conflict, match="no agent runs on relay1"):
        lab.kill("relay1", Target.AGENT)
    with pytest.raises(Conflict, match="no WireGuard process"):
        lab.kill("relay1", Target.WIREGUARD)
    with pytest.raises(Conflict, match="no BIRD runs on relay1"):
        lab.kill("relay1", Target.BIRD)


def test_killing_wireguard_hits_only_that_hosts_userspace_tunnels(lab: Lab) -> None:
    start(lab, "relay1", "wg", ["wireguard-go", "-f", "wgx"])
    spared = start(lab, "relay2", "wg", ["wireguard-go", "-f", "wgx"])
    _until(lambda: "wgx" in namespaces.interfaces(f"{PREFIX}-relay1"))

    hit = lab.kill("relay1", Target.WIREGUARD)

    assert len(hit) == 1
    assert launcher.start_time(spared.pid) == spared.started
    _until(lambda: "wgx" not in namespaces.interfaces(f"{PREFIX}-relay1"))


def test_a_host_without_power_has_nothing_left_but_its_disk(lab: Lab) -> None:
    want(lab, "relay1", "agent", ("sleep", "60"))
    stray = start(lab, "relay1", "stray", ["sh", "-c", "sleep 61 & sleep 62"])
    (lab.files.host("relay1") / "disk").write_text("kept")
    (lab.files.wireguard("relay1") / "wgx.sock").touch()

    lab.kill("relay1")

    assert not namespaces.is_live(f"{PREFIX}-relay1")
    assert launcher.start_time(stray.pid) is None
    assert "to-relay1" not in namespaces.interfaces(f"{PREFIX}-router1")
    assert (lab.files.host("relay1") / "disk").read_text() == "kept"
    assert os.listdir(lab.files.wireguard("relay1")) == []
    state = {host["name"]: host["state"] for host in lab.status().hosts}
    assert (state["relay1"], state["relay2"], lab.status().state) == ("dead", "up", "up")
    with pytest.raises(Conflict, match="dead"):
        lab.kill("relay1")
    with pytest.raises(Conflict, match="dead"):
        lab.exec_argv("relay1", ["true"])


@pytest.mark.parametrize("how", ["heal", "up"])
def test_a_dead_host_comes_back_with_its_processes(lab: Lab, how: str) -> None:
    want(lab, "relay1", "agent", ("sleep", "60"))
    lab.kill("relay1")

    if how == "heal":
        lab.heal(["relay1"])
    else:
        lab.up(lab.topology().spec, network_only=True)

    assert launcher.find(lab.files, "relay1", "agent") is not None
    with between(lab, "relay1", "relay2") as prober:
        assert prober.flows(since=prober.now(), timeout=5) is not None


def test_a_dead_router_and_home_come_back_too(lab: Lab) -> None:
    for name in ("router1", "nat1"):
        lab.kill(name)
    lab.heal()

    assert lab.status().missing == ()
    with between(lab, "relay1", "relay2") as prober:
        assert prober.flows(since=prober.now(), timeout=5) is not None


def test_a_cut_stops_both_directions_and_spares_everybody_else(lab: Lab) -> None:
    with between(lab, "relay1", "relay2") as cut, between(lab, "relay1", "relay3", port=7778) as spared:
        assert cut.flows(since=cut.now(), timeout=5) is not None
        lab.partition(["relay1"], ["relay2"])
        since = cut.now()
        assert spared.flows(since=since, timeout=5) is not None
        assert cut.flows(since=since, timeout=0.3) is None
        assert cut.window(since, cut.now() - 0.05).share == 1.0

        lab.heal(["relay2"])
        assert cut.flows(since=cut.now(), timeout=5) is not None
    assert lab.status().cuts == ()


def test_a_one_way_cut_lets_the_other_way_through(lab: Lab) -> None:
    with between(lab, "relay1", "relay2") as prober:
        assert prober.flows(since=prober.now(), timeout=5) is not None
        lab.partition(["relay1"], ["relay2"], one_way=True)
        since = prober.now()
        time.sleep(0.4)  # let packets be counted: the measure is their share
        loss = prober.window(since, prober.now() - 0.05)

    assert loss.sent > 20
    assert loss.lost == loss.sent // 2


def test_cuts_stay_while_hosts_die_and_come_back(lab: Lab) -> None:
    """By the commands, as a script uses them: with `--json` each answers with one object."""
    cut = by_command(lab, "partition", "relay1", "relay2,client1")
    killed = by_command(lab, "kill", "router1")
    up = by_command(lab, "up", "--relays", "3", "--clients", "2", "--network-only")

    assert cut["cuts"] == [
        {"from": ["relay1"], "to": ["relay2", "client1"]},
        {"from": ["relay2", "client1"], "to": ["relay1"]},
    ]
    assert killed == {"killed": ["router1"]}
    assert (up["state"], up["missing"], len(up["cuts"])) == ("up", [], 2)
    with between(lab, "relay1", "relay2") as prober:
        assert prober.flows(since=prober.now(), timeout=0.3) is None

    assert by_command(lab, "heal")["cuts"] == []
    assert by_command(lab, "shape", "ring") == {"shape": "ring"}
    assert by_command(lab, "status")["shape"] == "ring"
    assert by_command(lab, "shape", "full") == {"shape": "full"}
    existing = len(namespaces.of_lab(PREFIX))
    assert by_command(lab, "down") == {"removed": existing}
    assert by_command(lab, "status")["state"] == "down"


def test_a_cut_that_makes_no_sense_is_refused(lab: Lab) -> None:
    with pytest.raises(Invalid, match="router1 is a router"):
        lab.partition(["router1"], ["relay1"])
    with pytest.raises(Invalid, match="both sides"):
        lab.partition(["client1"], ["nat1"])


def _until(condition: object, timeout: float = 5.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():  # type: ignore[operator]  # a test helper takes any callable
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.005)
