"""Random kills of everything for minutes, with `--scale` agents: what got lost. The same storm as tests/e2e/test_chaos.

`ALTNET_CHAOS_SECONDS` (600), `ALTNET_CHAOS_SEED` (1).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from support.chaos import storm
from support.control_plane import ControlPlane
from support.swarm import Swarm

from bench.report import Measure

REST: Final = 120.0
"""Seconds to come to rest: a thousand agents that all lost their kernels set up again on few processors."""


async def run(say: Callable[[str], None], *, scale: int = 1000) -> dict[str, Measure]:
    seconds = float(os.environ.get("ALTNET_CHAOS_SECONDS", "600"))
    seed = int(os.environ.get("ALTNET_CHAOS_SEED", "1"))
    with tempfile.TemporaryDirectory(prefix="altnet-bench-") as folder:
        root = Path(folder)
        root.chmod(0o711)
        async with ControlPlane(root / "data") as control, Swarm(control, size=scale, log=root / "swarm") as swarm:
            took, _ = await swarm.enrol(at_once=16)
            await swarm.start()
            await swarm.wait_settled(timeout=240)
            say(f"   {scale} agents enrolled in {took:.0f} s and settled; {seconds:.0f} s of chaos, seed {seed}")
            verdict = await storm(control, swarm, seconds=seconds, seed=seed, rest=REST, say=say)
    for problem in verdict.problems()[:20]:
        say(f"   {problem}")
    blows = ", ".join(f"{count} {kind}" for kind, count in sorted(verdict.history.blows.items()))
    return {
        "chaos_lost_updates": Measure(
            value=len(verdict.lost) + len(verdict.doubles),
            unit="updates",
            note=f"of {verdict.accepted} accepted in {seconds:.0f} s under kills: {blows}",
        ),
        "chaos_equal_digests": Measure(
            value=verdict.equal,
            unit="agents",
            ratio=verdict.equal / scale,
            against="all agents",
            note=f"{verdict.rest:.1f} s after the last kill",
        ),
    }
