"""The network of a fresh installation: a prefix of its own by chance where that is asked for, and never another one."""

from __future__ import annotations

from ipaddress import IPv6Network

from altnet.common.bus.connect import Bus, BusSettings
from altnet.common.bus.jwt import BusIdentity, service_credentials
from altnet.common.clock import SystemClock
from altnet.common.db.engine import Database
from altnet.common.db.settings import DatabaseSettings
from altnet.common.http.settings import HttpSettings
from altnet.common.http.tokens import TokenVerifier
from altnet.common.service import ServiceContext
from altnet.common.settings import Source
from altnet.registry.service import make_first_owner
from altnet.registry.store import networks
from integration.registry.running import FAST, running
from prometheus_client import CollectorRegistry


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


async def test_whoever_has_the_first_owners_token_finds_a_network_even_before_a_replica_leads(
    registry_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    clock = SystemClock()
    async with (
        Database(registry_database, schema="registry", clock=clock) as db,
        Bus(bus_settings, service_credentials(bus_identity, "registry"), name="registry") as bus,
    ):
        context = ServiceContext(
            settings=Source(prefix="ALTNET_REGISTRY", env=FAST),
            database=db,
            bus=bus,
            admin_bus=None,
            clock=clock,
            verifier=TokenVerifier([], clock),
            issuer=None,
            identity=bus_identity,
            metrics=CollectorRegistry(),
            http=HttpSettings(),
        )
        made = [await make_first_owner(context) for _ in range(2)]
        async with db.read() as session:
            found = await networks.every(session)
    assert [token is not None for token in made] == [True, False]
    assert [network.prefix for network in found] == [IPv6Network("fd42:1337:beef::/48")]
