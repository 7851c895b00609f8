"""What the bench of routing says of what it saw: ours beside the best alternative, and nothing prettier than it was."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from bench.bench_routing_failover import measures
from bench.routing.drawing import BAD, TITLES, draw
from bench.routing.failures import MOST, Seen


def seen(failure: str, system: str, *, gap: float, lost: int, repaired: bool = True) -> Seen:
    timeline = tuple((at / 100, not 0 <= at / 100 < gap) for at in range(-100, 200))
    return Seen(
        failure=failure, system=system, gap=gap, lost=lost, sent=400, repaired=repaired, timeline=timeline
    )  # fmt: skip


def test_our_gap_is_compared_with_the_best_alternative_s() -> None:
    found = measures(
        [
            seen("silent_link", "altnet", gap=0.2, lost=30),
            seen("silent_link", "babeld-fast", gap=0.4, lost=80),
            seen("silent_link", "yggdrasil", gap=7.0, lost=900),
        ]
    )

    ours = found["failover_silent_link_gap"]
    assert (ours.value, ours.ratio, ours.against) == (0.2, pytest.approx(0.5), "babeld-fast")
    assert found["failover_silent_link_gap_yggdrasil"].value == 7.0


def test_lost_packets_are_counted_and_not_compared() -> None:
    found = measures([seen("drain", "altnet", gap=0.01, lost=3), seen("drain", "babeld-fast", gap=0.01, lost=0)])

    assert (found["drain_lost"].value, found["drain_lost"].unit, found["drain_lost"].ratio) == (3, "packets", None)


def test_what_was_not_repaired_is_said_to_be_so() -> None:
    found = measures([seen("dead_relay", "altnet", gap=1.0, lost=9000, repaired=False)])

    assert found["failover_dead_relay_gap"].value == MOST
    assert "not repaired" in found["failover_dead_relay_gap"].note


def test_the_picture_has_a_lane_for_each_system_and_is_red_where_packets_were_lost() -> None:
    text = draw([seen(failure, system, gap=0.5, lost=50) for failure in TITLES for system in ("altnet", "babeld")])

    root = ET.fromstring(text)  # well-formed
    bars = [one for one in root.iter("{http://www.w3.org/2000/svg}rect") if one.get("fill") == BAD]
    assert len(bars) == 2 * len(TITLES)
    assert text.count(">altnet<") == len(TITLES)


def test_a_failure_that_hit_nothing_has_no_red() -> None:
    root = ET.fromstring(draw([seen("drain", "altnet", gap=0.0, lost=0)]))

    assert [one for one in root.iter("{http://www.w3.org/2000/svg}rect") if one.get("fill") == BAD] == []
