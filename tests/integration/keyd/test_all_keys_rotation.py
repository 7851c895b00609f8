"""One request opens a rotation of every kind of keys, or none. Real Postgres and NATS, hosts on paper."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from altnet.common.http.auth import Role
from altnet.keyd.domain.rotations import Plan
from integration.keyd.running import RunningKeyd
from integration.keyd.test_key_rotation import PLAN, Paper, over, rotating, show, start, until
from integration.keyd.test_rotation_policies import set_policy, told
from integration.registry.paper_clients import paper_client
from integration.registry.running import RunningRegistry

__all__ = ["rotating"]

pytestmark = [pytest.mark.server]

Running = tuple[RunningKeyd, list[Paper]]
KINDS = ["mesh", "access", "client"]


async def start_all(keyd: RunningKeyd, key: str | None = None, **body: Any) -> list[dict[str, Any]]:
    headers = {"Idempotency-Key": key} if key else {}
    answer = await keyd.api.post("/v1/rotations/all", json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    return list(answer.json()["rotations"])


async def listed(keyd: RunningKeyd) -> list[dict[str, Any]]:
    return list((await keyd.api.get("/v1/rotations")).json()["items"])


async def test_one_request_opens_a_rotation_of_each_kind_each_by_its_own_policy(rotating: Running) -> None:
    keyd, hosts = rotating
    await set_policy(keyd, hosts, "access", plan={**PLAN, "wave": 3})
    started = await start_all(keyd, reason="drill")
    assert [one["kind"] for one in started] == KINDS
    assert [one["epoch"] for one in started] == [1, 2, 3]
    assert {one["reason"] for one in started} == {"drill"}
    assert [one["plan"]["wave"] for one in started] == [Plan().wave, 3, Plan().wave]
    assert {one["id"] for one in await listed(keyd)} == {one["id"] for one in started}
    events = await told(keyd, "keyd.rotation.started")
    assert [(one["rotation"], one["of"]) for one in events] == [(one["id"], one["kind"]) for one in started]
    first = events[0]["number"]
    assert [one["number"] for one in events] == [first, first + 1, first + 2]


async def test_rotations_that_were_opened_together_end_each_for_itself(rotating: Running) -> None:
    keyd, hosts = rotating
    mesh, access, client = await start_all(keyd, plan=PLAN)
    assert (await until(keyd, hosts, mesh["id"], over))["phase"] == "done"
    assert (await until(keyd, hosts, client["id"], over))["phase"] == "done", "there are no clients"
    assert not over(await show(keyd, access["id"])), "these hosts tell no access key"
    assert (await keyd.api.post(f"/v1/rotations/{access['id']}/rollback")).status_code == 200
    assert (await until(keyd, hosts, access["id"], over))["phase"] == "rolled_back"


async def test_the_same_request_again_opens_nothing_and_a_try_leaves_nothing(rotating: Running) -> None:
    keyd, _ = rotating
    tried = await keyd.api.post("/v1/rotations/all", params={"dry_run": "true"}, json={})
    assert (tried.status_code, len(tried.json()["rotations"])) == (201, 3)
    assert await listed(keyd) == []
    assert await told(keyd, "keyd.rotation.started") == []
    first = await start_all(keyd, key="once")
    assert await start_all(keyd, key="once") == first
    assert len(await listed(keyd)) == 3


@pytest.mark.parametrize("kind", KINDS)
async def test_where_one_kind_is_under_way_nothing_is_opened_and_the_answer_names_it(
    registry: RunningRegistry, rotating: Running, kind: str
) -> None:
    keyd, _ = rotating
    await paper_client(registry, "phone", movable=False)  # so one of clients' keys has somebody to wait for
    answer = await keyd.api.post("/v1/rotations", json={"kind": kind, "plan": {**PLAN, "drain": 300}})
    assert answer.status_code == 201, answer.text
    refused = await keyd.api.post("/v1/rotations/all", json={})
    assert (refused.status_code, refused.json()["code"]) == (409, "rotation_open")
    assert f"{kind} keys" in refused.json()["detail"]
    assert [one["kind"] for one in await listed(keyd)] == [kind]
    assert len(await told(keyd, "keyd.rotation.started")) == 1


async def test_of_requests_at_the_same_time_one_opens_each_kind_and_the_others_are_told_so(rotating: Running) -> None:
    keyd, _ = rotating
    every = keyd.api.post("/v1/rotations/all", json={})
    single = [keyd.api.post("/v1/rotations", json={"kind": kind, "plan": {"drain": 300}}) for kind in KINDS[:2]]
    answers = await asyncio.gather(every, *single, keyd.api.post("/v1/rotations/all", json={}))
    assert {answer.status_code for answer in answers} <= {201, 409}, [answer.text for answer in answers]
    assert 201 in {answer.status_code for answer in answers}
    of_relays = [one["kind"] for one in await listed(keyd) if one["kind"] != "client"]
    assert len(of_relays) == len(set(of_relays))


async def test_who_may_only_look_opens_nothing(rotating: Running) -> None:
    keyd, _ = rotating
    answer = await keyd.api.post("/v1/rotations/all", json={}, headers=keyd.as_role(Role.AUDITOR))
    assert answer.status_code == 403
    assert await listed(keyd) == []


async def test_a_single_one_that_is_under_way_is_named_too(rotating: Running) -> None:
    keyd, _ = rotating
    await start(keyd, drain=300)
    again = await keyd.api.post("/v1/rotations", json={})
    assert (again.status_code, again.json()["code"]) == (409, "rotation_open")
    assert "mesh keys" in again.json()["detail"]
