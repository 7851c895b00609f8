"""keyd orders mesh keys: they are in the mesh, once, and nobody else's order counts."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from altnet.common.bus.desired import fetch
from altnet.common.bus.jwt import make_nkey, sign
from altnet.common.bus.nkey import public_of
from altnet.common.bus.subjects import MESH_BUCKET, mesh_snapshot_key
from altnet.common.contracts.desired import KeyStage, RelayEntry, unpack_snapshot
from altnet.common.contracts.mesh_keys import PURPOSE, KeyOrder, MeshKeysOrder, Settle, SignedOrder
from altnet.common.errors import Conflict, Unauthenticated
from altnet.common.keys import PrivateKey
from altnet.registry.answers import answer_mesh_keys
from integration.registry.running import Relay, RunningRegistry, eventually

pytestmark = [pytest.mark.server]

NKEY, SEED = make_nkey()


def public_key() -> str:
    return PrivateKey.generate().public().base64


def signed(order: MeshKeysOrder, seed: bytes = SEED) -> SignedOrder:
    text = msgspec.json.encode(order).decode()
    return SignedOrder(order=text, signature=base64.b64encode(sign(seed, PURPOSE + text.encode())).decode())


async def order(registry: RunningRegistry, relay: Relay, **wanted: Any) -> int:
    made = MeshKeysOrder(
        network=relay.network, rotation="rot_1", relays=(KeyOrder(relay=relay.id, **{"epoch": 1, **wanted}),)
    )
    taken = await answer_mesh_keys(registry.db, signed(made), keyd=public_of(SEED))
    return taken.change


async def entry_at(registry: RunningRegistry, relay: Relay, change: int) -> RelayEntry:
    """The relay's entry in the first mesh that has the change."""
    found: list[RelayEntry] = []

    async def planned() -> bool:
        data = await fetch(registry.bus, MESH_BUCKET, mesh_snapshot_key(relay.network), timeout=5)
        mesh = unpack_snapshot(data) if data is not None else None
        if mesh is None or mesh.generation < change:
            return False
        found[:] = [one for one in mesh.relays if one.id == relay.id]
        return True

    await eventually(planned)
    return found[0]


async def test_a_next_key_is_beside_the_present_one_until_it_takes_its_place(registry: RunningRegistry) -> None:
    relay, key = await registry.enrol("alpha"), public_key()
    asked = await entry_at(registry, relay, await order(registry, relay, stage=KeyStage.ASKED))
    assert asked.next is not None
    assert (asked.key, asked.next.stage, asked.next.key) == (relay.host.key, KeyStage.ASKED, "")

    await order(registry, relay, stage=KeyStage.READY, key=key, port=51821)
    opened = await entry_at(registry, relay, await order(registry, relay, stage=KeyStage.OPEN))
    assert opened.next is not None
    assert (opened.key, opened.next.key, opened.next.port) == (relay.host.key, key, 51821)

    kept = await entry_at(registry, relay, await order(registry, relay, settle=Settle.KEEP))
    assert (kept.key, kept.epoch, kept.port, kept.next) == (key, 1, 51821, None)


async def test_an_order_that_is_repeated_changes_nothing(registry: RunningRegistry) -> None:
    relay, key = await registry.enrol("alpha"), public_key()
    first = await order(registry, relay, stage=KeyStage.READY, key=key, port=51821)
    assert await order(registry, relay, stage=KeyStage.READY, key=key, port=51821) == first
    kept = await order(registry, relay, settle=Settle.KEEP)
    assert kept > first
    assert await order(registry, relay, settle=Settle.KEEP) == kept


async def test_an_order_of_before_is_refused_and_changes_nothing(registry: RunningRegistry) -> None:
    relay, key = await registry.enrol("alpha"), public_key()
    await order(registry, relay, stage=KeyStage.READY, key=key, port=51821)
    kept = await order(registry, relay, settle=Settle.KEEP)
    with pytest.raises(Conflict, match="beyond epoch 1"):
        await order(registry, relay, stage=KeyStage.BACK)
    with pytest.raises(Conflict, match="already"):
        await order(registry, relay, settle=Settle.DROP)
    assert (await entry_at(registry, relay, kept)).key == key


async def test_a_dropped_key_leaves_the_present_one_and_is_free_again(registry: RunningRegistry) -> None:
    relay, key = await registry.enrol("alpha"), public_key()
    other = await registry.enrol("beta")
    # Planned before it is dropped: planned together they would cancel each other, and no new mesh would come.
    await entry_at(registry, relay, await order(registry, relay, stage=KeyStage.READY, key=key, port=51821))
    with pytest.raises(Conflict, match="key"):
        await order(registry, other, stage=KeyStage.READY, key=key, port=51821)
    dropped = await entry_at(registry, relay, await order(registry, relay, settle=Settle.DROP))
    assert (dropped.key, dropped.epoch, dropped.next) == (relay.host.key, 0, None)
    await order(registry, other, stage=KeyStage.READY, key=key, port=51821)


async def test_an_order_that_keyd_did_not_sign_is_refused(registry: RunningRegistry) -> None:
    relay = await registry.enrol("alpha")
    made = MeshKeysOrder(
        network=relay.network,
        rotation="rot_1",
        relays=(KeyOrder(relay=relay.id, epoch=1, stage=KeyStage.READY, key=public_key(), port=1),),
    )
    forged = signed(made, make_nkey()[1])
    honest = signed(made)
    altered = msgspec.structs.replace(honest, order=honest.order.replace('"port":1', '"port":2'))
    for query in (forged, altered):
        with pytest.raises(Unauthenticated, match="did not sign"):
            await answer_mesh_keys(registry.db, query, keyd=NKEY)
    async with registry.db.raw() as connection:
        assert await connection.fetchval("SELECT count(*) FROM registry.relays WHERE next_epoch IS NOT NULL") == 0


async def test_the_key_of_before_a_rotation_does_not_come_back_with_a_renewal(registry: RunningRegistry) -> None:
    relay, key = await registry.enrol("alpha"), public_key()
    await order(registry, relay, stage=KeyStage.READY, key=key, port=51821)
    kept = await order(registry, relay, settle=Settle.KEEP)
    body = json.dumps(
        {
            "nkey": relay.host.nkey,
            "key": relay.host.key,
            "access_key": relay.host.access_key,
            "endpoints": ["192.0.2.9:51820"],
            "timestamp": datetime.now(UTC).isoformat(),
        }
    ).encode()
    headers = relay.host.signed(body, b"altnet-credentials-v1\n")
    answer = await registry.anonymous.post(f"/v1/relays/{relay.id}/credentials", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert (await entry_at(registry, relay, kept)).key == key
