"""Any name that a bench prints picks that bench, and the suite of routing has the planner in it."""

from __future__ import annotations

import pytest

from bench import bench_routing_failover as failover
from bench.__main__ import ROUTING, _chosen
from bench.bench_routing_converge import SIZES
from bench.bench_routing_throughput import HOPS
from bench.routing.failures import Seen
from bench.routing.systems import Altnet, Babeld, Yggdrasil

EVERYWHERE = ("dead_relay", "silent_link")
OF_WHOLE = (*EVERYWHERE, "one_way", "second_link", "healed", "drain", "daemon_restart", "loss_30")
SEEN = {
    Altnet.name: (*failover.GAPS, *failover.LOSSES),
    Babeld(failover.FAST_HELLO).name: OF_WHOLE,
    Yggdrasil.name: OF_WHOLE,
    Babeld(None).name: EVERYWHERE,
}
"""As `observe` does them, by system."""


def test_the_suite_of_routing_begins_with_the_planner_for_a_thousand_relays() -> None:
    assert _chosen("", ROUTING)[:2] == ["plan", "links"]
    assert "plan_1000_relays" in ROUTING["plan"]


def test_each_number_of_convergence_memory_and_throughput_picks_its_bench() -> None:
    for size in SIZES:
        assert _chosen(f"converge_{size}_relays", ROUTING) == ["routing_converge"]
        assert _chosen(f"memory_{size}_relays", ROUTING) == ["routing_converge"]
    for name in HOPS:
        assert _chosen(name, ROUTING) == ["routing_throughput"]


def test_each_number_of_failures_picks_their_bench_also_those_of_the_alternatives() -> None:
    seen = [
        Seen(failure=failure, system=system, gap=0.2, lost=1, sent=10, repaired=True, timeline=())
        for system, failures in SEEN.items()
        for failure in failures
    ]

    names = failover.measures(seen)

    assert sorted(names) == sorted(ROUTING["routing_failover"])
    assert all(_chosen(name, ROUTING) == ["routing_failover"] for name in names)


def test_a_name_that_no_bench_prints_is_refused_with_those_there_are() -> None:
    with pytest.raises(SystemExit, match=r"there is no bench memory_9_relays; there are: .*memory_8_relays"):
        _chosen("memory_9_relays", ROUTING)
