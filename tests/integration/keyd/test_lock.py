"""The network lock in keyd, on a real Postgres and a real NATS: what it takes, keeps and tells."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import msgspec
import pytest
from altnet.common.bus import desired, rpc, subjects
from altnet.common.bus.connect import BusSettings
from altnet.common.bus.identity import BusIdentity
from altnet.common.contracts.keyd import SERVICE
from altnet.common.contracts.lock import LOCK, LockPage, LockQuery, LockReport, Refusal, unpack
from altnet.common.db.engine import DatabaseSettings
from altnet.common.errors import AltnetError, TooMany
from altnet.common.keys import PrivateKey
from altnet.common.lock.log import LockChange
from altnet.common.signing import SigningKey
from integration.keyd.running import FAST, Agent, RunningKeyd, enrol_agent, meet, running_keyd
from integration.registry.running import RunningRegistry, eventually
from support.locksmith import Locksmith, entry_body, statements_body

pytestmark = [pytest.mark.server]


async def hosts_of(registry: RunningRegistry, keyd: RunningKeyd, *names: str) -> tuple[Locksmith, list[Agent]]:
    agents = [await enrol_agent(registry, name) for name in names]
    for agent in agents:
        await meet(agent)
        await keyd.until(agent.id, "active")
    return Locksmith(agents[0].relay.network), agents


def statement(smith: Locksmith, agent: Agent, **fields: Any) -> Any:
    identity = agent.state.identity().signing.public().base64
    slot = agent.relay.answer["relay"]["slot"]
    return smith.relay(agent.id, slot=slot, identity=identity, **fields)


async def certify(smith: Locksmith, agent: Agent, **fields: Any) -> None:
    identity = agent.state.identity()
    mine = smith.certificate(agent.id, identity.mesh.public().base64, by=identity.signing)
    await agent.contact.tell(LockReport(certificates=(mine,), **fields))


async def post(keyd: RunningKeyd, what: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    answer = await keyd.api.post(f"/v1/lock/{what}", json=body)
    return answer.status_code, answer.json()


async def lock_on(keyd: RunningKeyd, smith: Locksmith, agents: list[Agent]) -> None:
    for agent in agents:
        await certify(smith, agent)
    assert (await post(keyd, "statements", statements_body(*(statement(smith, one) for one in agents))))[0] == 200
    status, shown = await post(keyd, "entries", entry_body(smith.take(smith.init())))
    assert (status, shown["enabled"]) == (201, True), shown


async def ask(agent: Agent, **query: Any) -> LockPage:
    return await rpc.call(agent.bus, SERVICE, LOCK, LockQuery(**query), LockPage, relay=agent.id, timeout=5)


async def test_the_lock_is_turned_on_by_k_owners_when_every_relay_is_signed_and_off_by_k_again(
    registry: RunningRegistry, keyd: RunningKeyd
) -> None:
    smith, (agent,) = await hosts_of(registry, keyd, "alpha")
    assert (await keyd.api.get("/v1/lock")).json()["length"] == 0
    status, said = await post(keyd, "entries", entry_body(smith.init(signers=1)))
    assert (status, said["code"]) == (401, "lock_unsigned")
    status, said = await post(keyd, "entries", entry_body(smith.init()))
    assert (status, said["code"]) == (409, "lock_relays_unsigned")
    assert "alpha" in said["detail"]
    await lock_on(keyd, smith, [agent])
    shown = (await keyd.api.get("/v1/lock")).json()
    assert (shown["enabled"], shown["threshold"], shown["fingerprint"]) == (True, 2, smith.log.fingerprint)
    status, said = await post(keyd, "entries", entry_body(smith.change(LockChange.DISABLE, signers=1)))
    assert (status, said["code"]) == (401, "lock_unsigned")
    status, said = await post(keyd, "entries", entry_body(smith.take(smith.change(LockChange.DISABLE))))
    assert (status, said["enabled"], said["length"]) == (201, False, 2)
    again = await post(keyd, "entries", entry_body(smith.log.entries[-1]))
    assert (again[0], again[1]["length"]) == (201, 2)
    first = (await keyd.api.get("/v1/lock/entries?limit=1")).json()
    second = (await keyd.api.get(f"/v1/lock/entries?limit=1&cursor={first['next_cursor']}")).json()
    numbers = [it["number"] for it in (*first["items"], *second["items"])]
    assert (len(numbers), second["next_cursor"]) == (2, None)
    behind = (await keyd.api.get(f"/v1/lock/entries?after={numbers[0]}")).json()
    assert [it["number"] for it in behind["items"]] == numbers[1:]
    told = [event for event in await keyd.events() if event["kind"].startswith("keyd.lock.")]
    assert [event["kind"] for event in told] == ["keyd.lock.signed", "keyd.lock.changed", "keyd.lock.changed"]
    assert [(event["change"], event["enabled"]) for event in told[1:]] == [("init", True), ("disable", False)]


async def test_the_log_only_grows_also_for_who_writes_into_the_database(
    registry: RunningRegistry, keyd: RunningKeyd
) -> None:
    smith, agents = await hosts_of(registry, keyd, "alpha")
    await lock_on(keyd, smith, agents)
    other = dataclasses.replace(smith)
    other.log = smith.log
    one = smith.take(smith.change(LockChange.AUTHORITIES, authorities=[smith.authority.public().base64] * 1 + [_key()]))
    fork = other.change(LockChange.AUTHORITIES, authorities=[_key()])
    assert (await post(keyd, "entries", entry_body(one)))[0] == 201
    status, said = await post(keyd, "entries", entry_body(fork))
    assert (status, said["code"]) == (422, "lock_wrong_number")
    for attack in ("UPDATE keyd.lock_entries SET number = 7", "DELETE FROM keyd.lock_entries"):
        with pytest.raises(Exception, match="only grows"):
            async with keyd.db.raw() as connection:
                await connection.execute(attack)


async def test_a_statement_is_taken_from_an_authority_alone_and_never_an_older_one(
    registry: RunningRegistry, keyd: RunningKeyd
) -> None:
    smith, (agent,) = await hosts_of(registry, keyd, "alpha")
    await lock_on(keyd, smith, [agent])
    stranger = smith.sign(statement(smith, agent, serial=9).opened(), by=SigningKey.generate())
    assert (await post(keyd, "statements", statements_body(stranger)))[1]["code"] == "lock_no_authority"
    forged = msgspec.structs.replace(stranger, authority=smith.authority.public().base64)
    assert (await post(keyd, "statements", statements_body(forged)))[1]["code"] == "lock_bad_signature"
    assert (await post(keyd, "statements", statements_body(statement(smith, agent))))[1] == {"taken": 0}
    newer = statement(smith, agent, serial=2, prefixes=("fd00:12::/48",))
    assert (await post(keyd, "statements", statements_body(newer)))[1] == {"taken": 1}
    older = statement(smith, agent, serial=1, prefixes=("fd00:13::/48",))
    assert (await post(keyd, "statements", statements_body(older)))[1]["code"] == "lock_serial"
    listed = (await keyd.api.get("/v1/lock/statements")).json()["items"]
    assert [(one["subject"], one["serial"]) for one in listed] == [(agent.id, 2)]


async def test_relays_hear_of_a_change_and_get_what_they_missed_page_by_page(
    registry: RunningRegistry, keyd: RunningKeyd, monkeypatch: pytest.MonkeyPatch
) -> None:
    smith, agents = await hosts_of(registry, keyd, "alpha", "beta", "gamma")
    assert (await ask(agents[0])).length == 0
    await lock_on(keyd, smith, agents)
    monkeypatch.setattr("altnet.keyd.store.lock.PAGE", 2)
    since, seen, certified = 0, set(), set()
    for _ in range(10):
        page = await ask(agents[0], since=since, length=0)
        assert (page.since, page.length, len(page.entries)) == (since, 1, 1)
        seen |= {one.opened().subject for one in page.statements}
        certified |= {one.relay for one in page.hosts}
        since = page.version
        if not page.more:
            break
    assert seen == certified == {agent.id for agent in agents}
    assert (await ask(agents[0], since=since, length=1)).entries == ()
    assert (await ask(agents[0], since=10**6)).since == 0  # keyd was restored from a backup
    client = smith.client("cli_1", key=PrivateKey.generate().public().base64, addresses=["fd42:1337:beef:1001::5/128"])
    assert (await post(keyd, "statements", statements_body(client)))[0] == 200
    assert [
        one.opened().subject for one in (await ask(agents[0], since=since + 1, clients=("cli_1", "x"))).statements
    ] == ["cli_1"]

    async def told() -> bool:
        data = await desired.fetch(agents[0].bus, subjects.MESH_BUCKET, subjects.lock_key(smith.network), timeout=5)
        return data is not None and client in unpack(data).statements

    await eventually(told)


async def test_a_relay_that_asks_without_end_is_put_off(
    registry: RunningRegistry, keyd_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    env = {**FAST, "ALTNET_KEYD_LOCK__ASKS__BURST": "3", "ALTNET_KEYD_LOCK__ASKS__PER_SECOND": "0.001"}
    async with running_keyd(keyd_database, bus_settings, bus_identity, env=env) as keyd:
        _, (alpha, beta) = await hosts_of(registry, keyd, "alpha", "beta")
        for _ in range(3):
            await ask(alpha)
        with pytest.raises(TooMany):
            await ask(alpha)
        await ask(beta)  # others are not put off by it


async def test_a_page_that_the_bus_lost_is_put_again(registry: RunningRegistry, keyd: RunningKeyd) -> None:
    smith, agents = await hosts_of(registry, keyd, "alpha")
    await lock_on(keyd, smith, agents)
    key = subjects.lock_key(smith.network)

    async def there() -> bool:
        return await desired.fetch(agents[0].bus, subjects.MESH_BUCKET, key, timeout=5) is not None

    await eventually(there)
    await desired.delete(registry.bus, subjects.MESH_BUCKET, key, timeout=5)
    assert not await there()
    await keyd.app.state.keyd.teller.look()
    assert await there()


async def test_what_a_relay_refuses_and_another_log_are_security_events_once(
    registry: RunningRegistry, keyd: RunningKeyd
) -> None:
    smith, (agent,) = await hosts_of(registry, keyd, "alpha")
    await lock_on(keyd, smith, [agent])
    bad = Refusal(object="rly_evil", what="identity", reason="no authority vouches for it")
    for _ in range(3):
        await certify(smith, agent, length=1, head=smith.log.head, refused=(bad,), refused_count=1)
    await certify(smith, agent, length=1, head="0" * 64)
    await certify(smith, agent, length=2, head="0" * 64)
    await certify(smith, agent, length=1, head=smith.log.head, alarm="lock_stale", alarm_text="shorter")
    await certify(smith, agent, length=1, head=smith.log.head, refused=(bad,), refused_count=1)
    told = [event for event in await keyd.events() if event["kind"] in ("keyd.lock.refused", "keyd.lock.alarmed")]
    assert [(event["kind"], event.get("object") or event["why"]) for event in told] == [
        ("keyd.lock.refused", "rly_evil"),
        ("keyd.lock.alarmed", "lock_forked"),
        ("keyd.lock.alarmed", "lock_behind"),
        ("keyd.lock.alarmed", "lock_stale"),
        ("keyd.lock.refused", "rly_evil"),
    ]
    numbers = [event["number"] for event in await keyd.events() if "number" in event]
    assert numbers == list(range(1, len(numbers) + 1))
    (host,) = (await keyd.api.get("/v1/lock/hosts")).json()["items"]
    assert (host["name"], host["refused_count"], host["alarm"]) == ("alpha", 1, "")
    assert (await keyd.api.get("/v1/lock")).json()["refusing"] == 1
    metrics = (await keyd.api.get("/metrics")).text
    assert re.search(r'lock_refusals_total\{[^}]*what="identity"[^}]*\} 2', metrics)
    assert re.search(r'lock_alarms_total\{[^}]*why="lock_forked"[^}]*\} 1', metrics)


async def test_a_certificate_is_taken_from_the_identity_key_alone(registry: RunningRegistry, keyd: RunningKeyd) -> None:
    smith, (agent,) = await hosts_of(registry, keyd, "alpha")
    key = PrivateKey.generate().public().base64
    for bad in (
        smith.certificate(agent.id, key, by=SigningKey.generate()),
        smith.certificate("rly_other", key, by=agent.state.identity().signing),
    ):
        with pytest.raises(AltnetError, match="has not signed"):
            await agent.contact.tell(LockReport(certificates=(bad,)))


def _key() -> str:
    return SigningKey.generate().public().base64
