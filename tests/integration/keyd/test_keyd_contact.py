"""Hosts make contact with keyd: by token, by pinned keys, by nobody's leave."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from altnet.common.bus import rpc
from altnet.common.bus.connect import BusSettings
from altnet.common.bus.jwt import BusIdentity
from altnet.common.contracts.keyd import HELLO, Frame, IdentityState, Standing
from altnet.common.db.settings import DatabaseSettings
from altnet.common.errors import AltnetError, Forbidden, Invalid, TooMany, Unauthenticated
from altnet.common.http.auth import Role
from altnet.common.keys import PrivateKey
from altnet.common.settings import Secret
from altnet.common.signing import SigningKey
from altnet.relay_agent.keyd import remember_token
from altnet.relay_agent.state import Identity, Keyd
from integration.keyd.running import (
    FAST,
    Agent,
    RunningKeyd,
    enrol_agent,
    identity_for,
    meet,
    running_keyd,
    with_identity,
)
from integration.registry.running import RunningRegistry, eventually


async def test_first_contact_with_the_token_makes_an_identity_active_and_pins_keyd(
    registry: RunningRegistry, keyd: RunningKeyd
) -> None:
    agent = await enrol_agent(registry, "berlin-1")

    standing = await meet(agent)

    assert standing.state is IdentityState.ACTIVE
    known = await keyd.identity(agent.id)
    assert known["confirmed_by"] == "token"
    assert known["fingerprint"] == standing.fingerprint == agent.contact.status()["fingerprint"]
    assert known["signing_key"] == agent.state.identity().signing.public().base64
    kept = agent.state.keyd()
    assert not kept.psk  # used up
    keys = (await keyd.api.get("/v1/keyd/keys")).json()
    assert {kept.static, kept.signing} == {key["key"] for key in keys["keys"]}
    assert agent.contact.status()["keyd_fingerprint"] == keys["fingerprint"]


async def test_later_contacts_are_by_the_pinned_keys_and_change_nothing(
    registry: RunningRegistry, keyd: RunningKeyd
) -> None:
    agent = await enrol_agent(registry, "berlin-1")
    await meet(agent)
    before = await keyd.identity(agent.id)

    for _ in range(3):
        agent = agent.again()
        assert (await meet(agent)).state is IdentityState.ACTIVE

    assert await keyd.identity(agent.id) == before
    assert (await agent.contact.meet()).state is IdentityState.ACTIVE  # a look, in the same session


async def test_a_wrong_secret_is_refused_and_there_is_no_way_around_it(
    registry: RunningRegistry, keyd: RunningKeyd
) -> None:
    agent = await enrol_agent(registry, "berlin-1")
    await keyd.until(agent.id, "expected")
    await agent.state.save_keyd(Keyd(psk=base64.b64encode(b"x" * 32).decode()))

    for _ in range(2):
        with pytest.raises(Unauthenticated) as refusal:
            await agent.contact.meet()
        assert refusal.value.code == "first_contact_refused"

    assert (await keyd.identity(agent.id))["state"] == "expected"
    assert agent.state.keyd().static == ""

    async def told() -> bool:
        return any(event.get("reason") == "noise_unfinished" for event in await keyd.events())

    await eventually(told)


async def test_a_host_that_enrols_again_with_another_token_keeps_its_pins(
    registry: RunningRegistry, keyd: RunningKeyd
) -> None:
    agent = await enrol_agent(registry, "berlin-1")
    await meet(agent)
    pinned = agent.state.keyd()
    await remember_token(agent.state, Secret(await registry.join_token()))

    standing = await meet(agent.again())

    assert standing.state is IdentityState.ACTIVE
    assert agent.state.keyd() == pinned


async def test_a_host_without_the_secret_waits_for_an_owner_who_compares_fingerprints(
    registry: RunningRegistry, keyd: RunningKeyd
) -> None:
    agent = await enrol_agent(registry, "old-1", keep_token=False)
    standing = await meet(agent)
    assert (standing.state, standing.reason) == (IdentityState.PENDING, "no_token")
    path = f"/v1/identities/{agent.id}/approve"

    wrong = await keyd.api.post(path, json={"fingerprint": "AAAA " * 8})
    by_admin = await keyd.api.post(path, json={"fingerprint": standing.fingerprint}, headers=keyd.as_role(Role.ADMIN))
    right = await keyd.api.post(path, json={"fingerprint": standing.fingerprint.lower().replace(" ", "")})

    assert (wrong.status_code, wrong.json()["code"]) == (409, "fingerprint_differs")
    assert by_admin.status_code == 403
    assert (right.status_code, right.json()["state"], right.json()["confirmed_by"]) == (200, "active", "the-owner")
    assert (await agent.contact.meet()).state is IdentityState.ACTIVE
    again = await keyd.api.post(path, json={"fingerprint": standing.fingerprint})
    assert (again.status_code, again.json()["code"]) == (409, "not_pending")


async def test_a_host_that_lost_its_keys_and_enrols_again_under_its_name_is_pending(
    registry: RunningRegistry, keyd: RunningKeyd
) -> None:
    lost = await enrol_agent(registry, "berlin-1")
    await meet(lost)
    version = (await registry.api.get(f"/v1/relays/{lost.id}")).headers["ETag"]
    gone = await registry.api.delete(f"/v1/relays/{lost.id}", headers={"If-Match": version})
    assert gone.status_code == 200, gone.text
    await keyd.until(lost.id, "revoked")

    new = await enrol_agent(registry, "berlin-1")
    standing = await meet(new)

    assert (standing.state, standing.reason) == (IdentityState.PENDING, "name_reused")
    history = (await keyd.identity(lost.id))["history"]
    assert {key["use"] for key in history} == {"static", "signing", "mesh", "access"}
    assert all(key["removed_at"] for key in history)


async def test_a_revoked_identity_gets_nothing_in_a_live_session_either(
    registry: RunningRegistry, keyd: RunningKeyd
) -> None:
    agent = await enrol_agent(registry, "berlin-1")
    await meet(agent)
    async with keyd.db.raw() as connection:  # the bus would drop it too; here keyd is alone
        await connection.execute("UPDATE keyd.identities SET state = 'revoked' WHERE id = $1", agent.id)

    with pytest.raises(Forbidden, match="revoked"):
        await agent.contact.meet()
    with pytest.raises(Forbidden, match="revoked"):
        await agent.again().contact.meet()


async def test_another_signing_key_makes_an_active_identity_pending(
    registry: RunningRegistry, keyd: RunningKeyd
) -> None:
    agent = await enrol_agent(registry, "berlin-1")
    await meet(agent)

    standing = await meet(with_identity(agent, with_new_signing_key(agent)))

    assert (standing.state, standing.reason) == (IdentityState.PENDING, "signing_key_changed")
    assert len([k for k in (await keyd.identity(agent.id))["history"] if k["use"] == "signing"]) == 2


async def test_a_changed_identity_key_is_pending_and_the_session_of_before_is_over(
    registry: RunningRegistry, keyd: RunningKeyd
) -> None:
    agent = await enrol_agent(registry, "berlin-1")
    await meet(agent)
    static = PrivateKey.generate()
    host = agent.relay.host
    body = host.body("altj_unused", identity_key=static.public().base64)
    renewed = await registry.anonymous.post("/v1/enrol", content=body, headers=host.signed(body))
    assert renewed.status_code == 200, renewed.text
    await keyd.until(agent.id, "pending")

    with pytest.raises(Unauthenticated):
        await agent.contact.meet()  # still holds the old session, and the old key
    other = with_identity(agent, identity_for(host, static=static))
    standing = await meet(other)

    assert (standing.state, standing.reason) == (IdentityState.PENDING, "identity_key_changed")


async def test_a_copied_signing_key_is_refused(registry: RunningRegistry, keyd: RunningKeyd) -> None:
    one, other = await enrol_agent(registry, "one"), await enrol_agent(registry, "other")
    await meet(one)
    await keyd.until(other.id, "expected")
    copied = msgspec.structs.replace(other.state.identity(), signing_key=one.state.identity().signing_key)

    with pytest.raises(AltnetError) as refusal:
        await with_identity(other, copied).contact.meet()
    assert refusal.value.code == "key_taken"


async def test_hosts_follow_when_keyd_replaces_its_keys_and_an_old_static_key_answers_as_long_as_it_shall(
    registry: RunningRegistry, keyd: RunningKeyd
) -> None:
    agent = await enrol_agent(registry, "berlin-1")
    await meet(agent)
    first = agent.state.keyd()
    for use, overlap in (("static", 60), ("signing", 0), ("static", 0)):
        answer = await keyd.api.post("/v1/keyd/keys/rotate", json={"use": use, "overlap": overlap})
        assert answer.status_code == 200, answer.text
    away = agent.again()

    assert (await meet(away)).state is IdentityState.ACTIVE  # by the first key, whose overlap lasts
    second = away.state.keyd()
    assert second.static != first.static
    assert second.signing != first.signing

    now = await keyd.api.post("/v1/keyd/keys/rotate", json={"use": "static", "overlap": 0})
    away = away.again()
    assert (await meet(away)).state is IdentityState.ACTIVE  # the pinned one answers no more; it follows
    assert away.state.keyd().static == next(
        key["key"] for key in now.json()["keys"] if key["current"] and key["use"] == "static"
    )


async def test_a_keyd_that_was_set_up_anew_is_not_believed(
    registry: RunningRegistry,
    keyd: RunningKeyd,
) -> None:
    agent = await enrol_agent(registry, "berlin-1")
    await meet(agent)
    async with keyd.db.raw() as connection:
        await connection.execute("DELETE FROM keyd.service_keys")

    async def another_key() -> bool:
        keys = (await keyd.api.get("/v1/keyd/keys")).json().get("keys", [])
        return bool(keys) and agent.state.keyd().static not in {key["key"] for key in keys}

    await eventually(another_key)

    with pytest.raises(Unauthenticated) as refusal:
        await agent.again().contact.meet()
    assert refusal.value.code == "not_endorsed"


async def test_nonsense_inside_a_channel_is_refused_inside_it(registry: RunningRegistry, keyd: RunningKeyd) -> None:
    class Strange(msgspec.Struct, tag="delete everything"):
        number: int = 7

    agent = await enrol_agent(registry, "berlin-1")
    await meet(agent)
    assert agent.contact._channel is not None

    with pytest.raises(Invalid) as refusal:
        await agent.contact._channel.call(Strange(), Standing)
    assert refusal.value.code == "bad_ask"
    assert (await agent.contact.meet()).state is IdentityState.ACTIVE


async def test_events_are_numbered_without_a_gap_and_refusals_are_counted_in_one(
    registry: RunningRegistry, keyd: RunningKeyd
) -> None:
    agent = await enrol_agent(registry, "berlin-1")
    await keyd.until(agent.id, "expected")
    psk = agent.state.keyd()
    stranger = with_identity(agent, identity_for(agent.relay.host))  # the relay's bus, another identity
    for _ in range(3):
        with pytest.raises(AltnetError):
            await stranger.contact.meet()
    await agent.state.save_keyd(psk)
    await meet(agent)

    async def all_told() -> bool:
        refused = [event for event in await keyd.events() if event["kind"] == "keyd.channel.refused"]
        return sum(event["count"] for event in refused if event["reason"] == "noise_refused") == 3

    await eventually(all_told)
    metrics = (await keyd.api.get("/metrics")).text
    assert 'altnet_keyd_channel_refusals_total{reason="noise_refused"} 3.0' in metrics
    events = await keyd.events()
    assert sorted(event["number"] for event in events) == list(range(1, len(events) + 1))
    assert {"keyd.service_key.rotated", "keyd.identity.expected", "keyd.identity.confirmed"} <= {
        event["kind"] for event in events
    }


async def test_a_flood_of_one_relay_is_refused_and_another_one_gets_through(
    registry: RunningRegistry, keyd_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    env = {**FAST, "ALTNET_KEYD_CHANNEL__LIMITS__HANDSHAKES__BURST": "5"}
    env["ALTNET_KEYD_CHANNEL__LIMITS__HANDSHAKES__PER_SECOND"] = "0.01"
    async with running_keyd(keyd_database, bus_settings, bus_identity, env=env) as keyd:
        flooding, other = await enrol_agent(registry, "flooding"), await enrol_agent(registry, "other")
        await keyd.until(other.id, "expected")
        codes = []
        for _ in range(20):
            with pytest.raises(AltnetError) as refusal:
                await rpc.call(
                    flooding.bus, "keyd", HELLO, Frame(data=b"\x01\x01" + bytes(104)), Frame, relay=flooding.id
                )
            codes.append(refusal.value.code)

        assert codes == ["noise_unknown_static"] * 5 + ["noise_too_many"] * 15
        assert (await meet(other)).state is IdentityState.ACTIVE


async def test_a_host_that_shows_ever_new_signing_keys_is_held_back(
    registry: RunningRegistry, keyd_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    env = {**FAST, "ALTNET_KEYD_CHANNEL__REGISTRATIONS__BURST": "3"}
    env["ALTNET_KEYD_CHANNEL__REGISTRATIONS__PER_SECOND"] = "0.001"
    async with running_keyd(keyd_database, bus_settings, bus_identity, env=env) as keyd:
        agent = await enrol_agent(registry, "berlin-1")
        await meet(agent)
        for _ in range(2):
            await with_identity(agent, with_new_signing_key(agent)).contact.meet()

        with pytest.raises(TooMany):
            await with_identity(agent, with_new_signing_key(agent)).contact.meet()

        history = (await keyd.identity(agent.id))["history"]
        assert len([key for key in history if key["use"] == "signing"]) == 3


def with_new_signing_key(agent: Agent) -> Identity:
    return msgspec.structs.replace(
        agent.state.identity(), signing_key=base64.b64encode(SigningKey.generate().reveal()).decode()
    )


async def test_an_operators_api_token_works_here_too_until_it_is_revoked(
    registry: RunningRegistry, keyd: RunningKeyd
) -> None:
    made = await registry.api.post(
        "/v1/tokens/api",
        json={
            "name": "looking",
            "role": "auditor",
            "scopes": ["identities:read"],
            "expires_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
        },
    )
    assert made.status_code == 201, made.text
    headers = {"Authorization": f"Bearer {made.json()['secret']}"}

    assert (await keyd.api.get("/v1/identities", headers=headers)).status_code == 200
    assert (await keyd.api.get("/v1/keyd/keys", headers=headers)).status_code == 403

    gone = await registry.api.delete(f"/v1/tokens/api/{made.json()['id']}")
    assert gone.is_success, gone.text
    assert (await keyd.api.get("/v1/identities", headers=headers)).status_code == 401
