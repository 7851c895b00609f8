"""What the registry's schema itself refuses, whatever the code above it does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from altnet.common.db.migrate import differences
from altnet.registry.tables import Row
from support.postgres import DatabaseFactory, owner_dsn

NOW = datetime(2026, 5, 1, tzinfo=UTC)
MIGRATIONS = Path(__file__).parents[3] / "services/registry/alembic"


@pytest.fixture
async def sql(database_factory: DatabaseFactory) -> AsyncIterator[asyncpg.Connection]:
    settings = database_factory("registry", MIGRATIONS)
    connection = await asyncpg.connect(
        host=settings.host,
        port=settings.port,
        user=settings.user,
        password=settings.password.reveal(),
        database=settings.name,
    )
    yield connection
    await connection.close()


async def network(sql: asyncpg.Connection, name: str = "one", prefix: str = "fd42:1337:beef::/48") -> str:
    await sql.execute(
        "INSERT INTO registry.networks (id, name, prefix, created_at, updated_at)"
        " VALUES ($1, $2, $3::text::cidr, $4, $4)",
        f"net_{name}",
        name,
        prefix,
        NOW,
    )
    return f"net_{name}"


async def allocate(
    sql: asyncpg.Connection, pool: str, prefix: str, *, slot: int | None = None, owner: str = "x"
) -> None:
    await sql.execute(
        "INSERT INTO registry.allocations (network_id, network_prefix, pool, prefix, slot, owner, allocated_at)"
        " VALUES ('net_one', 'fd42:1337:beef::/48', $1, $2::text::cidr, $3, $4, $5)",
        pool,
        prefix,
        slot,
        owner,
        NOW,
    )


async def site(sql: asyncpg.Connection, name: str, prefix: str) -> None:
    await sql.execute(
        "INSERT INTO registry.sites (id, network_id, name, created_at, updated_at) VALUES ($1, 'net_one', $1, $2, $2)"
        " ON CONFLICT DO NOTHING",
        name,
        NOW,
    )
    await sql.execute(
        "INSERT INTO registry.site_prefixes (site_id, network_id, network_prefix, prefix)"
        " VALUES ($1, 'net_one', 'fd42:1337:beef::/48', $2::text::cidr)",
        name,
        prefix,
    )


async def test_the_tables_in_code_have_the_columns_of_the_migration(
    database_factory: DatabaseFactory, postgres_server: object
) -> None:
    settings = database_factory("registry", MIGRATIONS)
    found = await differences(owner_dsn(postgres_server, settings, "registry"), "registry", Row.metadata)  # type: ignore[arg-type]
    flat = [item for entry in found for item in (entry if isinstance(entry, list) else [entry])]
    structure = [item for item in flat if "column" in item[0] or "table" in item[0] or item[0].startswith("modify")]
    written_in_bulk_only = ("documents", "acknowledgements")
    assert [item for item in structure if getattr(item[1], "name", "") not in written_in_bulk_only] == []


async def test_networks_do_not_overlap(sql: asyncpg.Connection) -> None:
    await network(sql)
    with pytest.raises(asyncpg.ExclusionViolationError):
        await network(sql, "two", "fd42:1337:beef::/48")


@pytest.mark.parametrize("prefix", ["fd42:1337:beef::/56", "2001:db8::/48", "10.0.0.0/8"])
async def test_a_network_is_a_ula_48(sql: asyncpg.Connection, prefix: str) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await network(sql, "odd", prefix)


@pytest.mark.parametrize(
    ("pool", "prefix", "slot"),
    [
        ("relay", "fd42:1337:beef::2/128", 1),
        ("relay", "fd42:1337:beef:1::1/128", 1),
        ("relay", "fd42:1337:beef::1/128", None),
        ("relay", "fd42:1337:beef::0/112", 1),
        ("client", "fd42:1337:beef:2000::1/128", None),
        ("client", "fd42:1337:beef:1001::/64", None),
        ("client", "fd42:1337:bee0:1001::1/128", None),
        ("service", "fd42:1337:beef:2001::1/128", None),
        ("service", "fd42:1337:beef:2000::1/128", 3),
    ],
)
async def test_an_allocation_outside_its_pool_is_refused(
    sql: asyncpg.Connection, pool: str, prefix: str, slot: int | None
) -> None:
    await network(sql)
    with pytest.raises(asyncpg.CheckViolationError):
        await allocate(sql, pool, prefix, slot=slot)


async def test_an_address_has_one_owner_and_a_released_one_rests(sql: asyncpg.Connection) -> None:
    await network(sql)
    await allocate(sql, "relay", "fd42:1337:beef::fff/128", slot=4095, owner="a")
    await allocate(sql, "client", "fd42:1337:beef:1fff::9/128", owner="b")
    await allocate(sql, "service", "fd42:1337:beef:2000::9/128", owner="c")
    await sql.execute("UPDATE registry.allocations SET released_at = $1 WHERE owner = 'b'", NOW)
    with pytest.raises(asyncpg.ExclusionViolationError):
        await allocate(sql, "client", "fd42:1337:beef:1fff::9/128", owner="d")
    with pytest.raises((asyncpg.ExclusionViolationError, asyncpg.UniqueViolationError)):
        await allocate(sql, "relay", "fd42:1337:beef::fff/128", slot=4095, owner="e")


async def test_two_sites_do_not_overlap_but_one_site_may_nest(sql: asyncpg.Connection) -> None:
    await network(sql)
    await site(sql, "sit_a", "10.0.0.0/8")
    await site(sql, "sit_a", "10.1.0.0/16")
    with pytest.raises(asyncpg.ExclusionViolationError):
        await site(sql, "sit_b", "10.2.0.0/16")


@pytest.mark.parametrize("prefix", ["fd42:1337:beef:3000::/64", "fd42::/16", "::/0"])
async def test_a_site_does_not_touch_the_networks_own_prefix(sql: asyncpg.Connection, prefix: str) -> None:
    await network(sql)
    with pytest.raises(asyncpg.CheckViolationError):
        await site(sql, "sit_a", prefix)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("asn", 0),
        ("asn", 2**32 - 1),
        ("local_asn", 0),
        ("families", []),
        ("families", ["ipx"]),
        ("import_limit", 0),
        ("hold_time", 2),
        ("multihop", 256),
        ("password", "sealed for nobody"),
    ],
)
async def test_a_peering_that_cannot_be_is_refused(sql: asyncpg.Connection, column: str, value: object) -> None:
    await network(sql)
    await sql.execute(
        "INSERT INTO registry.relays (id, network_id, name, slot, nkey, key, access_key, mesh_port, access_port,"
        " encapsulations, state, created_at, updated_at)"
        " VALUES ('rly_1', 'net_one', 'one', 1, 'U', 'k', 'a', 1, 2, ARRAY['vxlan'], 'active', $1, $1)",
        NOW,
    )
    row: dict[str, object] = {
        "id": "prg_1",
        "network_id": "net_one",
        "relay_id": "rly_1",
        "name": "isp",
        "address": "2001:db8::1",
        "asn": 65010,
        "families": ["ipv6"],
        "import_limit": 1,
        "export_limit": 1,
        "hold_time": 90,
        "restart_time": 0,
        "preference": 100,
        "created_at": NOW,
        "updated_at": NOW,
    }
    for wish, refused in ((row | {column: value}, True), (row, False)):
        places = ", ".join(f"${number + 1}" for number in range(len(wish)))
        insert = f"INSERT INTO registry.peerings ({', '.join(wish)}) VALUES ({places})"
        if refused:
            with pytest.raises(asyncpg.CheckViolationError):
                await sql.execute(insert, *wish.values())
        else:
            await sql.execute(insert, *wish.values())


async def test_the_runtime_role_changes_no_structure(sql: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await sql.execute("ALTER TABLE registry.relays ADD COLUMN odd text")
