"""A rotation's point of no return, and its waves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from altnet.common.contracts.desired import KeyStage
from altnet.common.contracts.keyd import RotationPhase
from altnet.common.contracts.mesh_keys import KeyKind, Settle
from altnet.keyd.domain import rotations as rules

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def drained() -> rules.Rotation:
    parts = {id: rules.Part(relay=id, stage=KeyStage.OPEN, key="k", port=1, generation=5) for id in ("a", "b")}
    return rules.Rotation(
        network="n", epoch=1, plan=rules.Plan(), phase=RotationPhase.DRAIN, deadline=NOW, generation=5, parts=parts
    )


def test_that_there_is_no_way_back_is_noted_before_the_first_order_to_keep() -> None:
    noted = rules.advance(drained(), NOW)
    assert (noted.rotation.phase, noted.orders) == (RotationPhase.KEEP, ())
    asked_too_late = replace(noted.rotation, stop=True, paused=True)
    kept = rules.advance(asked_too_late, NOW)
    assert kept.rotation.phase is RotationPhase.DONE
    assert [order.settle for order in kept.orders] == [Settle.KEEP, Settle.KEEP]


def test_nothing_is_kept_while_a_relay_waits_for_a_handshake_or_has_not_reported() -> None:
    whole = drained()
    for worse in (replace(whole.parts["a"], waiting=("b",)), replace(whole.parts["a"], generation=4)):
        step = rules.advance(replace(whole, parts={**whole.parts, "a": worse}), NOW + timedelta(hours=1))
        assert (step.rotation.phase, step.orders) == (RotationPhase.CONNECT, ())


def test_the_canary_goes_alone_and_the_others_as_many_at_a_time_as_the_plan_says() -> None:
    assert rules.waves(list("abcdef"), rules.Plan(canary=1, wave=2)) == {
        "a": 0, "b": 1, "c": 1, "d": 2, "e": 2, "f": 3,
    }  # fmt: skip


def test_relays_have_all_their_time_again_after_something_else_was_away_and_never_less() -> None:
    plan = rules.Plan(prepare_timeout=60, wave_timeout=30, return_timeout=600)
    waits = {RotationPhase.PREPARE: 60, RotationPhase.CONNECT: 30, RotationPhase.BACK: 600}
    for phase, seconds in waits.items():
        late = replace(drained(), plan=plan, phase=phase, deadline=NOW - timedelta(hours=1))
        assert rules.with_time(late, NOW) == replace(late, deadline=NOW + timedelta(seconds=seconds))
        early = replace(late, deadline=NOW + timedelta(hours=1))
        assert rules.with_time(early, NOW) == early
    assert rules.with_time(drained(), NOW + timedelta(hours=1)) == drained()  # nobody is waited for there


def test_the_next_access_keys_stay_in_a_roll_back_until_clients_have_heard_of_it() -> None:
    going = replace(drained(), stop=True, phase=RotationPhase.CONNECT, of=KeyKind.ACCESS)
    back = rules.advance(going, NOW).rotation
    heard = {relay: replace(part, generation=6, ordered=6) for relay, part in back.parts.items()}
    back = replace(back, parts=heard)
    drain = timedelta(seconds=back.plan.drain)
    assert rules.advance(back, NOW + drain / 2) == rules.Step(rotation=back)
    over = rules.advance(back, NOW + drain)
    assert [order.settle for order in over.orders] == [Settle.DROP, Settle.DROP]
    mesh = replace(back, of=KeyKind.MESH, generation=6)  # orders reach both ends of a pair, so nobody follows old ones
    assert rules.advance(mesh, NOW).rotation.phase is RotationPhase.ROLLED_BACK
