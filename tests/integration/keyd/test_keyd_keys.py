"""keyd's own keys at rest: another key-encryption key opens nothing, a new one takes over, a restore leaves a gap."""

from __future__ import annotations

import base64

from altnet.common.bus.connect import Bus, BusSettings
from altnet.common.bus.jwt import BusIdentity
from altnet.common.db.settings import DatabaseSettings
from altnet.keyd.service import service
from integration.keyd.running import FAST, KEK, RunningKeyd, running_keyd

OTHER_KEK = base64.b64encode(b"o" * 32).decode()


async def test_with_another_key_encryption_key_keyd_is_unready_says_why_and_makes_no_new_keys(
    keyd_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity, registry_bus: Bus
) -> None:
    async with running_keyd(keyd_database, bus_settings, bus_identity) as keyd:
        before = (await keyd.api.get("/v1/keyd/keys")).json()
    wrong = {**FAST, "ALTNET_KEYD_KEY_ENCRYPTION_KEY": OTHER_KEK}

    async with running_keyd(keyd_database, bus_settings, bus_identity, env=wrong, problem="keys_sealed") as keyd:
        ready = await keyd.api.get("/readyz")
        keys = await keyd.api.get("/v1/keyd/keys")
        identities = await keyd.api.get("/v1/identities")

    assert (ready.status_code, ready.json()["parts"]["keys"]) == (503, "keys_sealed")
    assert (keys.status_code, keys.json()["code"]) == (503, "keys_not_ready")
    assert identities.status_code == 200  # reading needs no private key
    async with running_keyd(keyd_database, bus_settings, bus_identity) as keyd:
        assert (await keyd.api.get("/v1/keyd/keys")).json() == before


async def test_a_new_key_encryption_key_takes_over_what_the_previous_one_sealed(
    keyd_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity, registry_bus: Bus
) -> None:
    async with running_keyd(keyd_database, bus_settings, bus_identity) as keyd:
        before = (await keyd.api.get("/v1/keyd/keys")).json()
    both = {
        **FAST,
        "ALTNET_KEYD_KEY_ENCRYPTION_KEY": OTHER_KEK,
        "ALTNET_KEYD_PREVIOUS_KEY_ENCRYPTION_KEY": KEK,
    }
    async with running_keyd(keyd_database, bus_settings, bus_identity, env=both) as keyd:
        assert (await keyd.api.get("/v1/keyd/keys")).json() == before
        (event,) = [one for one in await keyd.events() if one["kind"] == "keyd.service_key.rewrapped"]
        assert (event["keys"], event["number"], event["kek"] != event["before"]) == (2, 3, True)

    alone = {**FAST, "ALTNET_KEYD_KEY_ENCRYPTION_KEY": OTHER_KEK}
    async with running_keyd(keyd_database, bus_settings, bus_identity, env=alone) as keyd:
        assert (await keyd.api.get("/v1/keyd/keys")).json() == before
        assert (await keyd.api.post("/v1/keyd/keys/rotate", json={"use": "static"})).status_code == 200


async def test_after_a_restore_the_numbers_of_lost_events_are_not_given_again(
    registry_bus: Bus, keyd_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    async with running_keyd(keyd_database, bus_settings, bus_identity) as keyd:
        assert service.after_restore is not None
        await service.after_restore(keyd.db, 1000)
        await rotate(keyd)

        assert [event["number"] for event in await keyd.events()] == [1, 2, 1003]


async def rotate(keyd: RunningKeyd) -> None:
    answer = await keyd.api.post("/v1/keyd/keys/rotate", json={"use": "signing"})
    assert answer.status_code == 200, answer.text
