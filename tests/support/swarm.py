"""A swarm of simulated relays, spread over worker processes and driven over pipes (`support.swarm_worker`).

Each is a real agent with its own connection to the bus. Clocks are `time.monotonic`, which all processes of a machine
share, so that what an agent says and when a request was sent can be compared.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from support.control_plane import ROOT, ControlPlane, environment

LINE_LIMIT = 2**26
POLL = 0.1
"""Seconds between two looks at agents."""


class Swarm:
    """`size` relays named `<prefix>-0000` … on `workers` processes."""

    def __init__(
        self,
        control: ControlPlane,
        *,
        size: int,
        workers: int = 2,
        log: Path | None = None,
        prefix: str = "sim",
    ) -> None:
        self.control = control
        self.size = size
        self.names = [f"{prefix}-{number:04d}" for number in range(size)]
        self.relays: dict[str, str] = {}
        """Name to relay id, once enrolled."""
        self.slots: dict[str, int] = {}
        self._workers = [_Worker(number, log) for number in range(workers)]

    async def __aenter__(self) -> Swarm:
        for worker in self._workers:
            await worker.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for worker in self._workers:
            await worker.stop()

    @property
    def pids(self) -> list[int]:
        return [worker.pid for worker in self._workers]

    async def enrol(
        self, *, at_once: int = 16, names: Sequence[str] | None = None, talk: bool = False
    ) -> tuple[float, list[float]]:
        """Enrol everybody over HTTP; returns seconds from the first request to the last answer, and each one's.

        `talk`: they prove themselves to keyd by their token, and their handshakes succeed.
        """
        chosen = list(names or self.names)
        async with self.control.client() as operator:
            token = await operator.join_token(uses=len(chosen))
        share = max(1, at_once // len(self._workers))
        answers = await asyncio.gather(
            *(
                worker.call("enrol", api=self.control.url, token=token, names=part, at_once=share, talk=talk)
                for worker, part in zip(self._workers, self._parts(chosen), strict=True)
                if part
            )
        )
        for answer in answers:
            self.relays |= answer["relays"]
            self.slots |= answer["slots"]
        seconds = max(one["ended"] for one in answers) - min(one["began"] for one in answers)
        return seconds, [delay for one in answers for delay in one["delays"]]

    async def start(self, names: Sequence[str] | None = None) -> None:
        """Start agents that do not run."""
        await self._each("start", names)

    async def crash(self, names: Sequence[str], *, reboot: bool = False) -> None:
        await self._each("crash", names, reboot=reboot)

    async def seen(self, generation: int, names: Sequence[str] | None = None) -> dict[str, float | None]:
        """By relay: when it first acknowledged this generation or a later one; None if it has not."""
        return _merged(await self._each("seen", names, generation=generation))

    async def wait_seen(
        self, generation: int, names: Sequence[str] | None = None, *, timeout: float = 30.0
    ) -> dict[str, float | None]:
        """The same, once everybody has, or the time is up."""
        deadline = time.monotonic() + timeout
        while True:
            found = await self.seen(generation, names)
            if all(at is not None for at in found.values()) or time.monotonic() > deadline:
                return found
            await asyncio.sleep(POLL)

    async def last_said(self) -> dict[str, float | None]:
        return _merged(await self._call("last"))

    async def digests(self) -> dict[str, dict[str, Any]]:
        return _merged(await self._call("digests"))

    async def wait_settled(self, *, timeout: float = 60.0) -> float:
        """Until every agent is connected and has done all it wants; returns the seconds it took. From then on the
        collector of garbage passes by what they hold: five hundred hosts in one heap, which no real agent has."""
        began = time.monotonic()
        while True:
            found = await self.digests()
            behind = [
                relay
                for relay, one in found.items()
                if not (one["running"] and one["connected"] and one["settled"] and one["mesh"][0] > 0)
            ]
            if not behind:
                took = time.monotonic() - began
                await self._call("settle_heap")
                return took
            assert time.monotonic() - began < timeout, f"{len(behind)} agents not settled: {found[behind[0]]}"
            await asyncio.sleep(POLL)

    async def beat(self, *, rate: float, seconds: float) -> tuple[int, float]:
        """Send `rate` heartbeats a second beside the agents' own; returns how many, and the rate reached."""
        share = rate / len(self._workers)
        answers = await self._call("beat", rate=share, seconds=seconds)
        sent = sum(int(one["sent"]) for one in answers)
        return sent, sent / max(one["seconds"] for one in answers)

    async def secrets(self) -> dict[str, dict[str, str]]:
        """By name: every secret that a host holds now."""
        return _merged(await self._call("secrets"))

    async def keys(self) -> dict[str, dict[str, Any]]:
        """By relay: the public keys that its disk has, and its WireGuard devices with the keys of their peers."""
        return _merged(await self._call("keys"))

    async def removed(self, key: str) -> dict[str, float | None]:
        """By relay that has or had this peer: when it was removed; None where it is still there."""
        return _merged(await self._call("removed", key=key))

    async def listen(self, subject: str) -> None:
        """Have every agent's connection listen to a subject too."""
        await self._call("listen", subject=subject)

    async def heard(self) -> dict[str, float | None]:
        """By relay: when it last heard something there."""
        return _merged(await self._call("heard"))

    async def cost(self) -> dict[str, float]:
        """CPU seconds, resident MiB and acknowledgements of all workers so far."""
        answers = await self._call("cost")
        return {name: sum(one[name] for one in answers) for name in answers[0]}

    async def faults(self) -> list[str]:
        """Agents that ended by themselves; empty if all is well."""
        return [fault for one in await self._call("faults") for fault in one]

    async def _call(self, verb: str, **order: Any) -> list[Any]:
        return await asyncio.gather(*(worker.call(verb, **order) for worker in self._workers))

    async def _each(self, verb: str, names: Sequence[str] | None, **order: Any) -> list[Any]:
        parts = [None] * len(self._workers) if names is None else self._parts(names)
        calls = zip(self._workers, parts, strict=True)
        return await asyncio.gather(*(worker.call(verb, names=part, **order) for worker, part in calls))

    def _parts(self, names: Sequence[str]) -> list[list[str]]:
        count = len(self._workers)
        parts: list[list[str]] = [[] for _ in range(count)]
        for name in names:
            parts[int(name.rpartition("-")[2]) % count].append(name)
        return parts


class _Worker:
    def __init__(self, number: int, log: Path | None) -> None:
        self._number = number
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        stderr = None if self._log is None else self._log.with_suffix(f".{self._number}.log").open("wb")
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "support.swarm_worker"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            env=environment(PYTHONPATH=str(ROOT / "tests")),
            limit=LINE_LIMIT,
        )
        if stderr is not None:
            stderr.close()

    async def call(self, verb: str, **order: Any) -> Any:
        """One command; answers come in order. Raises `RuntimeError` with what went wrong."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        async with self._turn:
            process.stdin.write(json.dumps({"do": verb, **order}).encode() + b"\n")
            await process.stdin.drain()
            line = await process.stdout.readline()
        if not line:
            raise RuntimeError(f"swarm worker {self._number} is gone")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"{verb}: {answer['error']}")
        return answer["ok"]

    async def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(20):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        process._transport.close()  # type: ignore[attr-defined]  # else its pipes warn when they are collected


def _merged(parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {key: value for part in parts for key, value in part.items()}
