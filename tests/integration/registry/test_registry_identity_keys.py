"""keyd orders proven identities: they are in the mesh, once, and nobody else's order counts."""

from __future__ import annotations

import base64

import msgspec
import pytest
from altnet.common.bus.desired import fetch
from altnet.common.bus.jwt import make_nkey, sign
from altnet.common.bus.nkey import public_of
from altnet.common.bus.subjects import MESH_BUCKET, mesh_snapshot_key
from altnet.common.contracts.desired import IdentityKeys, unpack_snapshot
from altnet.common.contracts.identity_keys import IDENTITY_PURPOSE, IdentitiesOrder, IdentityOrder
from altnet.common.contracts.mesh_keys import SignedOrder
from altnet.common.errors import Invalid, Unauthenticated
from altnet.common.keys import PrivateKey
from altnet.common.signing import SigningKey
from altnet.registry.answers import answer_identity_keys
from integration.registry.running import Relay, RunningRegistry, eventually

pytestmark = [pytest.mark.server]

SEED = make_nkey()[1]


def identity() -> IdentityKeys:
    return IdentityKeys(static=PrivateKey.generate().public().base64, signing=SigningKey.generate().public().base64)


def signed(order: IdentitiesOrder, *, seed: bytes = SEED, purpose: bytes = IDENTITY_PURPOSE) -> SignedOrder:
    text = msgspec.json.encode(order).decode()
    return SignedOrder(order=text, signature=base64.b64encode(sign(seed, purpose + text.encode())).decode())


async def order(registry: RunningRegistry, relay: Relay, keys: IdentityKeys | None) -> int:
    said = IdentityOrder(relay=relay.id, static=keys.static if keys else "", signing=keys.signing if keys else "")
    taken = await answer_identity_keys(registry.db, signed(IdentitiesOrder(relays=(said,))), keyd=public_of(SEED))
    return taken.changed


async def until_in_mesh(registry: RunningRegistry, relay: Relay, keys: IdentityKeys | None) -> None:
    async def there() -> bool:
        data = await fetch(registry.bus, MESH_BUCKET, mesh_snapshot_key(relay.network), timeout=5)
        mesh = unpack_snapshot(data) if data is not None else None
        return mesh is not None and any(one.id == relay.id and one.identity == keys for one in mesh.relays)

    await eventually(there)


async def test_a_proven_identity_is_in_the_mesh_until_it_is_not_proven_any_more(registry: RunningRegistry) -> None:
    relay, keys = await registry.enrol("alpha"), identity()
    await until_in_mesh(registry, relay, None)
    assert await order(registry, relay, keys) == 1
    assert await order(registry, relay, keys) == 0
    await until_in_mesh(registry, relay, keys)
    assert await order(registry, relay, None) == 1
    await until_in_mesh(registry, relay, None)


async def test_an_identity_that_keyd_did_not_sign_for_is_refused(registry: RunningRegistry) -> None:
    relay, keys = await registry.enrol("alpha"), identity()
    made = IdentitiesOrder(relays=(IdentityOrder(relay=relay.id, static=keys.static, signing=keys.signing),))
    for query in (
        signed(made, seed=make_nkey()[1]),
        signed(made, purpose=b"altnet-mesh-keys-v1\n"),
        msgspec.structs.replace(signed(made), order=signed(made).order.replace(keys.static, identity().static)),
    ):
        with pytest.raises(Unauthenticated, match="did not sign"):
            await answer_identity_keys(registry.db, query, keyd=public_of(SEED))
    half = IdentitiesOrder(relays=(IdentityOrder(relay=relay.id, static=keys.static),))
    with pytest.raises(Invalid, match="both of its keys"):
        await answer_identity_keys(registry.db, signed(half), keyd=public_of(SEED))
    async with registry.db.raw() as connection:
        assert await connection.fetchval("SELECT count(*) FROM registry.relays WHERE proven_static <> ''") == 0
