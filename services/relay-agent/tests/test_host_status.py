"""What a heartbeat says of the machine, against the /proc of the machine that the tests run on."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import msgspec
import pytest
from altnet.common.contracts.agent import Applied, Heartbeat, Versions
from altnet.common.contracts.desired import Encapsulation
from altnet.common.contracts.routing import Engine
from altnet.relay_agent import VERSION
from altnet.relay_agent.report import host_status, versions

MIB = 2**20
APPLIED = Applied(mesh_generation=0, mesh_digest="", document_generation=0, document_digest="")


def meminfo() -> dict[str, int]:
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    return {line[0].rstrip(":"): int(line[1]) for line in lines}


def resident() -> int:
    """Bytes, by the other file that tells it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def test_the_load_is_a_processors_and_the_uptime_the_agents() -> None:
    before, status, after = os.getloadavg()[0], host_status(12.5), os.getloadavg()[0]

    processors = os.cpu_count() or 1
    assert min(before, after) / processors <= status.load <= max(before, after) / processors
    assert status.uptime == 12.5


def test_the_memory_in_use_is_a_share_of_what_there_is() -> None:
    status, told = host_status(0), meminfo()

    assert 0 < status.memory_used < 1
    # Others allocate meanwhile, and a loaded machine by a lot; it is no other quantity, such as the free share.
    assert status.memory_used == pytest.approx(1 - told["MemAvailable"] / told["MemTotal"], abs=0.1)


def test_the_agents_own_memory_is_in_bytes_and_grows_by_what_it_takes() -> None:
    before = host_status(0).agent_rss
    assert 5 * MIB < before < 8192 * MIB
    assert before == pytest.approx(resident(), rel=0.05)

    taken = bytearray(os.urandom(MIB)) * 64

    assert host_status(0).agent_rss - before >= 48 * MIB
    assert len(taken) == 64 * MIB


def test_what_runs_is_this_agent_on_this_kernel() -> None:
    said = versions("wireguard-go 0.0.20250522", (Encapsulation.VXLAN,), Engine.BIRD)

    assert said == Versions(
        agent=VERSION,
        kernel=platform.release(),
        wireguard="wireguard-go 0.0.20250522",
        encapsulations=(Encapsulation.VXLAN,),
        routing=Engine.BIRD,
    )
    assert VERSION[:1].isdigit()
    assert Path("/proc/sys/kernel/osrelease").read_text().strip() == said.kernel


def test_a_heartbeat_of_this_machine_is_within_the_bounds_of_the_contract() -> None:
    beat = Heartbeat(
        boot="b",
        number=0,
        applied=APPLIED,
        host=host_status(1.0),
        versions=versions("kernel", (Encapsulation.VXLAN,)),
    )

    assert msgspec.json.decode(msgspec.json.encode(beat), type=Heartbeat) == beat
