"""The feed: what it fetches and when, and what it keeps on disk."""

from __future__ import annotations

import asyncio

import pytest
from altnet.common.errors import Unavailable
from altnet.relay_agent.state import MOST_DELTAS
from support.relays import Paper, Rig, document, enrolment_of, entry, identity_of


async def ready(rig: Rig) -> Paper:
    paper = Paper()
    paper.put(entry("me", 1), entry("a", 2))
    rig.shelf.put_mesh(paper)
    rig.shelf.put_document(document("me"))
    await rig.start()
    await rig.fetch()
    return paper


async def test_a_gap_is_closed_by_one_fetch() -> None:
    rig = Rig()
    paper = await ready(rig)
    paper.put(entry("b", 3))
    delta = paper.put(entry("c", 4))
    rig.shelf.put_mesh(paper)
    fetches = rig.shelf.fetches
    running = asyncio.create_task(rig.agent.feed.run())
    await rig.tell(delta)
    for _ in range(20):
        await asyncio.sleep(0)
    running.cancel()
    await rig.settle()
    assert rig.shelf.fetches == fetches + 2, "one snapshot and one document"
    assert rig.peers == {"a", "b", "c"}


@pytest.mark.looptime
async def test_a_replica_that_lags_is_asked_again_soon() -> None:
    rig = Rig()
    paper = await ready(rig)
    paper.put(entry("b", 3))
    delta = paper.put(entry("c", 4))
    running = asyncio.create_task(rig.agent.feed.run())
    await rig.tell(delta)
    await asyncio.sleep(0.1)
    assert rig.agent.desired.generation == 1
    rig.shelf.put_mesh(paper)
    await asyncio.sleep(1.0)
    assert rig.agent.desired.generation == 3
    running.cancel()


@pytest.mark.looptime
async def test_a_lost_message_is_made_good_within_a_resync() -> None:
    rig = Rig()
    paper = await ready(rig)
    paper.put(entry("b", 3))
    rig.shelf.put_mesh(paper)
    rig.shelf.put_document(document("me", 2, mesh_port=1234))
    running = asyncio.create_task(rig.agent.feed.run())
    await asyncio.sleep(rig.settings.timers.resync * 1.21)
    running.cancel()
    assert rig.agent.desired.generation == paper.generation
    assert rig.agent.desired.document_generation == 2


async def test_a_bus_that_was_wiped_takes_nothing_away() -> None:
    rig = Rig()
    await ready(rig)
    rig.shelf.stored.clear()
    await rig.fetch()
    await rig.advance(200)
    assert rig.peers == {"a"}


async def test_the_cache_holds_every_delta_and_starts_anew_when_it_is_long() -> None:
    rig = Rig()
    paper = await ready(rig)
    for number in range(MOST_DELTAS + 1):
        delta = paper.put(entry("b", 3, region=str(number)))
        await rig.shelf.tell_delta(delta)
    rig.shelf.put_mesh(paper)
    assert len(rig.state.mesh()) == MOST_DELTAS + 1
    await rig.fetch()
    assert len(rig.state.mesh()) == 1
    await rig.tell(paper.put(entry("c", 4)))
    await rig.crash()
    await rig.start()
    assert rig.agent.desired.generation == paper.generation
    assert rig.peers == {"a", "b", "c"}


async def test_a_disk_that_cannot_be_written_does_not_stop_the_data_plane(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()
    paper = await ready(rig)

    async def full(_data: bytes) -> bool:
        raise Unavailable("state_not_saved", "no space left on device.")

    with monkeypatch.context() as patched:
        patched.setattr(rig.state, "save_delta", full)
        await rig.tell(paper.put(entry("b", 3)))
    assert rig.peers == {"a", "b"}
    rig.shelf.put_mesh(paper)
    await rig.fetch()
    assert rig.state.mesh() == (paper.snapshot(),), "the log begins again once there is room"


async def test_a_document_that_cannot_be_read_is_refused_told_and_forgotten_with_the_next() -> None:
    rig = Rig()
    paper = await ready(rig)
    await rig.tell(b"garbage")
    assert rig.agent.health().startswith("document refused")
    assert rig.peers == {"a"}
    await rig.tell(paper.put(entry("b", 3)))
    assert rig.agent.health() == "ok"


async def test_a_cache_that_ends_in_garbage_is_used_up_to_there() -> None:
    rig = Rig()
    paper = await ready(rig)
    await rig.tell(paper.put(entry("b", 3)))
    await rig.state.save_delta(b"garbage")
    await rig.crash()
    await rig.start()
    assert rig.peers == {"a", "b"}


async def test_an_agent_comes_up_from_its_cache_without_any_bus() -> None:
    rig = Rig()
    await ready(rig)
    rig.shelf.away = True
    rig.shelf.stored.clear()
    for name in ("altm0", "alta0", "altl2"):
        rig.memory.remove_interface(name)
    rig.memory.addresses["lo"].clear()
    rig.memory.routes.clear()
    await rig.crash()
    await rig.start()
    assert rig.peers == {"a"}
    assert rig.agent.reconciler.settled


def test_the_rig_is_enrolled_as_itself() -> None:
    assert enrolment_of("me", 1).relay.id == "rly_me"
    assert identity_of("me").mesh.public() != identity_of("you").mesh.public()
