"""What is refused for want of a right becomes security events: counted, numbered, and bounded in a flood."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any, cast

import httpx
import pytest
import pytest_asyncio
from altnet.common.bus import rights, rpc
from altnet.common.bus.connect import Bus, BusSettings
from altnet.common.bus.jwt import BusIdentity, service_credentials
from altnet.common.contracts.identity_keys import IDENTITY_KEYS, IdentityKeysTaken
from altnet.common.contracts.keyd import FIRST_CONTACT, FirstContact, FirstContactQuery
from altnet.common.contracts.mesh_keys import CLIENT_KEYS, MESH_KEYS, ClientKeysTaken, MeshKeysTaken, SignedOrder
from altnet.common.db.refusals import Refusals
from altnet.common.db.settings import DatabaseSettings
from altnet.common.errors import Forbidden, Unauthenticated, Unavailable
from altnet.common.keys import PrivateKey
from integration.registry.paper_clients import events_of, paper_client
from integration.registry.running import FAST, Host, RunningRegistry, eventually, running

pytestmark = [pytest.mark.server]

ENV = {**FAST, "ALTNET_REGISTRY_REFUSALS__FLUSH": "86400", "ALTNET_REGISTRY_REFUSALS__MOST": "3"}
"""Tests flush by hand."""


@pytest_asyncio.fixture
async def registry(
    registry_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> AsyncIterator[RunningRegistry]:
    async with running(registry_database, bus_settings, bus_identity, env=ENV) as made:
        yield made


def refusals(registry: RunningRegistry) -> Refusals:
    return cast(Refusals, registry.app.state.registry.refusals)


async def told(registry: RunningRegistry) -> list[tuple[str, str, int]]:
    """Actor, reason and count of each event, once what was counted is told."""
    await refusals(registry).flush()
    events = await events_of(registry, "registry.attempt.refused")
    assert all(event["emitter"] == "registry" and event["number"] > 0 for event in events)
    return [(event["actor"], event["reason"], event["count"]) for event in events]


async def join(registry: RunningRegistry, token: str) -> httpx.Response:
    body = {"token": token, "key": PrivateKey.generate().public().base64, "name": "laptop"}
    return await registry.anonymous.post("/v1/join", json=body)


async def made_token(registry: RunningRegistry, **wishes: Any) -> tuple[str, str]:
    """Its identifier and its text."""
    answer = await registry.api.post("/v1/tokens/join", json={"kind": "client", **wishes})
    return answer.json()["id"], answer.json()["secret"]


async def test_a_join_token_that_is_refused_again_and_again_is_one_event_with_a_count(
    registry: RunningRegistry,
) -> None:
    id, secret = await made_token(registry)
    assert (await registry.api.delete(f"/v1/tokens/join/{id}")).status_code in (200, 204)
    for _ in range(3):
        assert (await join(registry, secret)).json()["code"] == "token_revoked"

    assert await told(registry) == [(id, "token_revoked", 3)]
    assert await told(registry) == [(id, "token_revoked", 3)], "what was told is not told again"


async def test_a_forged_token_and_one_of_another_kind_are_told_for_hosts_as_well(registry: RunningRegistry) -> None:
    _, secret = await made_token(registry)
    forged = secret[:-4] + ("aaaa" if not secret.endswith("aaaa") else "bbbb")
    host = Host("alpha")
    assert (await join(registry, forged)).json()["code"] in ("bad_join_token", "bad_token")
    assert (await host.ask(registry.anonymous, secret)).json()["code"] == "token_kind"
    assert (f"host:{host.nkey}", "token_kind", 1) in await told(registry)


async def test_a_wrong_proof_of_a_key_is_told_of_its_client(registry: RunningRegistry) -> None:
    await registry.enrol("alpha")
    client = await paper_client(registry)
    await client.ask("POST", "/key-change", {})
    assert (await client.announce(proof="nonsense")).json()["code"] == "bad_key_proof"
    ((_, reason, count),) = await told(registry)
    assert (reason, count) == ("bad_key_proof", 1)


async def test_a_claim_of_a_revoked_key_is_told(registry: RunningRegistry) -> None:
    await registry.enrol("alpha")
    key = PrivateKey.generate().public().base64
    answer = await registry.api.post("/v1/revocations", json={"key": key})
    assert answer.status_code in (200, 201), answer.text
    claim = await registry.api.post("/v1/clients", json={"name": "phone", "key": key})
    assert claim.json()["code"] == "key_revoked"
    ((_, reason, count),) = await told(registry)
    assert (reason, count) == ("key_revoked", 1)


async def test_an_order_that_keyd_did_not_sign_is_told_and_a_flood_of_them_is_one_event(
    registry: RunningRegistry, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    relay = await registry.enrol("alpha")
    forged = SignedOrder(order="{}", signature=base64.b64encode(bytes(64)).decode())
    question = FirstContactQuery(relay=relay.id, to=PrivateKey.generate().public().base64, signature="no base64")
    asked = ((MESH_KEYS, MeshKeysTaken), (CLIENT_KEYS, ClientKeysTaken), (IDENTITY_KEYS, IdentityKeysTaken))
    async with Bus(bus_settings, service_credentials(bus_identity, "keyd"), name="somebody") as bus:
        await bus.wait_connected(20)
        for _ in range(3):
            with pytest.raises(Unauthenticated, match="did not sign"):
                await rpc.call(bus, rights.REGISTRY, MESH_KEYS, forged, MeshKeysTaken)
        assert await told(registry) == [("rpc:mesh_keys", "bad_signature", 3)]
        for verb, answer in asked:
            with pytest.raises(Unauthenticated, match="did not sign"):
                await rpc.call(bus, rights.REGISTRY, verb, forged, answer)
        with pytest.raises(Unauthenticated, match="did not sign"):
            await rpc.call(bus, rights.REGISTRY, FIRST_CONTACT, question, FirstContact)
    found = await told(registry)
    assert {reason for _, reason, _ in found} == {"bad_signature"}
    assert sum(count for _, _, count in found) == 7
    assert {actor for actor, _, _ in found} >= {"rpc:client_keys", "rpc:identity_keys"}


async def test_another_key_for_access_tokens_is_told_once_also_if_nothing_ran_when_it_was_replaced(
    registry_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    hurry = {**ENV, "ALTNET_REGISTRY_HOUSEKEEPING__EVERY": "0.05"}
    names = []
    for _ in range(3):  # each run has a key of its own
        async with running(registry_database, bus_settings, bus_identity, env=hurry) as registry:
            names.append(registry.issuer.key_name())

            async def seen(registry: RunningRegistry = registry) -> bool:
                async with registry.db.raw() as sql:
                    return bool(await sql.fetchval("SELECT key FROM registry.signing_key") == names[-1])

            await eventually(seen)
            events = await events_of(registry, "registry.signing_key.replaced")
            assert [(one["before"], one["key"]) for one in events] == list(pairwise(names))
            assert all(one["emitter"] == "registry" and one["number"] > 0 for one in events)


async def test_a_registry_whose_security_events_are_not_in_the_stream_says_so_where_one_looks_for_its_health(
    registry_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity, registry_bus: Bus
) -> None:
    async with running(registry_database, bus_settings, bus_identity, env=ENV) as registry:
        refusals(registry).note("host:a", Forbidden("bad_join_token", "no."))
        await told(registry)

        async def published() -> bool:
            async with registry.db.raw() as sql:
                return not await sql.fetchval("SELECT count(*) FROM registry.outbox WHERE published_at IS NULL")

        await eventually(published)
        assert "remarks" not in (await registry.anonymous.get("/readyz")).json()
        async with registry.db.raw() as sql:
            await sql.execute("UPDATE registry.emitters SET number = number + 4")  # as if four more had been told

    async with running(registry_database, bus_settings, bus_identity, env=ENV) as registry:

        async def said() -> bool:
            return "remarks" in (await registry.anonymous.get("/readyz")).json()

        await eventually(said)
        ready = await registry.anonymous.get("/readyz")
        assert ready.status_code == 200, "requests succeed all the same"
        assert "4 missing (registry " in ready.json()["remarks"]["registry security events"]
        assert "altnet_registry_security_events_missing 4.0" in (await registry.anonymous.get("/metrics")).text


async def test_a_flood_is_a_bounded_number_of_events_and_none_of_it_is_lost(registry: RunningRegistry) -> None:
    for number in range(50):
        refusals(registry).note(f"host:{number}", Forbidden("bad_join_token", "no."))
    found = await told(registry)
    assert [count for _, _, count in found] == [1, 1, 1, 47]
    assert found[-1][0] == "many"


async def test_what_could_not_be_told_is_told_later_with_what_came_meanwhile(
    registry: RunningRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = refusals(registry)
    kept.note("host:a", Forbidden("bad_join_token", "no."))

    def away(**_: object) -> None:
        raise Unavailable("database_unavailable", "away.")

    with monkeypatch.context() as patched:
        patched.setattr(registry.db, "transaction", away)
        await kept.flush()
    kept.note("host:a", Forbidden("bad_join_token", "no."))
    assert await told(registry) == [("host:a", "bad_join_token", 2)]


async def test_what_is_refused_every_day_is_no_security_event(registry: RunningRegistry) -> None:
    await registry.enrol("alpha")
    assert (await registry.api.post("/v1/clients", json={"name": "!"})).status_code == 422
    assert (await registry.api.delete("/v1/clients/cli_01m8evjewvejvtv7yc0fe3wan7")).status_code == 404
    assert await told(registry) == []
