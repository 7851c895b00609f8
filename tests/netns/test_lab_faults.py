"""Impaired paths and shapes with real packets: they hit the path that they name alone, and heal without a trace."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from altnet.common.errors import Conflict, Invalid
from altnet.host.lab import commands, launcher, namespaces
from altnet.host.lab.delays import DELAY
from altnet.host.lab.faults import Shape
from altnet.host.lab.lab import Lab
from altnet.host.lab.prober import Endpoint, Prober
from altnet.host.lab.settings import LabSettings
from altnet.host.lab.topology import Spec

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: hosts of the lab need root"),
]

PREFIX = f"tl{os.getpid() % 100_000}"
FAMILIES = pytest.mark.parametrize("version", [4, 6])


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(LabSettings(prefix=PREFIX, run_dir=str(tmp_path / "run"), api_port=0))
    try:
        lab.up(Spec(prefix=PREFIX, relays=5, clients=1), network_only=True)
        yield lab
    finally:
        lab.down()
        assert namespaces.of_lab(PREFIX) == set()


def between(lab: Lab, one: str, other: str, *, version: int = 6, port: int = 7777, rate: float = 200) -> Prober:
    topology = lab.topology()
    ends = [
        Endpoint(namespace=topology.host(name).namespace, address=str(topology.address(name, version)))
        for name in (one, other)
    ]
    return Prober(*ends, rate=rate, port=port)


def flows(lab: Lab, one: str, other: str, *, version: int = 6, timeout: float = 5) -> bool:
    with between(lab, one, other, version=version) as prober:
        return prober.flows(since=prober.now(), timeout=timeout) is not None


def rules(lab: Lab, router: str) -> str:
    argv = [["ip", family, "rule", "show"] for family in ("-4", "-6")]
    return "".join(commands.run(one, timeout=5, namespace=f"{PREFIX}-{router}").stdout for one in argv)


def as_new(lab: Lab) -> bool:
    """No process, no rule, no device is left of any impairment."""
    return all(
        "delay0" not in namespaces.interfaces(f"{PREFIX}-{router}")
        and "1000:" not in rules(lab, router)
        and launcher.find(lab.files, router, DELAY) is None
        for router in ("router1", "router2", "router3")
    )


@FAMILIES
def test_a_silent_cut_drops_everything_while_the_links_stay_up(lab: Lab, version: int) -> None:
    lab.impair("relay1", "relay2", cut=True)

    assert not flows(lab, "relay1", "relay2", version=version, timeout=0.3)
    assert flows(lab, "relay1", "relay3", version=version)
    said = commands.run(["ip", "-br", "link", "show", "eth0"], timeout=5, namespace=f"{PREFIX}-relay1").stdout
    assert " UP " in said

    lab.heal()
    assert flows(lab, "relay1", "relay2", version=version)


@FAMILIES
def test_a_one_way_cut_is_felt_by_one_end_only(lab: Lab, version: int) -> None:
    lab.impair("relay1", "relay2", cut=True, one_way=True)

    with between(lab, "relay1", "relay2", version=version) as prober:
        since = prober.now()
        time.sleep(0.4)  # packets to be counted
        loss = prober.window(since, prober.now() - 0.1)
    assert loss.sent > 20
    assert loss.lost == loss.sent // 2


@FAMILIES
def test_loss_takes_about_its_share_of_each_direction(lab: Lab, version: int) -> None:
    lab.impair("relay1", "relay4", loss=0.3)  # both behind one router

    with between(lab, "relay1", "relay4", version=version, rate=1000) as prober:
        since = prober.now()
        while prober.window(since).sent < 2000:
            time.sleep(0.05)
        loss = prober.window(since, prober.now() - 0.1)
    # Six standard deviations of 1,500 draws are 0.07.
    assert 0.23 < loss.share < 0.37


@FAMILIES
def test_a_delay_is_added_each_way_and_loses_nothing(lab: Lab, version: int) -> None:
    lab.impair("relay1", "relay2", delay=0.2)

    with (
        between(lab, "relay1", "relay2", version=version) as slow,
        between(lab, "relay1", "relay3", port=7778) as other,
    ):
        since = slow.now()
        assert slow.flows(since=since, timeout=10) is not None
        until = slow.now()
        time.sleep(0.6)  # what was sent until then arrives meanwhile
        delayed, spared = slow.window(since, until), other.window(since, until)

    assert delayed.median_latency is not None
    assert spared.median_latency is not None
    assert delayed.lost == 0
    assert delayed.median_latency >= 0.2 > spared.median_latency


def test_a_packet_through_a_delay_line_arrives_whole_with_its_source_and_full_size(lab: Lab) -> None:
    lab.impair("relay1", "relay2", delay=0.01)
    target = str(lab.topology().address("relay2"))

    ping = ["ping", "-6", "-n", "-M", "do", "-s", "1452", "-c", "3", "-i", "0.2", "-W", "2", target]
    said = commands.run(ping, timeout=20, namespace=f"{PREFIX}-relay1").stdout

    assert " 3 received" in said


def test_one_impairment_takes_the_place_of_the_other_and_none_mends_the_path(lab: Lab) -> None:
    lab.impair("relay1", "relay2", delay=0.05)
    lab.impair("relay1", "relay2", delay=0.1, loss=0.01)
    assert len(lab.status().impairments) == 2
    assert rules(lab, "router1").count("1000:") == 2

    lab.impair("relay1", "relay2")

    assert lab.status().impairments == ()
    assert as_new(lab)


def test_the_same_impairment_twice_leaves_its_delay_line_running(lab: Lab) -> None:
    lab.impair("relay1", "relay2", delay=0.05)
    first = launcher.find(lab.files, "router1", DELAY)
    lab.impair("relay1", "relay2", delay=0.05)
    lab.up(lab.topology().spec, network_only=True)

    assert first is not None
    assert launcher.find(lab.files, "router1", DELAY) == first
    assert launcher.find(lab.files, "router3", DELAY) is None


def test_heal_takes_away_what_concerns_the_healed_and_nothing_else(lab: Lab) -> None:
    lab.impair("relay1", "relay2", delay=0.05)
    lab.impair("relay3", "relay4", cut=True)

    lab.heal(["relay2"])
    left = {(one.source, one.target) for one in lab.status().impairments}
    lab.heal()

    assert left == {("relay3", "relay4"), ("relay4", "relay3")}
    assert as_new(lab)
    assert flows(lab, "relay3", "relay4")


def test_a_delay_line_that_was_killed_lets_everything_through_and_is_mended(lab: Lab) -> None:
    lab.impair("relay1", "relay2", delay=0.3)
    process = launcher.find(lab.files, "router1", DELAY)
    assert process is not None

    launcher.end(process, sign=signal.SIGKILL, timeout=5)
    without = flows(lab, "relay1", "relay2")
    missing = lab.status().missing
    lab.up(lab.topology().spec, network_only=True)

    assert without
    assert missing == ("router1: delay does not run",)
    assert lab.status().missing == ()
    assert flows(lab, "relay1", "relay2")


def test_impairments_outlive_the_death_of_a_router(lab: Lab) -> None:
    lab.impair("relay1", "relay2", delay=0.2)
    lab.impair("relay1", "relay4", cut=True)
    lab.kill("router1")
    lab.up(lab.topology().spec, network_only=True)

    assert lab.status().missing == ()
    assert not flows(lab, "relay1", "relay4", timeout=0.3)
    with between(lab, "relay1", "relay2") as prober:
        assert prober.flows(since=prober.now(), timeout=5) is not None
        latency = prober.window(0).median_latency
    assert latency is not None
    assert latency >= 0.2


@pytest.mark.parametrize(
    ("shape", "reached"),
    [
        (Shape.CHAIN, {(1, 2), (2, 3), (3, 4), (4, 5)}),
        (Shape.RING, {(1, 2), (2, 3), (3, 4), (4, 5), (1, 5)}),
    ],
)
def test_a_shape_lets_neighbours_reach_each_other_and_everybody_the_control_plane(
    lab: Lab, shape: Shape, reached: set[tuple[int, int]]
) -> None:
    lab.shape(shape)

    pairs = [(one, other) for one in range(1, 6) for other in range(one + 1, 6)]
    found = {
        (one, other)
        for one, other in pairs
        if flows(lab, f"relay{one}", f"relay{other}", timeout=5 if (one, other) in reached else 0.2)
    }
    assert found == reached
    assert all(flows(lab, f"relay{number}", "control") for number in range(1, 6))

    lab.shape(Shape.FULL)
    assert flows(lab, "relay1", "relay3")


def test_a_shape_stays_when_what_was_broken_in_it_is_healed(lab: Lab) -> None:
    lab.shape(Shape.CHAIN)
    lab.impair("relay1", "relay2", cut=True)

    lab.heal()

    assert lab.status().shape is Shape.CHAIN
    assert flows(lab, "relay1", "relay2")
    assert not flows(lab, "relay1", "relay3", timeout=0.3)


def test_a_clients_path_is_its_homes(lab: Lab) -> None:
    lab.impair("client1", "relay1", cut=True)

    assert not flows(lab, "nat1", "relay1", timeout=0.3)


def test_what_makes_no_sense_is_refused(lab: Lab) -> None:
    with pytest.raises(Invalid, match="router1 is a router"):
        lab.impair("router1", "relay1", cut=True)
    with pytest.raises(Invalid, match="both sides"):
        lab.impair("client1", "nat1", cut=True)
    with pytest.raises(Conflict, match="client1 is no relay"):
        lab.drain("client1")
    assert lab.status().impairments == ()
