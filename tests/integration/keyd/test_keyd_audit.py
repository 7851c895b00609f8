"""Every write of keyd's API is an event with its actor, and with what was before and after where there is such."""

from __future__ import annotations

import pytest
from integration.keyd.running import OWNER, RunningKeyd, enrol_agent, meet
from integration.registry.running import RunningRegistry, eventually
from support.audit import Audit, Told
from support.locksmith import Locksmith, entry_body, statements_body

pytestmark = [pytest.mark.server]


async def test_every_write_of_keyds_api_tells_who_did_it(registry: RunningRegistry, keyd: RunningKeyd) -> None:
    audit = Audit(keyd.app, keyd.api, keyd.db, OWNER)
    write = audit.write
    alpha, beta = await enrol_agent(registry, "alpha"), await enrol_agent(registry, "beta")
    lost = await enrol_agent(registry, "lost", keep_token=False)
    for agent in (alpha, beta, lost):
        await meet(agent)
    for agent in (alpha, beta):
        await keyd.until(agent.id, "active")
    pending = await keyd.until(lost.id, "pending")
    network = alpha.relay.network

    approval = {"fingerprint": pending["fingerprint"]}
    await write("approve_identity", Told.CHANGED, identity=lost.id, body=approval)
    await write("rotate_keyd_key", Told.HAPPENED, body={"use": "static"})
    await write("set_rotation_policy", Told.MADE, network=network, body={"max_age": 1e6, "plan": {}})
    await write("set_rotation_policy", Told.CHANGED, network=network, body={"max_age": 2e6, "plan": {}})
    rotation = (await write("start_rotation", Told.HAPPENED, body={"network": network}))["id"]
    await write("pause_rotation", Told.HAPPENED, rotation=rotation)
    await write("resume_rotation", Told.HAPPENED, rotation=rotation)
    await write("roll_back_rotation", Told.HAPPENED, rotation=rotation)
    await _over(keyd, rotation)
    await write("start_all_rotations", Told.HAPPENED, body={"network": network})

    smith = Locksmith(network)
    identity = alpha.state.identity().signing.public().base64
    stated = smith.relay(alpha.id, slot=alpha.relay.answer["relay"]["slot"], identity=identity)
    await write("add_lock_statements", Told.HAPPENED, body=statements_body(stated))
    await write("add_lock_entry", Told.HAPPENED, body={**entry_body(smith.init()), "force": True})

    assert audit.done == audit.writes()
    assert audit.tried == audit.can_be_tried() == audit.writes() - {"rotate_keyd_key"}


async def _over(keyd: RunningKeyd, rotation: str) -> None:
    async def over() -> bool:
        return (await keyd.api.get(f"/v1/rotations/{rotation}")).json()["ended_at"] is not None

    await eventually(over)
