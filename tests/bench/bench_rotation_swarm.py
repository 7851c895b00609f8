"""All mesh keys of `--scale` simulated relays are rotated by one call: what keyd, the registry and agents take for it.

Agents, channels, proofs, orders and documents are real; below the agents are hosts in memory whose handshakes succeed
at once, so what is left out is WireGuard's own round trip. All agents share this machine, where each of them takes in
four new entries of each relay: with a thousand of them that is most of what is measured.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from support.control_plane import ControlPlane, Operator
from support.swarm import Swarm

from bench.report import Measure

PROVEN_WITHIN: Final = 300.0
OVER_WITHIN: Final = 1200.0
WAVE: Final = 128
DRAIN: Final = 1.0
LOOK: Final = 1.0
PLAN: Final[dict[str, Any]] = {
    "canary": 1,
    "wave": WAVE,
    "drain": DRAIN,
    "prepare_timeout": 600,
    "wave_timeout": 600,
    "silent": "roll_back",
}
"""A relay that is slow ends it instead of being left behind: then there is no figure, rather than a wrong one."""


async def run(say: Callable[[str], None], *, scale: int = 1000) -> dict[str, Measure]:
    with tempfile.TemporaryDirectory(prefix="altnet-bench-") as folder:
        root = Path(folder)
        root.chmod(0o711)
        async with ControlPlane(root / "data") as control, Swarm(control, size=scale, log=root / "swarm") as swarm:
            await swarm.enrol(talk=True)
            await swarm.start()
            await swarm.wait_settled(timeout=240)
            async with control.client() as operator:
                began = time.monotonic()
                await _proven(operator, scale)
                say(f"   {scale} agents settled; all proven {time.monotonic() - began:.0f} s later")
                took, done = await _rotated(operator, say)
            faults = await swarm.faults()
            assert not faults, faults
    left = [part for part in done["relays"] if part["left"]]
    assert done["phase"] == "done", {name: done[name] for name in ("phase", "ended", "blamed", "problem")}
    assert not left, left[:3]
    say(f"   rotated in {took:.1f} s")
    note = f"waves of {WAVE} after a canary, {DRAIN:g} s of it draining; handshakes cost nothing here"
    return {f"rotation_{scale}_relays": Measure(value=took, unit="s", note=note)}


async def _proven(operator: Operator, scale: int) -> None:
    async with asyncio.timeout(PROVEN_WITHIN):
        while True:
            if sum(one["state"] == "active" for one in await operator.all_of("/v1/identities")) == scale:
                return
            await asyncio.sleep(1)


async def _rotated(operator: Operator, say: Callable[[str], None]) -> tuple[float, dict[str, Any]]:
    began, stage = time.monotonic(), ""
    answer = await operator.http.post("/v1/rotations", json={"reason": "bench", "plan": PLAN})
    assert answer.status_code == 201, answer.text
    id = answer.json()["id"]
    async with asyncio.timeout(OVER_WITHIN):
        while True:
            answer = await operator.http.get(f"/v1/rotations/{id}")
            if answer.status_code == 503:
                say(f"   {time.monotonic() - began:6.1f} s: {answer.json()['detail']}")
                await asyncio.sleep(LOOK)
                continue
            shown = answer.raise_for_status().json()
            keys = sum(bool(part["stage"] and part["stage"] != "asked") for part in shown["relays"])
            now = f"{shown['phase']}, wave {shown['wave']}, {keys} of {len(shown['relays'])} told"
            if now != stage:
                stage = now
                say(f"   {time.monotonic() - began:6.1f} s: {stage}")
            if shown["ended_at"] is not None:
                return time.monotonic() - began, shown
            await asyncio.sleep(LOOK)
