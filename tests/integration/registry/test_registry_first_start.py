"""The network of a fresh installation: a prefix of its own by chance where that is asked for, and never another one."""

from __future__ import annotations

from ipaddress import IPv6Network

from altnet.common.bus.connect import BusSettings
from altnet.common.bus.jwt import BusIdentity
from altnet.common.db.settings import DatabaseSettings
from integration.registry.running import FAST, running


async def test_a_first_start_with_a_random_prefix_makes_one_and_later_starts_keep_it(
    registry_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    made = []
    for wanted in ("random", "random", "fd00:1:2::/48"):
        env = {**FAST, "ALTNET_REGISTRY_NETWORK__PREFIX": wanted}
        async with running(registry_database, bus_settings, bus_identity, env=env) as registry:
            made.append((await registry.api.get("/v1/networks")).json()["items"])
            relay = await registry.enrol(f"relay-{len(made)}")
            assert relay.answer["network"]["prefix"] == made[0][0]["prefix"]

    assert [len(networks) for networks in made] == [1, 1, 1]
    assert len({networks[0]["id"] for networks in made}) == 1
    prefix = IPv6Network(made[0][0]["prefix"])
    assert prefix.prefixlen == 48
    assert prefix.subnet_of(IPv6Network("fd00::/8"))
    assert prefix != IPv6Network("fd42:1337:beef::/48")
