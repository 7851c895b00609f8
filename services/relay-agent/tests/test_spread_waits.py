"""Waits of many agents are drawn from a range: within its bounds, and spread over it, so that no herd forms."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from random import Random

import pytest
from altnet.common.bus.connect import BusSettings, pause_after
from altnet.common.bus.nkey import make_nkey
from altnet.common.clock import FixedClock
from altnet.common.errors import AltnetError, Exhausted, Forbidden, TooMany, Unavailable
from altnet.common.kernel.memory import MemoryHost
from altnet.common.settings import Secret
from altnet.relay_agent import main
from altnet.relay_agent.disk_state import DiskState
from altnet.relay_agent.host import memory_host
from altnet.relay_agent.settings import AgentSettings
from altnet.relay_agent.state import Enrolment, make_identity
from hypothesis import given
from hypothesis import strategies as st
from support.relays import START, Paper, Rig, document, enrolment_of, entry

AGENTS = 40


def spread(values: list[float], low: float, high: float) -> None:
    """All within the bounds, each another one, and somebody in each quarter."""
    assert all(low <= value <= high for value in values), (min(values), max(values))
    assert len(set(values)) == len(values)
    assert {min(3, int(4 * (value - low) / (high - low))) for value in values} == {0, 1, 2, 3}


async def ready(seed: int) -> Rig:
    rig = Rig(seed=seed)
    paper = Paper()
    paper.put(entry("me", 1), entry("a", 2))
    rig.shelf.put_mesh(paper)
    rig.shelf.put_document(document("me"))
    await rig.start()
    return rig


@given(failures=st.integers(0, 200), refused=st.booleans(), seed=st.integers(0, 2**32))
def test_a_wait_for_the_bus_is_within_its_bound_whatever_failed_before(failures: int, refused: bool, seed: int) -> None:
    settings = BusSettings(reconnect_jitter=0.5)
    bound = settings.refused_wait_max if refused else settings.reconnect_wait_max
    whole = min(bound, settings.reconnect_wait * 2 ** min(failures, 16))

    waits = [pause_after(failures, refused=refused, settings=settings, uniform=Random(seed).uniform) for _ in range(2)]

    assert all(whole / 2 <= wait <= whole for wait in waits)


@pytest.mark.parametrize(
    ("failures", "refused", "whole"), [(0, False, 0.2), (1, False, 0.4), (9, False, 2.0), (9, True, 15.0)]
)
def test_agents_that_lost_the_bus_at_once_come_back_spread_over_the_whole_wait(
    failures: int, refused: bool, whole: float
) -> None:
    settings = BusSettings()
    draws = [Random(seed).uniform for seed in range(AGENTS)]

    spread([pause_after(failures, refused=refused, settings=settings, uniform=draw) for draw in draws], 0, whole)


@pytest.mark.looptime
async def test_agents_that_are_back_at_once_fetch_spread_over_the_time_for_it() -> None:
    loop, waits = asyncio.get_running_loop(), []
    for seed in range(AGENTS):
        rig = await ready(seed)
        began, fetches = loop.time(), rig.shelf.fetches

        await rig.agent.feed.on_connect()

        assert rig.shelf.fetches == fetches + 2, "a snapshot and a document"
        waits.append(loop.time() - began)

    spread(waits, 0, AgentSettings().timers.fetch_jitter)


@pytest.mark.looptime
async def test_full_comparisons_of_one_agent_do_not_keep_step() -> None:
    rig = await ready(1)
    loop, timers = asyncio.get_running_loop(), rig.settings.timers
    at = [loop.time()]
    fetch = rig.agent.feed.fetch

    async def noted() -> bool:
        at.append(loop.time())
        return await fetch()

    rig.agent.feed.fetch = noted  # type: ignore[method-assign]  # to see when
    running = asyncio.create_task(rig.agent.feed.run())
    await asyncio.sleep(AGENTS * timers.resync)
    running.cancel()

    waits = [later - earlier for earlier, later in itertools.pairwise(at)]
    assert len(waits) > AGENTS / 2
    spread(waits, timers.resync * (1 - timers.resync_jitter), timers.resync * (1 + timers.resync_jitter))


class Registry:
    """Refuses as told, one after the other, and then lets in; says how long it was left alone in between."""

    def __init__(self, *refusals: AltnetError) -> None:
        self.refusals = list(refusals)
        self.at: list[float] = []

    async def enrol(self, _settings: AgentSettings, **_: object) -> Enrolment:
        self.at.append(asyncio.get_running_loop().time())
        if self.refusals:
            raise self.refusals.pop(0)
        return enrolment_of("me", 1)

    @property
    def waits(self) -> list[float]:
        return [later - earlier for earlier, later in itertools.pairwise(self.at)]


async def enrolled(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, folder: Path, *, seed: int, token: str = "altj_x"
) -> None:
    monkeypatch.setattr(main, "enrol", registry.enrol)
    settings = AgentSettings(registry_url="http://registry", join_token=Secret(token))
    await main.enrol_patiently(
        settings,
        state=DiskState(folder, make=lambda: make_identity(make_nkey=make_nkey)),
        host=memory_host(MemoryHost(prefix="alt")),
        clock=FixedClock(START),
        random=Random(seed).random,
    )


@pytest.mark.looptime
async def test_a_host_that_is_not_let_in_yet_asks_later_each_time_up_to_a_bound(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    away, full = Unavailable("registry_unreachable", "away."), Exhausted("pool_exhausted", "full.")
    registry = Registry(*[away, full] * 5)

    await enrolled(registry, monkeypatch, tmp_path, seed=3)

    timers = AgentSettings().timers
    whole = [min(timers.retry_most, timers.retry_first * 2**n) for n in range(10)]
    assert len(registry.waits) == 10
    for wait, least in zip(registry.waits, whole, strict=True):
        assert least <= wait <= least * (1 + main.ENROL_JITTER)
    assert whole[-1] == timers.retry_most


@pytest.mark.looptime
async def test_hosts_that_start_at_once_ask_again_spread_and_never_sooner_than_the_registry_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    waits = []
    for seed in range(AGENTS):
        registry = Registry(TooMany("too_many_attempts", "slowly.", after=10.0))
        await enrolled(registry, monkeypatch, tmp_path, seed=seed)
        waits += registry.waits

    spread(waits, 10.0, 10.0 * (1 + main.ENROL_JITTER))


@pytest.mark.looptime
async def test_what_no_waiting_mends_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    registry = Registry(Forbidden("token_expired", "the join token is expired."))

    with pytest.raises(Forbidden):
        await enrolled(registry, monkeypatch, tmp_path, seed=1)

    assert len(registry.at) == 1
