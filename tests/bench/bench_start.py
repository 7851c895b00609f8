"""How long until a control plane is ready, and what it and one agent take of memory.

Real processes, as an operator starts them. Memory is Pss: pages that several processes share count once in all.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from support.control_plane import ControlPlane, cpu_seconds, environment, free_port, pss

from bench.report import Measure

STARTS: Final = 3
AGENT_PEERS: Final = 3
"""Other relays that the agent has links to."""
CALM: Final = 3.0
"""Seconds until what a start leaves behind is over."""
BARE: Final = "import asyncio; print('ready', flush=True); asyncio.run(asyncio.sleep(3600))"


async def run(say: Callable[[str], None], *, scale: int = 1000) -> dict[str, Measure]:
    found: dict[str, Measure] = {}
    with tempfile.TemporaryDirectory(prefix="altnet-bench-") as folder:
        root = Path(folder)
        root.chmod(0o711)
        first = [await _start(root / f"first-{number}") for number in range(STARTS)]
        say(f"   first starts: {', '.join(f'{one:.2f}' for one in first)} s")
        warm = [await _start(root / "first-0") for _ in range(STARTS)]
        say(f"   starts on data that are there: {', '.join(f'{one:.2f}' for one in warm)} s")
        bare = _bare_start()
        found["ready"] = Measure(
            value=statistics.median(first), unit="s", note=f"`altnet up` on an empty folder, worst {max(first):.2f} s"
        )
        found["ready_warm"] = Measure(
            value=statistics.median(warm), unit="s", ratio=statistics.median(warm) / found["ready"].value,
            against="the first start", note=f"a bare Python takes {bare:.2f} s",
        )  # fmt: skip
        async with ControlPlane(root / "first-0") as control:
            await asyncio.sleep(CALM)
            memory = control.memory()
            shares = ", ".join(f"{name} {size:.0f}" for name, size in memory.items())
            say(f"   memory of the control plane: {shares} MiB")
            with _bare() as python:
                alone = pss(python)
            found["control_plane_rss"] = Measure(
                value=sum(memory.values()), unit="MiB", ratio=sum(memory.values()) / alone,
                against="a bare `python3 -c 'import asyncio'` process", note=shares,
            )  # fmt: skip
            size, cpu = await _agent(control, root, say)
            found["agent_rss"] = Measure(
                value=size, unit="MiB", ratio=size / alone,
                against="a bare `python3 -c 'import asyncio'` process",
                note=f"with {AGENT_PEERS} neighbours, {cpu * 100:.1f} % of a processor at rest",
            )  # fmt: skip
    return found


async def _start(data: Path) -> float:
    async with ControlPlane(data) as control:
        return control.seconds


async def _agent(control: ControlPlane, root: Path, say: Callable[[str], None]) -> tuple[float, float]:
    """MiB and share of a processor of one real agent among some; its kernel is in memory, its disk is a disk."""
    async with control.client() as operator:
        token = await operator.join_token(uses=AGENT_PEERS + 1)
        with contextlib.ExitStack() as stack:
            agents = [stack.enter_context(_agent_process(control, root, number, token)) for number in range(4)]
            deadline = time.monotonic() + 60
            while True:
                mesh = (await operator.http.get("/v1/mesh")).json()["items"]
                if len(mesh) == len(agents) and all(one["in_sync"] for one in mesh):
                    break
                assert time.monotonic() < deadline, mesh
                await asyncio.sleep(0.2)
            await asyncio.sleep(CALM)
            before = cpu_seconds(agents[0])
            await asyncio.sleep(10)
            cpu = (cpu_seconds(agents[0]) - before) / 10
            sizes = [pss(agent) for agent in agents]
            say(f"   memory of agents: {', '.join(f'{size:.1f}' for size in sizes)} MiB")
            return statistics.median(sizes), cpu


@contextlib.contextmanager
def _agent_process(control: ControlPlane, root: Path, number: int, token: str) -> Iterator[int]:
    state, secret = root / f"agent-{number}", root / f"token-{number}"
    secret.write_text(token)
    secret.chmod(0o600)
    env = environment(
        ALTNET_AGENT_REGISTRY_URL=control.url,
        ALTNET_AGENT_STATE_DIR=str(state),
        ALTNET_AGENT_JOIN_TOKEN_FILE=str(secret),
        ALTNET_AGENT_NAME=f"agent-{number}",
        ALTNET_AGENT_BACKEND="memory",
        ALTNET_AGENT_ENDPOINTS=f"192.0.2.{number + 1}:51820",
        ALTNET_AGENT_PROBE_PORT=str(free_port()),
    )
    with (root / f"agent-{number}.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "altnet.relay_agent", "run"], env=env, stdout=log, stderr=log)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(20)


@contextlib.contextmanager
def _bare() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", BARE], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _bare_start() -> float:
    begin = time.monotonic()
    with _bare():
        return time.monotonic() - begin
