"""The stream of events read once from its beginning, without a consumer: for whoever looks, and leaves nothing behind.

Batches by Direct Get (ADR-31), so it needs the right to that and no other. Leaves out what the events mean. Invariant:
events come in the order of the stream, each once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

import msgspec
from altnet.common.bus import subjects
from altnet.common.bus.connect import Bus, Message
from altnet.common.bus.delivery import Delivery
from altnet.common.errors import Unavailable

BATCH: Final = 256


async def read_events(
    bus: Bus, *, after: int = 0, of: str = subjects.EVENTS, timeout: float = 10.0
) -> AsyncGenerator[Delivery]:
    """Each event that the stream has beyond the sequence `after`, up to its present end.

    `of`: a filter of subjects. `timeout`: seconds for each message. Raises `Unavailable` (`bus_down`, `bus_fetch`).
    """
    incoming: asyncio.Queue[Message] = asyncio.Queue()
    inbox = await bus.subscribe_inbox(incoming.put)
    try:
        while True:
            more = False
            request = msgspec.json.encode({"seq": after + 1, "batch": BATCH, "next_by_subj": of})
            reply = inbox.subject.removesuffix("*") + str(after)
            await bus.publish_with_reply(f"$JS.API.DIRECT.GET.{subjects.EVENT_STREAM}", request, reply)
            while True:
                message = await _next(incoming, timeout)
                if message.status == "404":
                    return
                if message.status == "204":
                    more = int(message.headers.get("Nats-Num-Pending", "0")) > 0
                    break
                if message.status:
                    why = f"{message.status} {message.headers.get('Description', '')}".strip()
                    raise Unavailable("bus_fetch", f"the events could not be read: {why}.")
                after = int(message.headers["Nats-Sequence"])
                yield Delivery(message.headers["Nats-Subject"], message.data, message.headers, 1, after)
            if not more:
                return
    finally:
        await inbox.stop()


async def _next(incoming: asyncio.Queue[Message], timeout: float) -> Message:
    try:
        async with asyncio.timeout(timeout):
            return await incoming.get()
    except TimeoutError:
        raise Unavailable("bus_fetch", "the events could not be read: nobody answers.", mend="Is NATS up?") from None
