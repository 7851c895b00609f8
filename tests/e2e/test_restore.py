"""The restore drill: back up, lose everything, restore, and have relays that had seen later changes follow again."""

from __future__ import annotations

import asyncio
import subprocess
import time
from pathlib import Path

import pytest
from altnet.common.keys import PrivateKey
from support.control_plane import COMMAND, ControlPlane, environment
from support.swarm import Swarm
from support.truth import read_truth

RELAYS = 5
BACK = 30.0
"""Seconds after the start of the restored control plane in which all must be equal."""


def altnet(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=120, env=environment(), check=False
    )


@pytest.mark.e2e
@pytest.mark.timeout(180)
async def test_after_backup_loss_and_restore_all_relays_hold_what_the_backup_says(
    control: ControlPlane, root: Path
) -> None:
    backup = root / "backup.tar"
    async with Swarm(control, size=RELAYS, workers=1, log=root / "swarm") as swarm:
        await swarm.enrol()
        await swarm.start()
        await swarm.wait_settled()
        async with control.client() as operator:
            kept = await operator.send("POST", "/v1/clients", new_client("kept", swarm))
            assert (await operator.applied(kept.number))["complete"]
            before = await read_truth(control)

            made = await asyncio.to_thread(altnet, "admin", "backup", str(backup), "--data-dir", str(control.data))
            assert made.returncode == 0, made.stderr
            assert oct(backup.stat().st_mode & 0o777) == "0o600"

            later = await operator.send("POST", "/v1/clients", new_client("later", swarm))
            assert (await operator.applied(later.number))["complete"]
            relay = swarm.relays[swarm.names[0]]
            moved = await operator.patch(f"/v1/relays/{relay}", {"endpoints": ["203.0.113.9:51820"]})
            assert (await operator.applied(moved.number))["complete"]

        await control.lose()
        restored = await asyncio.to_thread(altnet, "admin", "restore", str(backup), "--data-dir", str(control.data))
        assert restored.returncode == 0, restored.stderr
        again = await asyncio.to_thread(altnet, "admin", "restore", str(backup), "--data-dir", str(control.data))
        assert (again.returncode, "is not empty" in again.stderr) == (6, True)
        await control.start()

        deadline = time.monotonic() + BACK
        while differing := (await read_truth(control)).differing(await swarm.digests()):
            assert time.monotonic() < deadline, (differing, control.log())
            await asyncio.sleep(0.2)
        after = await read_truth(control)
        assert (after.mesh, after.document) == (before.mesh, before.document)
        assert after.newest > moved.number

        async with control.client() as operator:
            assert [one["name"] for one in await operator.all_of("/v1/clients")] == ["kept"]
            fresh = await operator.send("POST", "/v1/clients", new_client("fresh", swarm))
            assert (await operator.applied(fresh.number))["complete"]


def new_client(name: str, swarm: Swarm) -> dict[str, str]:
    return {"name": name, "key": PrivateKey.generate().public().base64, "relay": swarm.relays[swarm.names[0]]}
