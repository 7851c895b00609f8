"""keyd says which identities are proven: relays get to know each other by them, in the mesh."""

from __future__ import annotations

from collections import defaultdict

from altnet.common.contracts.identity_keys import IdentitiesOrder, IdentityKeysChanged, IdentityOrder
from altnet.common.db.uow import UnitOfWork
from altnet.common.errors import Invalid
from altnet.common.keys import PublicKey
from altnet.common.signing import VerifyKey
from altnet.registry.store import changes, relays
from altnet.registry.tables import RelayRow


async def order_identity_keys(uow: UnitOfWork, order: IdentitiesOrder) -> int:
    """Do as ordered; the number of relays that this changed. Repeating changes nothing.

    A relay that is gone or revoked is left out. Raises `Invalid` (`bad_identity_order`, `bad_public_key`,
    `bad_signing_key`): then nothing is done.
    """
    wanted = {one.relay: checked(one) for one in order.relays}
    done: defaultdict[str, list[RelayRow]] = defaultdict(list)
    for row in await relays.locked(uow, sorted(wanted)):
        said = wanted[row.id]
        if row.revoked_at is not None or (row.proven_static, row.proven_signing) == (said.static, said.signing):
            continue
        row.proven_static, row.proven_signing = said.static, said.signing
        row.version += 1
        row.updated_at = uow.now
        done[row.network_id].append(row)
    for network, rows in sorted(done.items()):
        told = tuple(wanted[row.id] for row in rows)
        await changes.record(
            uow,
            lambda change, network=network, told=told: IdentityKeysChanged(  # type: ignore[misc]  # bound now
                network=network, relays=told, change=change
            ),
            touched=[("relay", row.id) for row in rows],
            summary=f"proven identities of {len(rows)} relays",
            network=network,
        )
    return sum(map(len, done.values()))


def checked(order: IdentityOrder) -> IdentityOrder:
    """The order, if its keys are keys. Raises `Invalid`."""
    field = f"/relays/{order.relay}"
    if bool(order.static) is not bool(order.signing):
        raise Invalid("bad_identity_order", "an identity has both of its keys, or none is proven.", field=field)
    if order.static:
        PublicKey.parse(order.static, field=f"{field}/static")
        VerifyKey.parse(order.signing, field=f"{field}/signing")
    return order
