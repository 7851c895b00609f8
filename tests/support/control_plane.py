"""A real `altnet up` as a process of its own, with the means to hurt it: for e2e tests and benches.

Everything is as in production but the rate limit of enrolment, since all simulated hosts come from one address, and
the ports, which are free ones. Only processes whose pids lie in the data directory, or that were started here, are
ever signalled.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from altnet.common.embedded.postgres import SUPERUSER

ROOT = Path(__file__).parents[2]
MANY_HOSTS_FROM_ONE_ADDRESS = {
    "ALTNET_REGISTRY_ENROLMENT__ATTEMPTS_AT_ONCE": "1000000",
    "ALTNET_REGISTRY_ENROLMENT__ATTEMPTS_PER_SECOND": "1000000",
}
COMMAND = (sys.executable, "-m", "altnet.host.cli")
HOLD = 0.01
"""Seconds between two looks whether a process that is held down has come back."""


def free_port() -> int:
    """A TCP port of the loopback that nobody uses now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def environment(**more: str) -> dict[str, str]:
    """The caller's environment without what would configure Altnet."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ALTNET_")} | more


@dataclass(frozen=True, kw_only=True)
class Change:
    """An accepted change: its number, and monotonic seconds before and after the request."""

    number: int
    asked: float
    answered: float


class ControlPlane:
    """`async with ControlPlane(folder)` is ready. `start`, `stop` and `kill` may be repeated on the same data."""

    def __init__(
        self,
        data: Path,
        *,
        env: Mapping[str, str] | None = None,
        user: int | None = None,
        home: Path | None = None,
        python: str = sys.executable,
    ) -> None:
        self.data = data
        self.listen = free_port()
        self.bus_port = free_port()
        self.log_file = data.with_name(data.name + ".log")
        self.facts: dict[str, Any] = {}
        self.seconds = 0.0
        """From the start of the process to its word that it is ready."""
        self._env = {**MANY_HOSTS_FROM_ONE_ADDRESS, **(env or {})}
        self._user = user
        self._home = home
        self._command = (python, *COMMAND[1:])
        self._process: subprocess.Popen[bytes] | None = None

    # -- its life ------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> ControlPlane:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self, *, timeout: float = 60.0) -> None:
        """Start it and wait until it says that it is ready. Raises `AssertionError` with the end of its log."""
        self.spawn()
        await self.wait_ready(timeout=timeout)

    def spawn(self) -> None:
        """Start it without waiting."""
        assert not self.running
        options: dict[str, Any] = {}
        if self._user is not None:
            options = {"user": self._user, "group": self._user, "extra_groups": []}
        own = {"HOME": str(self._home)} if self._home is not None else {}
        with open(self.log_file, "ab") as log:
            self._process = subprocess.Popen(
                [
                    *(*self._command, "up", "--json", "--data-dir", str(self.data)),
                    *("--listen", f"127.0.0.1:{self.listen}", "--bus-listen", f"127.0.0.1:{self.bus_port}"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd="/",
                env=environment(**self._env, **own),
                start_new_session=True,
                **options,
            )
        self._spawned = time.monotonic()

    async def wait_ready(self, *, timeout: float = 60.0) -> None:
        """Wait for the line that says it is ready."""
        process = self._process
        assert process is not None
        assert process.stdout is not None
        stdout = process.stdout
        try:
            async with asyncio.timeout(timeout):
                line = await asyncio.to_thread(stdout.readline)
        except TimeoutError:
            await self.kill()
            raise AssertionError(f"not ready after {timeout} s: {self.log()}") from None
        if not line:
            raise AssertionError(f"it ended with {process.wait()}: {self.log()}")
        self.seconds = time.monotonic() - self._spawned
        self.facts = json.loads(line)

    async def stop(self) -> None:
        """SIGTERM, and wait until it is gone."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """`kill -9` of `altnet up` itself; its children notice by themselves."""
        await self._end(signal.SIGKILL)

    async def lose(self) -> None:
        """As if its disk were gone: everything is killed, and the data directory removed."""
        await self.kill()
        while any([self.kill_nats(), self.kill_postgres()]):  # noqa: ASYNC110 - other processes send no event
            await asyncio.sleep(0.05)
        while self.data.exists():  # backends that outlived their postmaster for a moment still write
            await asyncio.to_thread(shutil.rmtree, self.data, ignore_errors=True)

    async def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            await asyncio.to_thread(process.wait, 30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"it did not end within 30 s: {self.log()}") from None
        finally:
            if process.stdout is not None:
                process.stdout.close()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def log(self, size: int = 3000) -> str:
        """The end of what it said."""
        return self.log_file.read_text(errors="replace")[-size:] if self.log_file.exists() else ""

    # -- its parts -----------------------------------------------------------------------------------------------

    def nats_pid(self) -> int | None:
        return _pid_in(self.data / "nats" / "nats-server.pid", "nats-server")

    def postgres_pid(self) -> int | None:
        """The postmaster's."""
        return _pid_in(self.data / "postgres" / "postmaster.pid", "postgres")

    def kill_nats(self) -> bool:
        """`kill -9`; False where none runs at this moment."""
        return _kill(self.nats_pid())

    def kill_postgres(self) -> bool:
        """`kill -9` of the postmaster; its backends end when they notice."""
        return _kill(self.postgres_pid())

    def delete_jetstream(self) -> None:
        """Remove everything that JetStream stored, under the running server."""
        shutil.rmtree(self.data / "nats" / "jetstream", ignore_errors=True)

    def processes(self) -> Iterator[tuple[str, int]]:
        """(name, pid) of `altnet up` and all below it."""
        parents: dict[int, list[int]] = {}
        names: dict[int, str] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    text = (entry / "stat").read_text()
                    names[int(entry.name)] = text[text.index("(") + 1 : text.rindex(")")]
                    parents.setdefault(int(text.rpartition(")")[2].split()[1]), []).append(int(entry.name))
        waiting = [self.pid]
        while waiting:
            pid = waiting.pop()
            yield names.get(pid, "?"), pid
            waiting += parents.get(pid, [])

    def memory(self) -> dict[str, float]:
        """MiB by program, shared pages counted once (Pss)."""
        found: dict[str, float] = {}
        for name, pid in self.processes():
            found[name] = found.get(name, 0.0) + pss(pid)
        return found

    def cpu(self) -> dict[str, float]:
        """Seconds of CPU by program, of processes that live."""
        found: dict[str, float] = {}
        for name, pid in self.processes():
            found[name] = found.get(name, 0.0) + cpu_seconds(pid)
        return found

    # -- speaking with it ----------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listen}"

    @property
    def token(self) -> str:
        """The first owner's."""
        return (self.data / "owner.token").read_text().strip()

    @contextlib.asynccontextmanager
    async def client(self, *, timeout: float = 30.0) -> AsyncIterator[Operator]:
        """The API as the first owner."""
        headers = {"Authorization": f"Bearer {self.token}"}
        async with httpx.AsyncClient(base_url=self.url, headers=headers, timeout=timeout, trust_env=False) as http:
            yield Operator(http)

    async def sql(self) -> asyncpg.Connection:
        """Postgres as its superuser, for looking. Close it."""
        place = self.facts["database"]
        password = (self.data / "postgres.password").read_text().strip()
        return await asyncpg.connect(
            host=place["host"],
            port=place["port"],
            database=place["name"],
            user=SUPERUSER,
            password=password,
            timeout=10,
        )


class Operator:
    """The few calls that tests and benches make."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def join_token(self, *, uses: int) -> str:
        answer = await self.http.post("/v1/tokens/join", json={"kind": "relay", "uses": uses})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["secret"])

    async def send(self, method: str, path: str, body: Mapping[str, Any] | None = None, **headers: str) -> Change:
        """A write; it must be accepted and be a change."""
        asked = time.monotonic()
        answer = await self.http.request(method, path, json=body, headers=headers)
        answered = time.monotonic()
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return Change(number=int(answer.headers["Altnet-Change"]), asked=asked, answered=answered)

    async def patch(self, path: str, body: Mapping[str, Any]) -> Change:
        """A write over whatever version there is now."""
        found = await self.http.get(path)
        assert found.is_success, found.text
        return await self.send("PATCH", path, body, **{"If-Match": found.headers["ETag"]})

    async def applied(self, change: int, *, timeout: float = 30.0) -> dict[str, Any]:
        """Wait until everybody concerned has applied a change; the last answer, complete or not."""
        answer = await self.http.get(
            f"/v1/changes/{change}", params={"wait": "applied", "timeout": timeout}, timeout=timeout + 10
        )
        assert answer.is_success, answer.text
        return dict(answer.json())

    async def all_of(self, path: str) -> list[dict[str, Any]]:
        """Every item of a list."""
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            answer = await self.http.get(path, params={"limit": 500} | ({"cursor": cursor} if cursor else {}))
            assert answer.is_success, answer.text
            found += answer.json()["items"]
            cursor = answer.json().get("next_cursor")
            if not cursor:
                return found


@contextlib.asynccontextmanager
async def held_down(find: Callable[[], int | None]) -> AsyncIterator[None]:
    """Kill the process that `find` names, and again whenever it is started, until the end of the context."""

    async def hold() -> None:
        while True:
            _kill(find())
            await asyncio.sleep(HOLD)

    _kill(find())
    holding = asyncio.create_task(hold())
    try:
        yield
    finally:
        holding.cancel()
        await asyncio.wait([holding])


def pss(pid: int) -> float:
    """MiB that a process takes, its share of shared pages included; 0 where it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def cpu_seconds(pid: int) -> float:
    """CPU time that a process took so far; 0 where it is gone."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _pid_in(file: Path, name: str) -> int | None:
    try:
        pid = int(file.read_text().split("\n", 1)[0])
        comm = Path(f"/proc/{pid}/comm").read_text().strip()
    except (OSError, ValueError):
        return None
    return pid if comm == name else None


def _kill(pid: int | None) -> bool:
    if pid is None:
        return False
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True
