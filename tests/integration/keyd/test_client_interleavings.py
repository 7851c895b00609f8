"""Any interleaving of orders, answers, crashes of keyd, pauses, roll-backs, and clients that come, go, follow or not:
no more are under way than the plan allows, nobody is asked after the end, and nobody is cut off.

keyd's and the registry's own rules decide; the registry's rows, the relays' words and the clients are on paper.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from altnet.common.contracts.keyd import OnSilence, RotationPhase
from altnet.common.contracts.mesh_keys import ClientKeysTaken
from altnet.keyd.domain import client_rotations as rules
from altnet.keyd.domain.rotations import OVER, Plan
from altnet.registry.domain.client_keys import Asked, Outcome, UnderWay, at_the_date, next_asked, under_way
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

START = datetime(2026, 1, 1, tzinfo=UTC)
GRACE = timedelta(seconds=600)
PATIENCE = 30.0


@dataclass
class Client:
    """`broken`: it announces a key, and no handshake comes by it."""

    follows: bool
    broken: bool
    here_since: datetime | None
    asked_at: datetime | None = None
    pending: bool = False
    announced: bool = False
    changed: bool = False
    outcome: Outcome | None = None


class Rotating(RuleBasedStateMachine):
    @initialize(
        clients=st.lists(st.tuples(st.booleans(), st.integers(0, 4), st.booleans()), min_size=1, max_size=12),
        canary=st.integers(1, 3),
        wave=st.integers(1, 4),
        silent=st.sampled_from(OnSilence),
    )
    def start(self, clients: list[tuple[bool, int, bool]], canary: int, wave: int, silent: OnSilence) -> None:
        self.now = START
        self.clients = {
            f"cli_{number:02}": Client(follows, broken == 0, START if here else None)
            for number, (follows, broken, here) in enumerate(clients)
        }
        plan = Plan(canary=canary, wave=wave, wave_timeout=PATIENCE, silent=silent)
        self.campaign = rules.Campaign(phase=RotationPhase.PREPARE, plan=plan, until=START + GRACE)
        self.paused = False
        self.phases = [RotationPhase.PREPARE]

    # keyd, and the registry that answers it

    @rule(dies=st.booleans())
    def drive(self, dies: bool) -> None:
        """One look. A keyd that dies between the answer and noting it is followed by one that asks the same."""
        if self.campaign.phase in OVER or (self.paused and not self.campaign.stop):
            return
        after = rules.after(self.campaign, self._answer(), self.now)
        if not dies:
            self.campaign = after
            if after.phase is not self.phases[-1]:
                self.phases.append(after.phase)

    def _answer(self) -> ClientKeysTaken:
        if rules.drops(self.campaign):
            for one in self.clients.values():
                if one.pending and one.follows:
                    one.pending = one.announced = False
        elif self.now < self.campaign.until:
            waiting = [id for id, one in self._unasked().items() if one.follows and one.here_since is not None]
            allowed = rules.at_once(self.campaign)
            chosen = next_asked(waiting, self._under_way().timely, at_once=allowed)
            for id, one in self._unasked().items():
                if id in chosen or not one.follows:
                    one.asked_at, one.pending = self.now, True
            assert not chosen or len(self._under_way().timely) <= allowed
        unasked, found = self._unasked(), self._under_way()
        mine = [one for one in self.clients.values() if one.asked_at is not None]
        return ClientKeysTaken(
            done=sum(one.changed for one in self.clients.values()),
            announced=sum(one.pending and one.announced for one in mine),
            asked=sum(one.pending and not one.announced for one in mine),
            waiting=len(unasked),
            following=sum(one.follows for one in unasked.values()),
            changed=sum(one.changed and one.follows for one in mine),
            under_way=len(found.timely),
            late=len(found.late),
            late_ones=found.late,
            left=sum(not one.pending and not one.changed for one in mine),
        )

    def _unasked(self) -> dict[str, Client]:
        return {id: one for id, one in self.clients.items() if one.asked_at is None}

    def _under_way(self) -> UnderWay:
        asked = [
            Asked(client=id, at=one.asked_at, here_since=one.here_since)
            for id, one in self.clients.items()
            if one.asked_at is not None and one.pending and one.follows
        ]
        return under_way(asked, patience=PATIENCE, now=self.now)

    @rule()
    def date(self) -> None:
        """The registry ends the changes whose date is there."""
        if self.now >= self.campaign.until:
            for one in self.clients.values():
                if one.pending:
                    one.outcome = at_the_date(announced=one.announced, proven=one.follows, seen=False)
                    one.pending = one.announced = False
                    one.changed = one.outcome is Outcome.KEPT

    # whoever else there is

    @precondition(lambda self: self.campaign.phase not in (RotationPhase.BACK, *OVER))
    @rule(paused=st.booleans())
    def steer(self, paused: bool) -> None:
        self.paused = paused

    @rule(chance=st.integers(0, 9))
    def roll_back(self, chance: int) -> None:
        if not chance and self.campaign.phase not in OVER:
            self.campaign = replace(self.campaign, stop=True)

    @rule(seconds=st.sampled_from([1, 10, 31]))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(number=st.integers(0, 11), here=st.booleans())
    def come_or_go(self, number: int, here: bool) -> None:
        one = self.clients.get(f"cli_{number:02}")
        if one is not None and here != (one.here_since is not None):
            one.here_since = self.now if here else None

    @rule(number=st.integers(0, 11))
    def follow(self, number: int) -> None:
        one = self.clients.get(f"cli_{number:02}")
        if one is not None and one.follows and one.pending and one.here_since is not None:
            if one.announced and not one.broken:
                one.pending = one.announced = False
                one.changed = True
            one.announced = one.pending

    @rule()
    def all_follow(self) -> None:
        for number in range(len(self.clients)):
            self.follow(number)
            self.follow(number)

    @invariant()
    def nobody_is_asked_before_a_canary_has_changed_over(self) -> None:
        asked = [one for one in self.clients.values() if one.asked_at is not None and one.follows]
        if self.campaign.phase is RotationPhase.PREPARE and not any(one.changed for one in asked):
            assert len(self._under_way().timely) <= self.campaign.plan.canary + self._came_back()

    def _came_back(self) -> int:
        """Who was asked, went away and came back takes nobody's place."""
        return sum(
            one.asked_at is not None and one.here_since is not None and one.here_since > one.asked_at
            for one in self.clients.values()
        )

    @invariant()
    def a_phase_only_follows_one_that_it_may(self) -> None:
        order = [RotationPhase.PREPARE, RotationPhase.CONNECT, RotationPhase.BACK]
        places = [order.index(phase) if phase in order else 3 for phase in self.phases]
        assert places == sorted(places)

    @invariant()
    def once_it_is_rolled_back_nobody_is_asked(self) -> None:
        if self.campaign.phase is RotationPhase.ROLLED_BACK:
            assert not [id for id, one in self.clients.items() if one.pending and one.follows]

    @invariant()
    def nobody_goes_by_a_key_that_never_came(self) -> None:
        assert not [id for id, one in self.clients.items() if one.broken and one.follows and one.changed]

    @invariant()
    def who_is_blamed_did_not_follow(self) -> None:
        if self.campaign.phase is RotationPhase.BACK:
            assert self.campaign.blamed
            assert all(self.clients[id].follows for id in self.campaign.blamed)

    def teardown(self) -> None:
        """Left alone, it ends, and everybody has one key."""
        if not hasattr(self, "campaign"):
            return
        self.paused = False
        for _ in range(200):
            self.drive(dies=False)
            self.all_follow()
            self.wait(10)
        self.date()
        assert self.campaign.phase in OVER
        assert not [id for id, one in self.clients.items() if one.pending]
        for one in self.clients.values():
            if self.campaign.phase is RotationPhase.DONE and one.asked_at is not None and not one.changed:
                assert one.outcome in (Outcome.NO_ANSWER, Outcome.NO_HANDSHAKE)


Rotating.TestCase.settings = settings(
    max_examples=200, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
)
TestRotating = Rotating.TestCase
pytestmark = [pytest.mark.slow]
