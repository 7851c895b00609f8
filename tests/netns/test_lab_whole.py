"""A whole lab: real control plane, real agents, real WireGuard; packets from client to client, and what breaks it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from altnet.host.lab import commands, enrol, namespaces, tunnel
from altnet.host.lab.lab import Lab, Target
from altnet.host.lab.settings import LabSettings
from altnet.host.lab.topology import Spec

pytestmark = [
    pytest.mark.netns,
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: a whole lab needs root"),
]

PREFIX = f"tw{os.getpid() % 100_000}"
SPEC = Spec(prefix=PREFIX, relays=3, clients=2)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """One lab for all tests here; each leaves it healed."""
    # Reachable for the user that Postgres runs as, which pytest's own directories are not.
    directory = Path(tempfile.mkdtemp(prefix="altnet-lab-"))
    directory.chmod(0o755)
    lab = Lab(LabSettings(prefix=PREFIX, run_dir=str(directory), api_port=0))
    try:
        lab.up(SPEC)
        yield lab
    finally:
        lab.down()
        shutil.rmtree(directory)
        assert namespaces.of_lab(PREFIX) == set()


@pytest.fixture(autouse=True)
def _healed(lab: Lab) -> Iterator[None]:
    yield
    lab.up(SPEC)
    lab.heal()


def reaches(lab: Lab, one: str, other: str, *, within: float) -> bool:
    """Whether a ping crosses the mesh between two clients before the time is over."""
    target = str(tunnel.parse((lab.files.host(other) / "alt0.conf").read_text()).addresses[0].ip)
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        argv = ["ping", "-6", "-n", "-c", "1", "-W", "1", target]
        if commands.run(argv, timeout=10, namespace=f"{PREFIX}-{one}", check=False).returncode == 0:
            return True
    return False


def all_in_sync(lab: Lab, relays: list[str], *, within: float) -> bool:
    """Whether these relays all have what is planned before the time is over: plans change after `up` as well."""
    api, deadline = enrol.open_api(lab.control_plane()), time.monotonic() + within
    while (behind := enrol.behind(api, relays)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return not behind


def pids(lab: Lab) -> dict[int, str]:
    return namespaces.processes(host["namespace"] for host in lab.status().hosts)


def test_clients_reach_each_other_across_the_mesh(lab: Lab) -> None:
    assert reaches(lab, "client1", "client2", within=10)
    assert reaches(lab, "client2", "client1", within=10)


def test_the_api_answers_outside_the_lab(lab: Lab) -> None:
    control = lab.control_plane()
    request = urllib.request.Request(f"{control.api}/v1/relays", headers={"Authorization": f"Bearer {control.token}"})

    with urllib.request.urlopen(request, timeout=10) as answer:
        names = {relay["name"] for relay in json.load(answer)["items"]}

    assert names == {"relay1", "relay2", "relay3"}


def test_a_whole_lab_that_is_up_is_not_touched_by_another_up(lab: Lab) -> None:
    assert reaches(lab, "client1", "client2", within=10)
    before = pids(lab)

    lab.up(SPEC)

    assert pids(lab) == before
    assert lab.status().state == "up"


def test_a_whole_lab_grows_by_a_relay_and_shrinks_again(lab: Lab) -> None:
    lab.up(Spec(prefix=PREFIX, relays=4, clients=2))
    assert all_in_sync(lab, ["relay1", "relay2", "relay3", "relay4"], within=30)
    lab.up(SPEC)

    assert lab.status().state == "up"
    assert reaches(lab, "client1", "client2", within=30)


def test_everything_killed_at_once_comes_back_with_up(lab: Lab) -> None:
    namespaces.kill_all([host["namespace"] for host in lab.status().hosts], timeout=10)

    lab.up(SPEC)

    assert lab.status().state == "up"
    assert reaches(lab, "client1", "client2", within=30)


def test_an_agent_whose_wireguard_was_killed_brings_it_back_by_itself(lab: Lab) -> None:
    assert reaches(lab, "client1", "client2", within=30)

    lab.kill("relay1", Target.WIREGUARD)

    # One heartbeat until the agent sees it, 15 s until the client gives up its dead session (WireGuard's timers).
    assert reaches(lab, "client1", "client2", within=45)


def test_a_killed_control_plane_comes_back_at_the_same_address_with_what_it_knew(lab: Lab) -> None:
    before = lab.control_plane()

    lab.kill("control", Target.CONTROL)
    lab.heal(["control"])
    after = lab.await_control()

    assert after == before
    assert {relay.name for relay in enrol.open_api(after).relays()} >= {"relay1", "relay2", "relay3"}


def test_a_relay_that_is_cut_off_from_all_others_leaves_its_clients_alone_until_it_is_healed(lab: Lab) -> None:
    assert reaches(lab, "client1", "client2", within=30)

    lab.partition(["relay1"], ["relay2", "relay3"])
    cut_off = not reaches(lab, "client1", "client2", within=3)
    lab.heal()

    assert cut_off
    assert reaches(lab, "client1", "client2", within=60)


def test_the_command_line_shows_and_breaks_the_lab_for_scripts(lab: Lab) -> None:
    status = altnet_lab(lab, "status", "--json")
    answer = altnet_lab(lab, "exec", "relay1", "--json", "--", "hostname")
    killed = altnet_lab(lab, "kill", "relay2", "--process", "agent", "--json")
    healed = altnet_lab(lab, "heal", "relay2", "--json")

    assert {host["name"] for host in status["hosts"]} >= {"router1", "control", "relay1", "nat1", "client1"}
    assert answer["exit_code"] == 0
    assert killed["killed"][0].startswith("agent")
    assert healed["state"] == "up"


def test_scripts_impair_paths_and_drain_relays_and_see_the_sessions(lab: Lab) -> None:
    impaired = altnet_lab(lab, "impair", "relay1", "relay2", "--loss", "5%", "--delay", "20ms", "--json")
    seen = altnet_lab(lab, "status", "--json")
    mended = altnet_lab(lab, "impair", "relay1", "relay2", "--json")
    drained = [altnet_lab(lab, "drain", "relay3", "--json") for _ in range(2)]
    back = altnet_lab(lab, "undrain", "relay3", "--json")

    path = {"source": "relay1", "target": "relay2", "cut": False, "loss": 0.05, "delay": 0.02}
    assert impaired["impairments"] == [path, path | {"source": "relay2", "target": "relay1"}]
    assert seen["impairments"] == impaired["impairments"]
    routing = next(host["routing"] for host in seen["hosts"] if host["name"] == "relay1")
    assert routing["engine"] == "bird"
    assert routing["sessions"] >= 2  # the registry may still know a relay that another test took away
    assert mended == {"impairments": []}
    assert drained == [{"relay": "relay3", "state": "draining"}] * 2
    assert back == {"relay": "relay3", "state": "active"}


def altnet_lab(lab: Lab, *words: str) -> dict:
    env = os.environ | {
        "ALTNET_LAB_PREFIX": PREFIX,
        "ALTNET_LAB_RUN_DIR": lab.settings.run_dir,
        "ALTNET_LAB_API_PORT": "0",
    }
    argv = [sys.executable, "-c", "from altnet.host.lab.cli import app; app()", *words]
    return json.loads(subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120, check=True).stdout)
