"""Desired state on the bus: the last document of each key, and a word to whoever waits for it.

A document is stored in a KV bucket; once it is stored the server republishes it as a plain message. A reader listens
to that, fetches the key (Direct Get) at each connect and from time to time, and takes whichever has the higher
generation. This is what survives restarts and narrow permissions, where KV watches do not (measured).

Invariant: what `subscribe` and `fetch` hand on was stored under that very key. A user may not publish there, but can
ask the server to answer another request to that subject; such an answer names the key it came from.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from altnet.common import log
from altnet.common.bus import subjects
from altnet.common.bus.connect import Bus, Message, Subscription
from altnet.common.bus.jsapi import call, store
from altnet.common.bus.publish import LARGEST_BATCH, Item, store_batch
from altnet.common.errors import Unavailable

_LOG = log.get(__name__)

_ORIGIN = "Nats-Subject"


async def put(bus: Bus, bucket: str, key: str, data: bytes, *, timeout: float | None = None) -> int:
    """Store a document; returns its revision in the bucket. Raises `Unavailable`, `Forbidden`, `TooLarge`."""
    ack = await store(bus, subjects.kv_subject(bucket, key), data, timeout=timeout)
    return ack.seq


async def put_all(bus: Bus, bucket: str, documents: Sequence[tuple[str, bytes]], *, timeout: float) -> int:
    """Store many documents of a bucket in the given order, by atomic batches of up to 1,000; the last revision.

    `timeout` (seconds) is for each batch. Raises as `put` does; batches before the failed one are stored.
    """
    items: list[Item] = [(subjects.kv_subject(bucket, key), data, {}) for key, data in documents]
    revision = 0
    for start in range(0, len(items), LARGEST_BATCH):
        revision = (await store_batch(bus, items[start : start + LARGEST_BATCH], timeout=timeout)).seq
    return revision


async def delete(bus: Bus, bucket: str, key: str, *, timeout: float | None = None) -> None:
    """Remove a key without a trace; removing what is not there is success. Readers notice when they fetch."""
    await call(bus, f"STREAM.PURGE.KV_{bucket}", {"filter": subjects.kv_subject(bucket, key)}, timeout=timeout)


async def fetch(bus: Bus, bucket: str, key: str, *, timeout: float | None = None) -> bytes | None:
    """The stored document, None where there is none. Raises `Unavailable`, `Forbidden`."""
    answer = await bus.request(subjects.direct_get(bucket, key), b"", timeout=timeout)
    if answer.status == "404":
        return None
    if answer.status or not _is_of(answer, bucket, key):
        why = f"{answer.status} {answer.headers.get('Description', '')}".strip() or "another key"
        raise Unavailable("bus_fetch", f"{bucket}/{key} could not be fetched: {why}.")
    if answer.headers.get("KV-Operation"):  # written by a KV client: deleted, purged
        return None
    return answer.data


async def keys(bus: Bus, bucket: str, *, timeout: float | None = None) -> set[str]:
    """Every key of a bucket. Raises `Unavailable`, `Forbidden`."""
    prefix = subjects.kv_subject(bucket, "")
    found: set[str] = set()
    while True:
        request = {"subjects_filter": f"{prefix}>", "offset": len(found)}
        state = (await call(bus, f"STREAM.INFO.KV_{bucket}", request, timeout=timeout))["state"]
        page = state.get("subjects") or {}
        found.update(subject.removeprefix(prefix) for subject in page)
        if not page or len(found) >= state.get("num_subjects", 0):
            return found


async def subscribe(bus: Bus, bucket: str, key: str, on_data: Callable[[bytes], Awaitable[None]]) -> Subscription:
    """Have `on_data` called with each document stored from now on. Fetch at each connect besides."""

    async def hear(message: Message) -> None:
        if not _is_of(message, bucket, key):
            _LOG.warning("bus_forged_document", bus=bus.name, bucket=bucket, key=key, origin=message.headers)
            return
        if not message.headers.get("KV-Operation"):
            await on_data(message.data)

    return await bus.subscribe(subjects.desired(bucket, key), hear)


def _is_of(message: Message, bucket: str, key: str) -> bool:
    return message.headers.get(_ORIGIN) == subjects.kv_subject(bucket, key)
