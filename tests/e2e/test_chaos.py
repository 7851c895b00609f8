"""Everything dies at random while relays follow and operators write; in the end nothing is lost.

`ALTNET_CHAOS_SECONDS` and `ALTNET_CHAOS_AGENTS` make it longer, `ALTNET_CHAOS_SEED` another one; `make bench
ONLY=chaos` runs the same for ten minutes with 1,000 agents.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.chaos import storm
from support.control_plane import ControlPlane
from support.swarm import Swarm

SECONDS = float(os.environ.get("ALTNET_CHAOS_SECONDS", "20"))
AGENTS = int(os.environ.get("ALTNET_CHAOS_AGENTS", "30"))
SEED = int(os.environ.get("ALTNET_CHAOS_SEED", "1"))
REST = 45.0
"""Seconds after the last blow in which all must be equal: an agent's longest backoff and a resync fit in."""


@pytest.mark.e2e
@pytest.mark.timeout(SECONDS + 200)
async def test_no_accepted_write_is_lost_and_all_relays_end_equal_to_postgres(
    control: ControlPlane, root: Path
) -> None:
    async with Swarm(control, size=AGENTS, workers=1, log=root / "swarm") as swarm:
        await swarm.enrol(at_once=4)
        await swarm.start()
        await swarm.wait_settled(timeout=60)
        verdict = await storm(control, swarm, seconds=SECONDS, seed=SEED, rest=REST)
    assert verdict.problems() == [], f"seed {SEED}, {verdict.history.blows}: {control.log()}"
    assert verdict.equal == AGENTS
    assert verdict.accepted > 0
