"""Relays of tests that hold peerings and answer questions over the bus."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from altnet.common.bus import rpc
from altnet.common.contracts.routing import RouteQuery
from integration.registry.running import Relay, RunningRegistry


async def peering_of(registry: RunningRegistry, relay: Relay, **more: Any) -> dict[str, Any]:
    body = {
        "name": "isp",
        "relay": relay.id,
        "address": "2001:db8::1",
        "asn": 65010,
        "families": ["ipv6", "ipv4"],
        "imports": [{"prefix": "2001:db8:2::/48", "longest": 64}],
        **more,
    }
    answer = await registry.api.post("/v1/peerings", json=body)
    assert answer.status_code == 201, answer.text
    await relay.until(document=answer.json()["change"])
    return dict(answer.json())


async def answering(relay: Relay, verb: str, handler: Callable[[RouteQuery], Awaitable[msgspec.Struct]]) -> None:
    bus = await relay.connect()
    await rpc.answer_asks(bus, relay.id, verb, RouteQuery, handler)
    await bus.flush()
