"""Security events of hosts, told in the channel: once each, in order, and a jump of the count is an event itself."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from altnet.common.bus.subjects import event_filter
from altnet.common.contracts.envelope import HEADER_ID, HEADER_KIND
from altnet.common.contracts.keyd import HostReport, Tell
from altnet.common.errors import Forbidden
from integration.keyd.running import Agent, RunningKeyd, enrol_agent, meet
from integration.registry.running import RunningRegistry, eventually

pytestmark = [pytest.mark.server]


def told(*numbers: int) -> Tell:
    at = datetime(2026, 5, 1, tzinfo=UTC)
    return Tell(events=tuple(HostReport(number=n, at=at, code="document_refused", text=f"nr {n}") for n in numbers))


async def events(keyd: RunningKeyd) -> list[dict[str, Any]]:
    """In the order in which they are published."""
    async with keyd.db.dedicated() as sql:
        rows = await sql.fetch("SELECT kind, payload FROM keyd.outbox ORDER BY ordinal")
    return [{"kind": row["kind"], **json.loads(row["payload"])} for row in rows]


async def of_host(keyd: RunningKeyd, agent: Agent) -> list[tuple[str, int]]:
    found = []
    for one in await events(keyd):
        if one["kind"] == "keyd.host.told" and one["emitter"] == agent.id:
            found.append(("told", one["number"]))
        if one["kind"] == "keyd.host.gap" and one["relay"] == agent.id:
            found.append((f"gap to {one['last']}", one["first"]))
    return found


async def test_a_hosts_events_come_out_once_in_order_and_a_jump_of_its_count_is_told(
    registry: RunningRegistry, keyd: RunningKeyd
) -> None:
    agent = await enrol_agent(registry, "berlin-1")
    await meet(agent)
    await keyd.until(agent.id, "active")
    for said in (told(1, 2), told(1, 2), told(2, 3), told(6), told(4), told(7)):
        await agent.contact.tell(said)
    assert await of_host(keyd, agent) == [
        ("told", 1),
        ("told", 2),
        ("told", 3),
        ("gap to 5", 4),
        ("told", 6),
        ("told", 7),
    ]
    own = [one["number"] for one in await events(keyd) if one["emitter"] == "keyd"]
    assert own == list(range(1, len(own) + 1)), "keyd's own count has nothing to do with hosts'"


async def test_an_event_that_cannot_be_read_is_set_aside_and_told_and_keyd_works_on(
    registry: RunningRegistry, keyd: RunningKeyd
) -> None:
    headers = {HEADER_ID: "evt_broken", HEADER_KIND: "registry.relay.registered"}
    subject = event_filter("registry", "relay", "registered").removesuffix(">") + "rly_x"
    await registry.bus.publish(subject, b"\0not json", headers=headers)

    async def told_of() -> bool:
        said = (await keyd.api.get("/readyz")).json()
        return "1 set aside" in said.get("remarks", {}).get("keyd dead letters", "")

    await eventually(told_of)
    assert (await keyd.api.get("/readyz")).status_code == 200
    assert "altnet_keyd_dead_letters 1.0" in (await keyd.api.get("/metrics")).text
    agent = await enrol_agent(registry, "berlin-1")
    await meet(agent)
    await keyd.until(agent.id, "active")


async def test_a_host_that_nothing_proves_tells_nothing(registry: RunningRegistry, keyd: RunningKeyd) -> None:
    agent = await enrol_agent(registry, "berlin-1", keep_token=False)
    await meet(agent)
    await keyd.until(agent.id, "pending")
    with pytest.raises(Forbidden, match="nothing proves"):
        await agent.contact.tell(told(1))  # so that its agent keeps what it has to tell
    assert await of_host(keyd, agent) == []
