"""Addresses given out. Postgres refuses overlaps; here is how a free one is found without meeting a refusal.

An address that is released keeps its row until it has rested, so the exclusion constraint itself holds it back.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from ipaddress import IPv6Address, IPv6Network
from typing import Final

from altnet.common.db.uow import UnitOfWork
from altnet.common.errors import Conflict, Exhausted
from altnet.common.net import FIRST_SLOT, LAST_SLOT, AddressPlan, host_number
from sqlalchemy import text

ATTEMPTS = 8
"""With 64 random bits one collision is already a curiosity."""

_HOLD_SLOTS: Final = """
WITH held AS MATERIALIZED (SELECT pg_advisory_xact_lock(hashtextextended($1, 0)))
DELETE FROM registry.allocations WHERE released_at < $2 AND (SELECT count(*) FROM held) > 0
"""
"""The lock comes first: who deleted before it had the lock could wait for who has it, and be waited for."""

_TAKE_SLOT: Final = """
INSERT INTO registry.allocations (network_id, network_prefix, pool, prefix, slot, owner, allocated_at)
SELECT $1, $2::cidr, 'relay', set_masklen(set_masklen($2::cidr::inet, 128) + candidate::bigint, 128)::cidr,
       candidate, $5, $6
FROM (
    SELECT $3::int AS candidate
    UNION ALL
    (SELECT slot + 1 FROM registry.allocations WHERE network_id = $1 AND pool = 'relay' ORDER BY slot)
) AS after_one_that_is_taken
WHERE candidate BETWEEN $3::int AND $4::int AND NOT EXISTS (SELECT FROM registry.allocations AS taken
    WHERE taken.network_id = $1 AND taken.pool = 'relay' AND taken.slot = candidate)
ORDER BY candidate LIMIT 1
RETURNING slot
"""
"""A statement of its own: one sees what was committed before it began, and the first began before the lock was ours."""


async def allocate_slot(
    uow: UnitOfWork, *, network: str, plan: AddressPlan, owner: str, rest: float, highest: int = LAST_SLOT
) -> int:
    """The lowest free slot, now `owner`'s. One at a time per network. Raises `Exhausted` (`pool_exhausted`)."""
    before = uow.now - timedelta(seconds=rest)
    await uow.connection.exec_driver_sql(_HOLD_SLOTS, (f"registry slots {network}", before))
    found = await uow.connection.exec_driver_sql(
        _TAKE_SLOT, (network, plan.prefix, FIRST_SLOT, highest, owner, uow.now)
    )
    slot = found.scalar()
    if slot is None:
        raise Exhausted(
            "pool_exhausted",
            f"the pool of relays is used up: {highest - FIRST_SLOT + 1} slots are taken or resting.",
            mend="Revoke relays that are gone, and wait until their addresses have rested.",
        )
    return int(slot)


async def allocate_address(
    uow: UnitOfWork, *, network: str, plan: AddressPlan, pool: str, inside: IPv6Network, owner: str
) -> IPv6Address:
    """An address in `inside` (a /64), now `owner`'s. Raises `Conflict` if luck is out `ATTEMPTS` times."""
    for attempt in range(ATTEMPTS):
        address = inside[host_number(owner, attempt)]
        taken = await uow.connection.execute(
            text(
                "INSERT INTO registry.allocations"
                " (network_id, network_prefix, pool, prefix, slot, owner, allocated_at)"
                " VALUES (:network, :network_prefix, :pool, :prefix, :slot, :owner, :now)"
                " ON CONFLICT ON CONSTRAINT allocations_overlap DO NOTHING RETURNING 1"
            ),
            _row(network, plan, pool=pool, address=address, owner=owner, now=uow.now),
        )
        if taken.scalar() is not None:
            return address
    raise Conflict("address_taken", "no free address was found.", mend="Try again.")


async def release(uow: UnitOfWork, owner: str) -> None:
    """The owner is gone; its addresses rest from now on."""
    await uow.connection.execute(
        text("UPDATE registry.allocations SET released_at = :now WHERE owner = :owner AND released_at IS NULL"),
        {"now": uow.now, "owner": owner},
    )


def _row(
    network: str, plan: AddressPlan, *, pool: str, address: IPv6Address, owner: str, now: datetime
) -> dict[str, object]:
    return {
        "network": network,
        "network_prefix": plan.prefix,
        "pool": pool,
        "prefix": IPv6Network(address),
        "slot": None,
        "owner": owner,
        "now": now,
    }
