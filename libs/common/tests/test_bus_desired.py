"""Desired documents on the bus: put, fetched, heard, removed; and what a forger can not do."""

from __future__ import annotations

import asyncio

import pytest
from altnet.common.bus import desired
from altnet.common.bus.connect import Bus
from altnet.common.bus.subjects import MESH_BUCKET, RELAY_BUCKET, direct_get, mesh_delta_key, mesh_snapshot_key
from altnet.common.embedded.nats import NatsServer
from altnet.common.errors import Forbidden, Unavailable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.nats import RelayBus

WITHIN = 10.0


class Documents:
    """Collects what `on_data` is given."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes] = asyncio.Queue()

    async def __call__(self, data: bytes) -> None:
        self.queue.put_nowait(data)

    async def next(self) -> bytes:
        async with asyncio.timeout(WITHIN):
            return await self.queue.get()


async def test_a_relay_hears_and_fetches_its_own_document(registry_bus: Bus, relay_bus: RelayBus) -> None:
    relay = await relay_bus("rly_1")
    heard = Documents()
    await desired.subscribe(relay, RELAY_BUCKET, "rly_1", heard)
    await relay.flush()
    assert await desired.fetch(relay, RELAY_BUCKET, "rly_1") is None
    first = await desired.put(registry_bus, RELAY_BUCKET, "rly_1", b"one")
    second = await desired.put(registry_bus, RELAY_BUCKET, "rly_1", b"two")
    assert [await heard.next(), await heard.next()] == [b"one", b"two"]
    assert await desired.fetch(relay, RELAY_BUCKET, "rly_1") == b"two"
    assert second > first


async def test_many_documents_go_in_one_batch_and_each_is_heard_in_order(
    registry_bus: Bus, relay_bus: RelayBus
) -> None:
    relay = await relay_bus("rly_1")
    snapshot, delta = Documents(), Documents()
    await desired.subscribe(relay, MESH_BUCKET, mesh_snapshot_key("net_1"), snapshot)
    await desired.subscribe(relay, MESH_BUCKET, mesh_delta_key("net_1"), delta)
    await relay.flush()
    documents = [(mesh_snapshot_key("net_1"), b"s1"), (mesh_delta_key("net_1"), b"d1")]
    await desired.put_all(registry_bus, MESH_BUCKET, documents, timeout=WITHIN)
    assert (await snapshot.next(), await delta.next()) == (b"s1", b"d1")
    assert await desired.fetch(relay, MESH_BUCKET, mesh_snapshot_key("net_1")) == b"s1"


async def test_thousands_of_documents_are_put_and_listed(registry_bus: Bus) -> None:
    documents = [(f"rly_{n}", str(n).encode()) for n in range(2_100)]
    await desired.put_all(registry_bus, RELAY_BUCKET, documents, timeout=WITHIN)
    assert await desired.keys(registry_bus, RELAY_BUCKET) == {key for key, _ in documents}
    assert await desired.fetch(registry_bus, RELAY_BUCKET, "rly_2099") == b"2099"


keys = st.sampled_from(["a", "b", "c", "d"])


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(keys, st.one_of(st.none(), st.binary(max_size=20))), max_size=12))
async def test_a_bucket_holds_what_was_last_put_and_nothing_that_was_deleted(
    registry_bus: Bus, steps: list[tuple[str, bytes | None]]
) -> None:
    for key in await desired.keys(registry_bus, RELAY_BUCKET):
        await desired.delete(registry_bus, RELAY_BUCKET, key)
    model: dict[str, bytes] = {}
    for key, data in steps:
        if data is None:
            await desired.delete(registry_bus, RELAY_BUCKET, key)
            model.pop(key, None)
        else:
            await desired.put(registry_bus, RELAY_BUCKET, key, data)
            model[key] = data
    assert await desired.keys(registry_bus, RELAY_BUCKET) == set(model)
    for key in "abcd":
        assert await desired.fetch(registry_bus, RELAY_BUCKET, key) == model.get(key)


async def test_without_the_bucket_a_fetch_fails_rather_than_saying_there_is_none(relay_bus: RelayBus) -> None:
    relay = await relay_bus("rly_1")
    with pytest.raises(Unavailable):
        await desired.fetch(relay, RELAY_BUCKET, "rly_1", timeout=1.0)


async def test_a_relay_can_not_read_anothers_document(registry_bus: Bus, relay_bus: RelayBus) -> None:
    relay = await relay_bus("rly_1")
    await desired.put(registry_bus, RELAY_BUCKET, "rly_2", b"private")
    with pytest.raises(Forbidden):
        await desired.fetch(relay, RELAY_BUCKET, "rly_2")


async def test_an_answer_sent_to_anothers_subject_is_not_taken_for_its_document(
    registry_bus: Bus, relay_bus: RelayBus
) -> None:
    # rly_1 asks for its own document and names rly_2's subject as the place for the answer; the server does that
    thief, victim = await relay_bus("rly_1"), await relay_bus("rly_2")
    heard, raw = Documents(), asyncio.Event()
    await desired.subscribe(victim, RELAY_BUCKET, "rly_2", heard)

    async def note(_message: object) -> None:
        raw.set()

    await victim.subscribe("alt.v1.desired.relay.rly_2", note)
    await victim.flush()
    await desired.put(registry_bus, RELAY_BUCKET, "rly_1", b"of rly_1")
    await thief.publish_with_reply(direct_get(RELAY_BUCKET, "rly_1"), b"", "alt.v1.desired.relay.rly_2")
    async with asyncio.timeout(WITHIN):
        await raw.wait()  # it did arrive
    await desired.put(registry_bus, RELAY_BUCKET, "rly_2", b"of rly_2")
    assert await heard.next() == b"of rly_2"


async def test_a_reader_follows_again_after_a_restart(
    registry_bus: Bus, relay_bus: RelayBus, nats_server: NatsServer
) -> None:
    relay = await relay_bus("rly_1")
    heard, fetched = Documents(), Documents()

    async def fetch() -> None:
        await fetched(await desired.fetch(relay, RELAY_BUCKET, "rly_1") or b"")

    await desired.subscribe(relay, RELAY_BUCKET, "rly_1", heard)
    relay.on_connect(fetch)
    assert await fetched.next() == b""
    await desired.put(registry_bus, RELAY_BUCKET, "rly_1", b"one")
    assert await heard.next() == b"one"
    await nats_server.restart()
    assert await fetched.next() == b"one"
    await registry_bus.wait_connected(WITHIN)
    await desired.put(registry_bus, RELAY_BUCKET, "rly_1", b"two")
    assert await heard.next() == b"two"
