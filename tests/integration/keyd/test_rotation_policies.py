"""What starts rotations without anybody asking: age, a new owner, suspicion. Real Postgres and NATS, hosts on paper."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from altnet.common.contracts.lock import LockReport
from altnet.common.lock.log import LockChange
from altnet.common.signing import SigningKey
from integration.keyd.running import OWNER, RunningKeyd
from integration.keyd.test_key_rotation import PLAN, Paper, counters, over, rotating, start, until
from integration.keyd.test_revoked_keys import revoke, rotations
from integration.registry.running import RunningRegistry, eventually
from support.locksmith import Locksmith, entry_body

__all__ = ["rotating"]

pytestmark = [pytest.mark.server]

Running = tuple[RunningKeyd, list[Paper]]


async def set_policy(keyd: RunningKeyd, hosts: list[Paper], kind: str = "mesh", **wish: Any) -> dict[str, Any]:
    network = hosts[0].agent.relay.network
    answer = await keyd.api.put(
        f"/v1/rotation-policies/{network}", params={"kind": kind}, json={"plan": PLAN, "jitter": 0, **wish}
    )
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def policy(keyd: RunningKeyd) -> dict[str, Any]:
    (found,) = (await keyd.api.get("/v1/rotation-policies")).json()["items"]
    return dict(found)


async def dated(keyd: RunningKeyd, *, besides: str | None = None) -> datetime:
    """The date of the next rotation, once it is drawn; another one than `besides`."""

    async def there() -> bool:
        return (await policy(keyd))["due_at"] not in (None, besides)

    await eventually(there)
    return datetime.fromisoformat((await policy(keyd))["due_at"])


async def until_started(keyd: RunningKeyd, count: int = 1) -> list[dict[str, Any]]:
    async def there() -> bool:
        return len(await rotations(keyd)) >= count

    await eventually(there)
    return await rotations(keyd)


async def wishes(keyd: RunningKeyd) -> list[tuple[str, datetime]]:
    async with keyd.db.dedicated() as sql:
        rows = await sql.fetch("SELECT reason, due_at FROM keyd.rotation_wishes")
    return [(row["reason"], row["due_at"]) for row in rows]


async def roll_back(keyd: RunningKeyd, hosts: list[Paper], id: str) -> None:
    assert (await keyd.api.post(f"/v1/rotations/{id}/rollback")).status_code == 200
    await until(keyd, hosts, id, over)


async def add(keyd: RunningKeyd, smith: Locksmith, change: LockChange | None = None, **fields: Any) -> None:
    item = smith.take(smith.init() if change is None else smith.change(change, **fields))
    answer = await keyd.api.post("/v1/lock/entries", json=entry_body(item, force=True))
    assert answer.status_code == 201, answer.text


async def alarm(host: Paper, text: str, why: str = "lock_forked") -> None:
    await host.agent.contact.tell(LockReport(alarm=why, alarm_text=text))


async def told(keyd: RunningKeyd, kind: str) -> list[dict[str, Any]]:
    return [event for event in await keyd.events() if event["kind"] == kind]


# -- a new owner's key -----------------------------------------------------------------------------------------------


async def test_a_new_owner_key_starts_a_rotation_where_the_policy_says_so_and_waits_for_one_that_is_open(
    rotating: Running,
) -> None:
    keyd, hosts = rotating
    smith = Locksmith(hosts[0].agent.relay.network)
    await add(keyd, smith)
    assert await wishes(keyd) == [], "nobody has said that a new owner is a reason"
    owners = [one.public().base64 for one in smith.owners]
    await set_policy(keyd, hosts, on_new_owner=True)
    await add(keyd, smith, LockChange.OWNERS, owners=[*owners, SigningKey.generate().public().base64])
    (first,) = await until_started(keyd)
    assert (first["kind"], first["reason"], first["created_by"]) == ("mesh", "a new owner key", "keyd")

    await add(keyd, smith, LockChange.AUTHORITIES, authorities=[SigningKey.generate().public().base64])
    await add(keyd, smith, LockChange.OWNERS, owners=owners)
    assert await wishes(keyd) == [], "neither an authority nor an owner that goes is a new owner"
    await add(keyd, smith, LockChange.OWNERS, owners=[*owners, SigningKey.generate().public().base64])
    assert [reason for reason, _ in await wishes(keyd)] == ["a new owner key"]
    await roll_back(keyd, hosts, first["id"])
    found = await until_started(keyd, 2)
    assert [one["reason"] for one in found] == ["a new owner key"] * 2
    assert await wishes(keyd) == []


# -- suspicion -------------------------------------------------------------------------------------------------------


async def test_another_lock_that_is_shown_to_a_relay_starts_a_rotation_and_no_second_one_within_the_hour(
    rotating: Running,
) -> None:
    keyd, hosts = rotating
    await alarm(hosts[0], "one")
    assert await wishes(keyd) == [], "without a policy nobody has said that it may rotate by itself"
    await set_policy(keyd, hosts)
    await alarm(hosts[0], "a log of before", "lock_stale")
    assert await wishes(keyd) == [], "that may be a delay"
    await alarm(hosts[0], "two")
    (first,) = await until_started(keyd)
    assert (first["kind"], first["reason"]) == ("mesh", "suspicion: lock_forked")
    await alarm(hosts[1], "three")
    await roll_back(keyd, hosts, first["id"])

    async def put_off() -> bool:
        ((_, due),) = await wishes(keyd)
        return bool(due == datetime.fromisoformat(first["created_at"]) + timedelta(hours=1))

    await eventually(put_off)
    assert len(await rotations(keyd)) == 1
    done = await until(keyd, hosts, await start(keyd), over)
    assert done["phase"] == "done"
    async with keyd.db.dedicated() as sql:
        await sql.execute("UPDATE keyd.rotation_wishes SET due_at = now()")  # an hour later

    async def granted() -> bool:
        return await wishes(keyd) == []

    await eventually(granted)
    assert len(await rotations(keyd)) == 2, "who rotates by hand has done what was wished for"


async def test_where_suspicion_is_left_to_people_an_event_says_so_and_nothing_starts(
    registry: RunningRegistry, rotating: Running
) -> None:
    keyd, hosts = rotating
    await set_policy(keyd, hosts, on_suspicion=False)
    await alarm(hosts[1], "forked")
    await revoke(registry, hosts[0].agent.state.identity().mesh.public().base64)

    async def said() -> bool:
        return len(await told(keyd, "keyd.rotation.withheld")) == 2

    await eventually(said)
    found = await told(keyd, "keyd.rotation.withheld")
    assert {(one["of"], one["reason"], one["relay"]) for one in found} == {
        ("mesh", "suspicion: lock_forked", hosts[1].agent.id),
        ("mesh", "a key was revoked", hosts[0].agent.id),
    }
    async with keyd.db.dedicated() as sql:
        assert await sql.fetchval("SELECT relay FROM keyd.key_debts") == hosts[0].agent.id
    done = await until(keyd, hosts, await start(keyd), over)  # 409, had anybody else started one
    assert done["phase"] == "done"
    assert len(await rotations(keyd)) == 1
    async with keyd.db.dedicated() as sql:
        assert await sql.fetchval("SELECT count(*) FROM keyd.key_debts") == 0, "what people start pays it"


async def test_a_debt_that_was_left_to_people_is_paid_when_the_policy_says_otherwise(
    registry: RunningRegistry, rotating: Running
) -> None:
    keyd, hosts = rotating
    await set_policy(keyd, hosts, on_suspicion=False)
    await revoke(registry, hosts[0].agent.state.identity().mesh.public().base64)

    async def said() -> bool:
        return bool(await told(keyd, "keyd.rotation.withheld"))

    await eventually(said)
    assert await rotations(keyd) == []
    await set_policy(keyd, hosts, on_suspicion=True)
    (found,) = await until_started(keyd)
    assert found["reason"] == "a key was revoked"


# -- age -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["access", "client"])
async def test_keys_of_relays_towards_clients_and_of_clients_are_old_one_day_too(rotating: Running, kind: str) -> None:
    keyd, hosts = rotating
    await set_policy(keyd, hosts, kind, max_age=86_400)
    await dated(keyd)
    assert await rotations(keyd) == []
    async with keyd.db.transaction(actor="test") as uow:  # an age passes
        await uow.connection.exec_driver_sql("UPDATE keyd.rotation_policies SET due_at = now()")
    (found,) = await until_started(keyd)
    assert (found["kind"], found["reason"], found["created_by"]) == (kind, "maximum age", "keyd")
    if kind == "client":  # there is none, so it is over at once

        async def counted() -> bool:
            return (await counters(keyd)).get('rotations_total{kind="client",outcome="done"}') == 1

        await eventually(counted)


async def test_the_date_is_drawn_once_within_its_bounds_and_anew_for_another_age_alone(rotating: Running) -> None:
    keyd, hosts = rotating
    wish = {"max_age": 1000.0, "jitter": 0.5}
    at = datetime.fromisoformat((await set_policy(keyd, hosts, **wish))["updated_at"])
    due = await dated(keyd)
    assert at + timedelta(seconds=500) <= due <= at + timedelta(seconds=1560), "a minute for a slow machine"
    assert (await set_policy(keyd, hosts, **wish))["due_at"] is not None
    await set_policy(keyd, hosts, **wish, on_suspicion=False)
    await keyd.app.state.keyd.driver.round()
    assert await dated(keyd) == due
    await set_policy(keyd, hosts, max_age=100_000.0, jitter=0.1)
    assert await dated(keyd) >= at + timedelta(seconds=90_000)
    assert (await set_policy(keyd, hosts, max_age=None))["due_at"] is None


# -- who set it ------------------------------------------------------------------------------------------------------


async def test_a_policy_that_is_set_is_an_event_with_its_actor_and_what_was_before(rotating: Running) -> None:
    keyd, hosts = rotating
    first = await set_policy(keyd, hosts, max_age=86_400)
    assert (first["on_new_owner"], first["on_suspicion"]) == (False, True)
    await set_policy(keyd, hosts, max_age=86_400)
    await set_policy(keyd, hosts, on_new_owner=True)
    made, changed = await told(keyd, "keyd.rotation_policy.changed")
    assert (made["network"], made["of"], made["before"]) == (hosts[0].agent.relay.network, "mesh", None)
    assert (made["after"]["max_age"], made["after"]["plan"]["wave"]) == (86_400, 1)
    assert changed["before"] == made["after"]
    assert (changed["after"]["max_age"], changed["after"]["on_new_owner"]) == (None, True)
    assert changed["number"] > made["number"] > 0
    async with keyd.db.raw() as connection:
        rows = await connection.fetch("SELECT actor FROM keyd.outbox WHERE kind = 'keyd.rotation_policy.changed'")
    assert {row["actor"] for row in rows} == {OWNER}
