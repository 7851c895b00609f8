"""Addresses given out. Postgres refuses overlaps; here is how a free one is found without meeting a refusal.

An address that is released keeps its row until it has rested, so the exclusion constraint itself holds it back.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from ipaddress import IPv6Address, IPv6Network

from altnet.common.db.uow import UnitOfWork
from altnet.common.errors import Conflict, Exhausted
from altnet.common.net import FIRST_SLOT, LAST_SLOT, AddressPlan, host_number
from sqlalchemy import text

ATTEMPTS = 8
"""With 64 random bits one collision is already a curiosity."""

_INSERT = text(
    "INSERT INTO registry.allocations (network_id, network_prefix, pool, prefix, slot, owner, allocated_at)"
    " VALUES (:network, :network_prefix, :pool, :prefix, :slot, :owner, :now)"
)


async def allocate_slot(
    uow: UnitOfWork, *, network: str, plan: AddressPlan, owner: str, rest: float, highest: int = LAST_SLOT
) -> int:
    """The lowest free slot, now `owner`'s. One at a time per network. Raises `Exhausted` (`pool_exhausted`)."""
    connection = uow.connection
    await connection.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended('registry slots ' || :network, 0))"), {"network": network}
    )
    await forget_rested(uow, before=uow.now - timedelta(seconds=rest))
    found = await connection.execute(
        text(
            "SELECT candidate FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS candidate"
            " WHERE NOT EXISTS (SELECT FROM registry.allocations"
            "   WHERE network_id = :network AND pool = 'relay' AND slot = candidate)"
            " ORDER BY candidate LIMIT 1"
        ),
        {"first": FIRST_SLOT, "last": highest, "network": network},
    )
    slot = found.scalar()
    if slot is None:
        raise Exhausted(
            "pool_exhausted",
            f"the pool of relays is used up: {highest - FIRST_SLOT + 1} slots are taken or resting.",
            mend="Revoke relays that are gone, and wait until their addresses have rested.",
        )
    await connection.execute(
        _INSERT,
        _row(network, plan, pool="relay", address=plan.relay_address(slot), owner=owner, now=uow.now) | {"slot": slot},
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


async def forget_rested(uow: UnitOfWork, *, before: datetime) -> None:
    """Addresses released before then may be given again."""
    await uow.connection.execute(
        text("DELETE FROM registry.allocations WHERE released_at < :before"), {"before": before}
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
