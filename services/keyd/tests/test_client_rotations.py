"""A rotation of clients' keys: the canary first, waves after it, and what ends it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from altnet.common.contracts.keyd import OnSilence, RotationPhase
from altnet.common.contracts.mesh_keys import ClientKeysTaken
from altnet.keyd.domain import client_rotations as rules
from altnet.keyd.domain.rotations import Plan

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PLAN = Plan(canary=2, wave=4)
CANARY = rules.Campaign(phase=RotationPhase.PREPARE, plan=PLAN, until=NOW + timedelta(days=1))
WAVES = replace(CANARY, phase=RotationPhase.CONNECT)


def told(**counts: Any) -> ClientKeysTaken:
    return ClientKeysTaken(**{"done": 0, "announced": 0, "asked": 0, "waiting": 0, **counts})


def after(campaign: rules.Campaign, **counts: Any) -> RotationPhase:
    return rules.after(campaign, told(**counts), NOW).phase


def test_the_canary_goes_alone_until_it_has_changed_over() -> None:
    assert (rules.at_once(CANARY), rules.at_once(WAVES)) == (2, 4)
    assert after(CANARY, waiting=8, following=8, asked=2, under_way=2) is RotationPhase.PREPARE
    assert after(CANARY, waiting=8, following=8, asked=1, under_way=1, changed=1) is RotationPhase.PREPARE
    assert after(CANARY, waiting=8, following=8, asked=1, under_way=1, changed=2) is RotationPhase.CONNECT


def test_who_is_away_is_no_canary_and_the_one_that_is_there_is_enough() -> None:
    assert after(CANARY, waiting=8, following=8) is RotationPhase.PREPARE
    assert after(CANARY, waiting=7, following=7, asked=1) is RotationPhase.PREPARE, "it went away before it answered"
    assert after(CANARY, waiting=7, following=7, changed=1) is RotationPhase.CONNECT


def test_where_nobody_follows_by_himself_there_is_no_canary() -> None:
    assert after(CANARY, waiting=500, following=0, asked=500) is RotationPhase.CONNECT


def test_a_canary_that_is_there_and_late_ends_it_whatever_the_plan_says_of_silent_ones() -> None:
    for silent in OnSilence:
        campaign = replace(CANARY, plan=replace_plan(silent=silent))
        back = rules.after(campaign, told(waiting=8, asked=1, late=1, changed=1, late_ones=("cli_1",)), NOW)
        assert (back.phase, back.ended, back.blamed) == (RotationPhase.BACK, "no_handshake", ("cli_1",))
        assert rules.drops(back)
        over = rules.after(back, told(), NOW)
        assert (over.phase, over.ended, over.blamed) == (RotationPhase.ROLLED_BACK, "no_handshake", ("cli_1",))


def replace_plan(**more: Any) -> Plan:
    return Plan(**{"canary": 2, "wave": 4, **more})


@pytest.mark.parametrize(
    ("changed", "late", "left", "phase"),
    [
        (3, 1, 9, RotationPhase.CONNECT),
        (2, 2, 9, RotationPhase.BACK),
        (1, 1, 9, RotationPhase.CONNECT),  # two are no measure while others are to come
        (1, 1, 0, RotationPhase.BACK),
        (90, 30, 9, RotationPhase.CONNECT),
        (89, 30, 9, RotationPhase.BACK),
    ],
)
def test_a_quarter_may_be_late_and_more_end_it(changed: int, late: int, left: int, phase: RotationPhase) -> None:
    assert after(WAVES, changed=changed, late=late, asked=late, waiting=left, following=left) is phase


def test_where_the_plan_says_so_a_single_late_one_ends_it() -> None:
    campaign = replace(WAVES, plan=replace_plan(silent=OnSilence.ROLL_BACK))
    assert after(campaign, changed=90, late=1, asked=1, waiting=9, following=9) is RotationPhase.BACK


def test_it_ends_when_nobody_is_left_or_at_the_latest_date() -> None:
    assert after(WAVES, done=9, changed=9) is RotationPhase.DONE
    assert after(WAVES, done=8, changed=8, asked=1) is RotationPhase.CONNECT
    assert rules.after(WAVES, told(done=8, asked=1), WAVES.until).phase is RotationPhase.DONE
    assert rules.after(CANARY, told(waiting=1), WAVES.until).phase is RotationPhase.DONE


def test_who_is_late_is_named_while_it_goes_on_and_at_the_date_also_where_the_registry_was_faster() -> None:
    late = told(waiting=9, following=9, changed=3, asked=1, late=1, late_ones=("cli_1",))
    going = rules.after(WAVES, late, NOW)
    assert (going.phase, going.blamed) == (RotationPhase.CONNECT, ("cli_1",))
    assert rules.after(going, told(waiting=9, left=1), WAVES.until).blamed == ("cli_1",)
    assert rules.after(going, told(waiting=9, following=9, changed=4), NOW).blamed == ()
    assert rules.after(replace(going, stop=True), late, NOW).blamed == ()


def test_somebody_who_asks_ends_it_at_once_and_what_is_over_stays_over() -> None:
    over = rules.after(replace(WAVES, stop=True), told(waiting=9), NOW)
    assert (over.phase, over.ended) == (RotationPhase.ROLLED_BACK, "asked")
    assert rules.after(over, told(waiting=9), NOW) == over
