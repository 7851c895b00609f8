"""How clients come in by themselves, what they may ask afterwards, and how others do not."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from altnet.common.keys import PrivateKey
from altnet.registry.domain.ratelimit import RateRule
from integration.registry.running import RunningRegistry


def key() -> str:
    return PrivateKey.generate().public().base64


async def ask(registry: RunningRegistry, token: str, **wishes: Any) -> httpx.Response:
    body = {"token": token, "key": key(), "name": "laptop", **wishes}
    return await registry.anonymous.post("/v1/join", json=body)


async def joined(registry: RunningRegistry, token: str, **wishes: Any) -> dict[str, Any]:
    answer = await ask(registry, token, **wishes)
    assert answer.status_code in (200, 201), answer.text
    return dict(answer.json())


def bearer(answer: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {answer['secret']}"}


async def uses_left(registry: RunningRegistry) -> list[int]:
    return [token["uses_left"] for token in (await registry.api.get("/v1/tokens/join?kind=client")).json()["items"]]


async def test_a_token_and_a_public_key_make_a_client_that_its_relay_knows(registry: RunningRegistry) -> None:
    relay = await registry.enrol("one", endpoints=["relay.example:51820"])
    token, mine = await registry.join_token(kind="client"), key()

    answer = await joined(registry, token, key=mine, labels={"owner": "ann"})

    client, configuration = answer["client"], answer["configuration"]
    assert (answer["created"], client["relay"], client["key"]) == (True, relay.id, mine)
    _, document = await relay.until(document=answer["change"])
    assert [(it.id, it.key, it.addresses) for it in document.clients] == [
        (client["id"], mine, (client["address"] + "/128",))
    ]
    assert configuration["addresses"] == [client["address"] + "/128"]
    assert configuration["relay_key"] == relay.host.access_key
    assert configuration["endpoint"] == "relay.example:51830"
    assert configuration["routes"] == ["fd42:1337:beef::/48"]
    assert f"Endpoint = {configuration['endpoint']}" in configuration["text"]
    assert "PrivateKey = REPLACE-WITH-YOUR-PRIVATE-KEY" in configuration["text"]


async def test_the_same_key_again_is_the_same_client_uses_nothing_and_gets_a_fresh_secret(
    registry: RunningRegistry,
) -> None:
    await registry.enrol("one")
    token, mine = await registry.join_token(kind="client", uses=1), key()
    first = await joined(registry, token, key=mine)

    again = await joined(registry, token, key=mine, name="renamed")

    assert (again["created"], again["change"]) == (False, None)
    assert again["client"] == {**first["client"], "change": None}
    assert await uses_left(registry) == [0]
    path = f"/v1/clients/{first['client']['id']}/config"
    assert (await registry.anonymous.get(path, headers=bearer(first))).json()["code"] == "token_invalid"
    assert (await registry.anonymous.get(path, headers=bearer(again))).status_code == 200
    assert (await ask(registry, token, name="other")).json()["code"] == "token_used"


async def test_one_key_that_asks_several_times_at_once_is_one_client(registry: RunningRegistry) -> None:
    await registry.enrol("one")
    token, mine = await registry.join_token(kind="client", uses=4), key()
    answers = await asyncio.gather(*(ask(registry, token, key=mine) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]
    assert await uses_left(registry) == [3]


async def test_one_token_lets_in_as_many_clients_as_it_says_even_at_once(registry: RunningRegistry) -> None:
    await registry.enrol("one")
    token = await registry.join_token(kind="client", uses=3)
    answers = await asyncio.gather(*(ask(registry, token, name=f"laptop-{n}") for n in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201, 201, 201, 403, 403, 403]
    assert len((await registry.api.get("/v1/clients")).json()["items"]) == 3


async def test_a_token_that_lets_nobody_in_is_refused_with_its_field(registry: RunningRegistry) -> None:
    await registry.enrol("one")
    revoked = (await registry.api.post("/v1/tokens/join", json={"kind": "client"})).json()
    await registry.api.delete(f"/v1/tokens/join/{revoked['id']}")
    expired, mine = await registry.join_token(kind="client", uses=5), key()
    await joined(registry, expired, key=mine)
    async with registry.db.raw() as sql:
        await sql.execute(
            "UPDATE registry.join_tokens SET expires_at = now() - interval '1 second' WHERE revoked_at IS NULL"
        )
    good = await registry.join_token(kind="client")
    wrong = good[:-4] + ("aaaa" if not good.endswith("aaaa") else "bbbb")
    unknown = "altj_" + "0" * 26 + "_" + good.rpartition("_")[2]

    said = {}
    for name, token, wishes in (
        ("revoked", revoked["secret"], {}),
        ("expired", expired, {}),
        ("expired, and the key is known", expired, {"key": mine}),
        ("for relays", await registry.join_token(kind="relay"), {}),
        ("wrong secret", wrong, {}),
        ("unknown", unknown, {}),
        ("no token at all", "hello", {}),
    ):
        answer = await ask(registry, token, **wishes)
        said[name] = (answer.status_code, answer.json()["code"], answer.json()["errors"][0]["pointer"])

    assert said == {
        "revoked": (403, "token_revoked", "/token"),
        "expired": (403, "token_expired", "/token"),
        "expired, and the key is known": (403, "token_expired", "/token"),
        "for relays": (403, "token_kind", "/token"),
        "wrong secret": (403, "bad_join_token", "/token"),
        "unknown": (403, "bad_join_token", "/token"),
        "no token at all": (422, "bad_join_token", "/token"),
    }
    assert len((await registry.api.get("/v1/clients")).json()["items"]) == 1


async def test_a_known_key_is_answered_to_the_token_that_let_it_in_and_to_no_other(registry: RunningRegistry) -> None:
    relay = await registry.enrol("one")
    mine, theirs = key(), key()
    first = await joined(registry, await registry.join_token(kind="client"), key=mine)
    await registry.api.post("/v1/clients", json={"name": "phone", "key": theirs})
    other = await registry.join_token(kind="client", uses=9)

    for taken in (mine, theirs, relay.host.key):
        answer = await ask(registry, other, key=taken, name="thief")
        assert (answer.status_code, answer.json()["code"], answer.json()["errors"][0]["pointer"]) == (
            409,
            "key_taken",
            "/key",
        )

    assert (await uses_left(registry))[0] == 9
    path = f"/v1/clients/{first['client']['id']}/config"
    assert (await registry.anonymous.get(path, headers=bearer(first))).status_code == 200


async def test_a_clients_secret_opens_what_is_its_own_and_nothing_else(registry: RunningRegistry) -> None:
    relay = await registry.enrol("one")
    token = await registry.join_token(kind="client", uses=2)
    mine, other = await joined(registry, token), await joined(registry, token, name="other")
    own, foreign = f"/v1/clients/{mine['client']['id']}", f"/v1/clients/{other['client']['id']}"
    headers = bearer(mine)

    async def status(method: str, path: str, body: object = None) -> int:
        return (await registry.anonymous.request(method, path, json=body, headers=headers)).status_code

    assert (await registry.anonymous.get(f"{own}/configuration", headers=headers)).json() == mine["configuration"]
    assert (await registry.anonymous.get(f"{own}/config", headers=headers)).text == mine["configuration"]["text"]
    ranking = (await registry.anonymous.get(f"{own}/relays", headers=headers)).json()
    assert [it["relay"] for it in ranking["relays"]] == [relay.id]
    assert await status("PUT", f"{own}/latencies", {"latencies": {relay.id: 4.5}}) == 204
    async with registry.db.raw() as sql:
        assert await sql.fetchval(
            "SELECT latencies::text FROM registry.clients WHERE id = $1", mine["client"]["id"]
        ) == (f'{{"{relay.id}": 4.5}}')

    allowed = {
        ("GET", "/v1/clients/{client}/config"),
        ("GET", "/v1/clients/{client}/configuration"),
        ("GET", "/v1/clients/{client}/relays"),
        ("PUT", "/v1/clients/{client}/latencies"),
        ("POST", "/v1/clients/{client}/key-change"),
        ("DELETE", "/v1/clients/{client}/key-change"),
        ("PUT", "/v1/clients/{client}/next-key"),
        ("POST", "/v1/clients/{client}/key-change/keep"),
    }
    free = {"/v1/enrol", "/v1/join", "/v1/relays/{relay}/credentials"}  # these look at no bearer
    answers = {}
    for path, operations in registry.app.openapi()["paths"].items():
        if not path.startswith("/v1/") or path in free:
            continue
        for method in {"get", "put", "post", "patch", "delete"} & operations.keys():
            for client in (own, foreign):
                if (method.upper(), path) in allowed and client == own:
                    continue
                concrete = path.replace("/v1/clients/{client}", client)
                concrete = concrete.replace("{number}", "1").replace("{", "").replace("}", "")
                answers[method, concrete] = await status(method.upper(), concrete, {} if method != "get" else None)
    assert len(answers) > 40
    assert set(answers.values()) <= {403}, {what: code for what, code in answers.items() if code != 403}


async def test_a_clients_secret_ends_with_the_client(registry: RunningRegistry) -> None:
    await registry.enrol("one")
    token = await registry.join_token(kind="client", uses=2)
    removed, expired = await joined(registry, token), await joined(registry, token, name="other")
    await registry.api.delete(f"/v1/clients/{removed['client']['id']}", headers={"If-Match": "*"})
    async with registry.db.raw() as sql:
        await sql.execute("UPDATE registry.clients SET expires_at = now() - interval '1 second'")

    said = [
        (await registry.anonymous.get(f"/v1/clients/{one['client']['id']}/config", headers=bearer(one))).json()["code"]
        for one in (removed, expired)
    ]

    assert said == ["token_invalid", "token_expired"]
    async with registry.db.raw() as sql:
        assert await sql.fetchval("SELECT count(*) FROM registry.client_secrets") == 1


async def test_a_clients_secret_is_stored_nowhere_and_told_to_nobody(registry: RunningRegistry) -> None:
    await registry.enrol("one")
    token = await registry.join_token(kind="client")
    answer = await joined(registry, token)
    async with registry.db.raw() as sql:
        for table in await sql.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'registry'"):
            for secret in (answer["secret"], token):
                _, _, hidden = secret.split("_", 2)  # it may have a "_" of its own
                query = f"SELECT count(*) FROM registry.{table[0]} AS row WHERE strpos(row::text, $1) > 0"
                assert await sql.fetchval(query, hidden) == 0, table[0]


async def test_joining_is_told_with_the_token_that_let_the_client_in(registry: RunningRegistry) -> None:
    await registry.enrol("one")
    made = (await registry.api.post("/v1/tokens/join", json={"kind": "client"})).json()
    mine = key()
    client = (await joined(registry, made["secret"], key=mine))["client"]["id"]
    await joined(registry, made["secret"], key=mine)
    async with registry.db.raw() as sql:
        rows = await sql.fetch(
            "SELECT kind, actor, payload::jsonb ->> 'token' AS token FROM registry.outbox"
            " WHERE subject_id = $1 ORDER BY ordinal",
            client,
        )
    assert [tuple(row) for row in rows] == [
        ("registry.client.created", made["id"], made["id"]),
        ("registry.client.secret_issued", made["id"], made["id"]),
        ("registry.client.secret_issued", made["id"], made["id"]),
    ]


async def test_a_tokens_labels_count_and_its_region_stands_in(registry: RunningRegistry) -> None:
    far, near = await registry.enrol("far", region="us-east"), await registry.enrol("near", region="eu-central")
    token = await registry.join_token(kind="client", uses=3, labels={"team": "ops", "region": "us-east"})
    by_token = await joined(registry, token, labels={"team": "mine", "room": "7"})
    assert by_token["client"]["labels"] == {"team": "ops", "region": "us-east", "room": "7"}
    assert by_token["client"]["relay"] == far.id
    assert (await joined(registry, token, name="b", region="eu-central"))["client"]["relay"] == near.id
    measured = {far.id: 90.0, near.id: 5.0, "rly_nobody": 1.0}
    assert (await joined(registry, token, name="c", latencies=measured))["client"]["relay"] == near.id


async def test_a_refused_request_costs_no_use_and_leaves_no_client(registry: RunningRegistry) -> None:
    token = await registry.join_token(kind="client")
    without_relay = await ask(registry, token)
    assert (without_relay.status_code, without_relay.json()["code"]) == (409, "no_usable_relay")
    await registry.enrol("one")
    cases: list[tuple[dict[str, Any], str]] = [
        ({"key": "A" * 43 + "="}, "/key"),
        ({"key": "short"}, "/key"),
        ({"name": "Laptop"}, "/name"),
        ({"name": "one"}, "/name"),
        ({"region": "Very Far"}, "/region"),
        ({"labels": {"Bad Key": "x"}}, "/labels"),
        ({"latencies": {"rly_x": -1}}, "/latencies/rly_x"),
        ({"private_key": "x"}, "/private_key"),
    ]
    said = []
    for wishes, _ in cases:
        answer = await ask(registry, token, **wishes)
        assert answer.status_code in (409, 422), answer.text
        said.append((wishes, answer.json()["errors"][0]["pointer"]))
    assert said == cases
    assert (await registry.api.get("/v1/clients")).json()["items"] == []
    assert await uses_left(registry) == [1]


async def test_a_body_over_16_kib_is_refused_before_the_token_is_looked_at(registry: RunningRegistry) -> None:
    answer = await ask(registry, "altj_x", labels={"x": "y" * 20_000})
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


async def test_attempts_to_join_are_limited_per_source(
    registry: RunningRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = registry.app.state.registry.attempts
    monkeypatch.setattr(attempts, "_rule", RateRule(burst=3, per_second=0.1, sources=16))
    codes = [(await ask(registry, "altj_x_y")).status_code for _ in range(6)]
    assert codes == [422, 422, 422, 429, 429, 429]
