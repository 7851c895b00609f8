"""`altnet up` dies while the keys of all clients are replaced; each is asked once, and all of them change over."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
import pytest_asyncio
from altnet.common.bus.connect import BusSettings
from integration.keyd.running import enrol_agent, meet
from integration.keyd.test_client_key_rotation import Crowd
from integration.registry.paper_clients import paper_client
from integration.registry.running import RunningRegistry, eventually
from support.control_plane import ControlPlane, Operator

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(180)]

CLIENTS = 4
PLAN = {"canary": 1, "wave": 2, "wave_timeout": 600, "grace": 86_400}


@dataclass
class Place:
    control: ControlPlane
    operator: Operator
    crowd: Crowd

    async def start(self) -> str:
        answer = await self.operator.http.post("/v1/rotations", json={"kind": "client", "plan": PLAN})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def until(self, id: str, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Let the clients live until the rotation is so."""
        found: list[dict[str, Any]] = []

        async def there() -> bool:
            await self.crowd.step()
            found[:] = [(await self.operator.http.get(f"/v1/rotations/{id}")).json()]
            return condition(found[0])

        await eventually(there, timeout=60)
        return found[0]

    async def blow(self) -> None:
        await self.control.kill()
        await self.control.start()

    async def events(self, kind: str) -> list[dict[str, Any]]:
        sql = await self.control.sql()
        try:
            table = f"{kind.partition('.')[0]}.outbox"
            rows = await sql.fetch(f"SELECT payload FROM {table} WHERE kind = $1 ORDER BY ordinal", kind)
        finally:
            await sql.close()
        return [json.loads(row["payload"]) for row in rows]


@pytest_asyncio.fixture
async def place(control: ControlPlane) -> AsyncIterator[Place]:
    """A relay on paper, and clients on paper that follow by themselves."""
    async with contextlib.AsyncExitStack() as stack:
        operator = await stack.enter_async_context(control.client())
        anonymous = await stack.enter_async_context(
            httpx.AsyncClient(base_url=control.url, timeout=30, trust_env=False)
        )

        async def join_token(**wishes: Any) -> str:
            answer = await operator.http.post("/v1/tokens/join", json={"kind": "relay", **wishes})
            assert answer.status_code == 201, answer.text
            return str(answer.json()["secret"])

        bus = BusSettings(servers=tuple(control.facts["bus_local"]))
        parts = {"anonymous": anonymous, "api": operator.http, "bus_settings": bus, "stack": stack}
        registry = cast(RunningRegistry, SimpleNamespace(**parts, join_token=join_token))
        agent = await enrol_agent(registry, "alpha")
        await meet(agent)

        async def proven() -> bool:
            found = (await operator.http.get(f"/v1/identities/{agent.id}")).json()
            return bool(found.get("state") == "active")

        await eventually(proven, timeout=30)
        made = [await paper_client(registry, f"laptop-{number}") for number in range(CLIENTS)]
        yield Place(control, operator, Crowd(agent.relay, sorted(made, key=lambda one: one.id)))


async def test_the_control_plane_may_die_at_any_step_of_a_change_of_clients_keys_and_asks_nobody_twice(
    place: Place,
) -> None:
    crowd = place.crowd
    everybody = {one.id for one in crowd.clients}
    crowd.waits = everybody
    id = await place.start()
    await place.until(id, lambda shown: bool(shown["clients"].get("under_way") == 1))
    await place.blow()  # the canary is asked

    crowd.waits, crowd.deaf = set(), everybody
    await place.until(id, lambda shown: bool(shown["clients"].get("announced") == 1))
    await place.blow()  # it has announced its key

    crowd.deaf = everybody - {crowd.clients[0].id}
    await place.until(id, lambda shown: bool(shown["phase"] == "connect" and shown["clients"].get("announced") == 2))
    await place.blow()  # a wave has announced theirs

    crowd.deaf = set()
    await place.until(id, lambda shown: bool(shown["clients"].get("done", 0) >= 2))
    await place.blow()  # some have changed over
    done = await place.until(id, lambda shown: shown["ended_at"] is not None)

    assert (done["phase"], done["clients"]["done"], done["blamed"]) == ("done", CLIENTS, []), place.control.log()
    assert crowd.changed() == everybody
    assert crowd.most <= PLAN["wave"]
    for one in crowd.clients:
        shown = await one.shown()
        assert (shown["key"], bool(shown["next_key"]), shown["key_wished"]) == (one.key, False, False)
    asked = [client for event in await place.events("registry.client_keys.wished") for client in event["clients"]]
    assert sorted(asked) == sorted(everybody)
    assert [event["rotation"] for event in await place.events("keyd.rotation.completed")] == [id]

    # And back: nobody has answered yet, and what was asked is gone.
    crowd.waits = everybody
    again = await place.start()
    await place.until(again, lambda shown: bool(shown["clients"].get("under_way") == 1))
    answer = await place.operator.http.post(f"/v1/rotations/{again}/rollback")
    assert answer.status_code == 200, answer.text
    await place.blow()
    back = await place.until(again, lambda shown: shown["ended_at"] is not None)
    assert (back["phase"], back["ended"], back["blamed"]) == ("rolled_back", "asked", [])
    for one in crowd.clients:
        shown = await one.shown()
        assert (shown["key"], bool(shown["next_key"]), shown["key_wished"]) == (one.key, False, False)
