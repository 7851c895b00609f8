"""A client's key gives way to another one, over the API: announced with a proof, kept, dropped; what the date does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from altnet.common.bus.connect import BusSettings
from altnet.common.bus.jwt import BusIdentity
from altnet.common.contracts.desired import AccessClient
from altnet.common.db.settings import DatabaseSettings
from altnet.common.http.auth import Role
from altnet.common.keys import PrivateKey
from integration.registry.paper_clients import PaperClient, events_of, paper_client
from integration.registry.running import FAST, Relay, RunningRegistry, eventually, running

pytestmark = [pytest.mark.server]

ENV = {**FAST, "ALTNET_REGISTRY_HOUSEKEEPING__EVERY": "0.2"}


@pytest_asyncio.fixture
async def registry(
    registry_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> AsyncIterator[RunningRegistry]:
    async with running(registry_database, bus_settings, bus_identity, env=ENV) as made:
        yield made


@pytest_asyncio.fixture
async def relay(registry: RunningRegistry) -> Relay:
    return await registry.enrol("alpha")


@pytest_asyncio.fixture
async def client(registry: RunningRegistry, relay: Relay) -> PaperClient:
    return await paper_client(registry)


def problem(answer: httpx.Response) -> tuple[int, str, str]:
    said = answer.json()
    errors = said.get("errors") or [{"pointer": ""}]
    return answer.status_code, said["code"], errors[0]["pointer"]


async def wished(client: PaperClient) -> dict[str, Any]:
    """Asked by itself; the wish."""
    answer = await client.ask("POST", "/key-change", {})
    assert answer.status_code == 200, answer.text
    return dict((await client.configuration())["wish"])


async def at_relay(relay: Relay, change: str | None) -> AccessClient:
    """The relay's only client, in the first document that has the change."""
    _, document = await relay.until(document=int(change or 0))
    (one,) = document.clients
    return one


async def date_passes(client: PaperClient) -> None:
    """The latest date of its change is now."""
    async with client.registry.db.raw() as connection:
        await connection.execute("UPDATE registry.clients SET key_until = now() WHERE id = $1", client.id)

    async def ended() -> bool:
        return not (await client.shown())["key_wished"]

    await eventually(ended)


async def test_a_client_wishes_announces_and_keeps_a_key_and_its_relay_follows_each_step(
    client: PaperClient, relay: Relay
) -> None:
    old, new = client.key, client.next_key
    await wished(client)

    announced = await client.announce()

    assert (announced.status_code, announced.json()["next_key"], announced.json()["wish"]) == (200, new, None)
    between = await at_relay(relay, announced.headers["Altnet-Change"])
    assert (between.key, between.next_key, between.door) == (old, new, 0)

    kept = await client.keep()

    assert (kept.json()["key"], kept.json()["next_key"], kept.json()["key_epoch"]) == (new, "", 1)
    assert kept.headers["ETag"] == f'"{kept.json()["version"]}"'
    after = await at_relay(relay, kept.headers["Altnet-Change"])
    assert (after.key, after.next_key, after.door) == (new, "", 1)


async def test_a_proof_that_fits_not_changes_nothing_and_leaves_the_wish_open(client: PaperClient) -> None:
    wish = await wished(client)
    right = client.answer_to(wish)
    stranger = PrivateKey.generate()
    forged = PaperClient(client.registry, client.id, client.headers, stranger, client.following).answer_to(wish)
    another = PaperClient(client.registry, "cli_other", client.headers, client.private, client.following)

    for wrong in (
        {**right, "proof": forged["proof"]},
        {**right, "key": stranger.public().base64},
        {**right, "proof": another.answer_to(wish)["proof"]},
        {**right, "proof": ""},
    ):
        assert problem(await client.ask("PUT", "/next-key", wrong)) == (403, "bad_key_proof", "/proof")

    shown = await client.shown()
    assert (shown["next_key"], shown["key_wished"]) == ("", True)
    assert (await client.configuration())["wish"] == wish
    assert (await client.ask("PUT", "/next-key", right)).status_code == 200


async def test_a_key_is_announced_only_where_one_is_wished_and_one_alone(client: PaperClient) -> None:
    nobody_asked = {"key": client.next_key, "epoch": 1, "proof": "x"}
    assert problem(await client.ask("PUT", "/next-key", nobody_asked)) == (409, "no_key_wished", "/epoch")
    wish = await wished(client)
    right = client.answer_to(wish)
    another_wish = {**right, "epoch": wish["epoch"] + 1}
    assert problem(await client.ask("PUT", "/next-key", another_wish)) == (409, "no_key_wished", "/epoch")
    assert (await client.ask("PUT", "/next-key", right)).status_code == 200

    client.following = PrivateKey.generate()
    second = client.answer_to(wish)
    assert problem(await client.ask("PUT", "/next-key", second)) == (409, "next_key_announced", "/key")


async def test_a_key_that_somebody_has_is_announced_by_nobody(registry: RunningRegistry, client: PaperClient) -> None:
    other = await paper_client(registry, "other")
    client.following = other.private
    wish = await wished(client)
    assert problem(await client.ask("PUT", "/next-key", client.answer_to(wish))) == (409, "key_taken", "/key")


async def test_each_step_that_is_repeated_is_answered_alike_and_changes_nothing(client: PaperClient) -> None:
    wish = await wished(client)
    asked_again = await client.ask("POST", "/key-change", {})
    assert (asked_again.json()["change"], (await client.configuration())["wish"]) == (None, wish)

    first = await client.ask("PUT", "/next-key", client.answer_to(wish))
    again = await client.ask("PUT", "/next-key", client.answer_to(wish))
    assert (again.status_code, again.json()) == (200, first.json())
    assert "Altnet-Change" not in again.headers

    new = client.next_key
    kept = await client.keep()
    kept_again = await client.ask("POST", "/key-change/keep", {"key": new})
    assert kept_again.json() == {**kept.json(), "change": None}

    dropped = await client.ask("DELETE", "/key-change")
    assert (dropped.status_code, dropped.json()["change"], dropped.json()["key"]) == (200, None, new)


async def test_only_the_announced_key_is_kept(client: PaperClient) -> None:
    assert problem(await client.keep()) == (409, "not_the_next_key", "/key")
    await wished(client)
    assert problem(await client.keep()) == (409, "not_the_next_key", "/key")
    await client.announce()
    stranger = PrivateKey.generate().public().base64
    refused = await client.ask("POST", "/key-change/keep", {"key": stranger})
    assert problem(refused) == (409, "not_the_next_key", "/key")


async def test_what_is_dropped_is_forgotten_and_free_for_others(
    registry: RunningRegistry, client: PaperClient, relay: Relay
) -> None:
    wish = await wished(client)
    await client.announce()

    dropped = await client.ask("DELETE", "/key-change")

    assert (dropped.json()["next_key"], dropped.json()["key_wished"]) == ("", False)
    assert (await at_relay(relay, dropped.headers["Altnet-Change"])).next_key == ""
    stale = await client.ask("PUT", "/next-key", client.answer_to(wish))
    assert problem(stale) == (409, "no_key_wished", "/epoch")
    made = await registry.api.post("/v1/clients", json={"name": "phone", "key": client.next_key})
    assert made.status_code == 201, made.text


async def test_a_client_announces_nothing_by_its_secret_alone_and_nobody_without_the_right(
    registry: RunningRegistry, client: PaperClient
) -> None:
    by_secret = await client.ask("POST", "/key-change", {"key": client.next_key})
    assert problem(by_secret) == (403, "proof_needed", "/key")
    path = f"/v1/clients/{client.id}/key-change"
    for role in (Role.AUDITOR, Role.AGENT):
        answer = await registry.anonymous.post(path, json={}, headers=registry.as_role(role))
        assert answer.status_code == 403, role
    assert (await registry.anonymous.post(path, json={})).status_code == 401
    assert not (await client.shown())["key_wished"]


async def test_an_operator_announces_for_a_client_that_cannot_and_again_changes_nothing(
    registry: RunningRegistry, relay: Relay
) -> None:
    plain = await paper_client(registry, "phone", movable=False)
    path, body = f"/v1/clients/{plain.id}/key-change", {"key": plain.next_key, "within": 3600}

    first = await registry.api.post(path, json=body)
    again = await registry.api.post(path, json=body)

    assert (first.status_code, first.json()["next_key"], again.json()["change"]) == (200, plain.next_key, None)
    own = await registry.api.post(path, json={"key": plain.key})
    assert problem(own) == (409, "key_taken", "/key")
    other = await registry.api.post(path, json={"key": PrivateKey.generate().public().base64})
    assert problem(other) == (409, "next_key_announced", "/key")
    assert f"AllowedIPs = {plain_routes(await plain.configuration())}" in (await plain.configuration())["text"]
    assert (await plain.configuration())["renew_by"] == first.json()["key_until"]


def plain_routes(configuration: dict[str, Any]) -> str:
    return ", ".join(configuration["routes"])


async def test_at_the_date_a_plain_clients_new_file_is_the_only_one_that_counts(
    registry: RunningRegistry, relay: Relay
) -> None:
    plain = await paper_client(registry, "phone", movable=False)
    await registry.api.post(f"/v1/clients/{plain.id}/key-change", json={"key": plain.next_key})

    await date_passes(plain)

    shown = await plain.shown()
    assert (shown["key"], shown["next_key"], shown["key_until"]) == (plain.next_key, "", None)
    one = await at_relay(relay, (await registry.api.get("/v1/changes")).json()["items"][0]["number"])
    assert (one.key, one.door) == (plain.next_key, 1)
    assert not await events_of(registry, "registry.client.key_left")


async def test_at_the_date_a_key_that_no_handshake_came_by_is_forgotten_and_the_client_named(
    registry: RunningRegistry, client: PaperClient, relay: Relay
) -> None:
    await wished(client)
    announced = await client.announce()
    await at_relay(relay, announced.headers["Altnet-Change"])
    await relay.beat(clients=[client.here()])

    await date_passes(client)

    shown = await client.shown()
    assert (shown["key"], shown["next_key"], shown["key_epoch"]) == (client.key, "", 0)
    (left,) = await events_of(registry, "registry.client.key_left")
    assert (left["client"], left["why"], left["key"], left["epoch"], left["rotation"]) == (
        client.id,
        "no_handshake",
        client.next_key,
        1,
        "",
    )
    assert (left["emitter"], left["number"] > 0) == ("registry", True)
    one = await at_relay(relay, str(left["change"]))
    assert (one.key, one.next_key, one.door) == (client.key, "", 0)


async def test_at_the_date_a_key_that_the_relay_saw_is_kept_although_its_client_never_said_so(
    registry: RunningRegistry, client: PaperClient, relay: Relay
) -> None:
    await wished(client)
    await client.announce()
    await relay.beat(clients=[client.here(by_next=True)])

    async def noted() -> bool:
        async with registry.db.raw() as sql:
            return bool(
                await sql.fetchval("SELECT next_seen_at FROM registry.clients WHERE id = $1", client.id) is not None
            )

    await eventually(noted)

    await date_passes(client)

    shown = await client.shown()
    assert (shown["key"], shown["next_key"], shown["key_epoch"]) == (client.next_key, "", 1)
    assert not await events_of(registry, "registry.client.key_left")


async def test_what_a_relay_says_of_another_relays_client_keeps_no_key(
    registry: RunningRegistry, client: PaperClient
) -> None:
    liar = await registry.enrol("liar")
    home = (await client.shown())["relay"]
    assert liar.id != home
    async with registry.db.raw() as sql:
        await sql.execute("UPDATE registry.clients SET standby_id = NULL WHERE id = $1", client.id)
    await wished(client)
    await client.announce()
    before = registry.app.state.registry.pulse.last(liar.id)
    await liar.beat(clients=[client.here(by_next=True)])

    async def heard() -> bool:
        return registry.app.state.registry.pulse.last(liar.id) is not before

    await eventually(heard)

    await date_passes(client)

    assert (await client.shown())["key"] == client.key


async def test_at_the_date_a_client_that_never_answered_keeps_its_key_and_is_named(
    registry: RunningRegistry, client: PaperClient
) -> None:
    await wished(client)

    await date_passes(client)

    shown = await client.shown()
    assert (shown["key"], shown["key_epoch"], shown["key_until"]) == (client.key, 0, None)
    assert (await client.configuration())["wish"] is None
    (left,) = await events_of(registry, "registry.client.key_left")
    assert (left["client"], left["why"], left["key"]) == (client.id, "no_answer", "")


async def test_before_the_date_nothing_ends(registry: RunningRegistry, client: PaperClient) -> None:
    await wished(client)
    await client.announce()
    other = await paper_client(registry, "other")
    await wished(other)
    await date_passes(other)
    assert (await client.shown())["next_key"] == client.next_key
