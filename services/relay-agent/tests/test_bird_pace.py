"""When BIRD is told what links cost: a few changes at once, storms in one go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from altnet.common.clock import FixedClock
from altnet.common.contracts.routing import Engine
from altnet.relay_agent.bird.cost import UNKNOWN_COST
from altnet.relay_agent.bird.pace import PATIENCE, TOLD
from altnet.relay_agent.bird.watch import Plane, Watch
from altnet.relay_agent.probe import Quality
from altnet.relay_agent.settings import Timers


@dataclass
class Told:
    """A routing plane that writes down what it is told."""

    sessions: dict[int, str] = field(default_factory=dict)
    costs: dict[int, int] = field(default_factory=dict)
    told: list[dict[int, int]] = field(default_factory=list)
    usable: bool = True

    async def set_costs(self, costs: Mapping[int, int]) -> None:
        self.costs = dict(costs)
        self.told.append(self.costs)


class Rig:
    def __init__(self, *relays: str) -> None:
        self.plane = Told(sessions=dict(enumerate(relays, 1)))
        self.clock = FixedClock(datetime(2026, 1, 1, tzinfo=UTC))
        self.quality: dict[str, Quality] = {}

        async def nothing() -> int:
            return 0

        def ignore(_engine: Engine) -> None: ...

        self.watch = Watch(
            cast("Plane", self.plane),
            quality=self.quality.get,
            set_engine=ignore,
            retire=nothing,
            clock=self.clock,
            timers=Timers(),
            tries=3,
        )

    def measure(self, relay: str, rtt: float, loss: float = 0.0) -> None:
        self.quality[relay] = Quality(**cast("Any", {"rtt": rtt, "loss": loss}))

    async def look(self, seconds: int = 1) -> None:
        for _ in range(seconds):
            await self.watch.look_at_costs()
            self.clock.advance(1)


async def test_links_that_are_measured_one_after_the_other_are_told_in_one_go() -> None:
    rig = Rig("a", "b", "c")
    for relay in ("a", "b"):
        rig.measure(relay, 0.05)
        await rig.look()
    assert rig.plane.told == []
    rig.measure("c", 0.05)
    await rig.look()
    assert [len(set(told.values())) for told in rig.plane.told] == [1]
    assert UNKNOWN_COST not in rig.plane.costs.values()


async def test_a_link_that_nobody_measures_holds_the_others_up_for_a_while_only() -> None:
    rig = Rig("a", "b")
    rig.measure("a", 0.05)
    await rig.look(int(PATIENCE))
    assert rig.plane.told == []
    await rig.look()
    assert rig.plane.costs[2] == UNKNOWN_COST != rig.plane.costs[1]


async def test_a_link_that_loses_packets_is_told_at_once_although_another_one_is_new() -> None:
    rig = Rig("a", "b")
    rig.measure("a", 0.001, loss=0.6)
    await rig.look()
    assert len(rig.plane.told) == 1
    assert rig.plane.costs[1] > 1_000_000


async def test_a_storm_is_told_in_few_goes_and_ends_with_what_is_so() -> None:
    rig = Rig("a", "b")
    for second in range(100):
        for relay in "ab":
            rig.measure(relay, 0.001, loss=(0.0, 0.15, 0.3, 0.6)[min(3, second % 40 // 10)])
        await rig.look()
    assert len(rig.plane.told) <= TOLD.burst + 100 * TOLD.per_second
    rig.measure("a", 0.001, loss=0.9)
    await rig.look(int(1 / TOLD.per_second) + 1)
    assert rig.plane.costs == rig.plane.told[-1]
    assert rig.plane.costs[1] > 10_000_000
