"""`altnet serve NAME` as a process of its own, so that it can be killed: on the test's own Postgres and NATS."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from altnet.common.bus.connect import BusSettings
from altnet.common.bus.jwt import BusIdentity
from altnet.common.clock import SystemClock
from altnet.common.db.settings import DatabaseSettings
from altnet.common.files import write_private
from altnet.host.secrets import SecretsDir


class ServiceProcess:
    """Started with the context; `kill` is SIGKILL, `start` may follow."""

    def __init__(self, service: str, folder: Path, env: dict[str, str]) -> None:
        self._service = service
        self._folder = folder
        self._env = env
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        assert self._process is None
        log = (self._folder / "service.log").open("ab")
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "altnet.host.cli", "serve", self._service, "--listen", str(self.socket)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={name: value for name, value in os.environ.items() if not name.startswith("ALTNET_")} | self._env,
            cwd="/",
            start_new_session=True,
        )
        log.close()

    async def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            await process.wait()

    @property
    def socket(self) -> Path:
        """Where it answers HTTP."""
        return self._folder / "api.sock"

    @property
    def kek(self) -> str:
        """The key-encryption key, as its file has it."""
        return (self._folder / "secrets" / "keyd" / "kek").read_text().strip()

    def log(self) -> str:
        return (self._folder / "service.log").read_text(errors="replace")


@contextlib.asynccontextmanager
async def service_process(
    service: str, database: DatabaseSettings, bus: BusSettings, identity: BusIdentity, **more: str
) -> AsyncIterator[ServiceProcess]:
    """`more`: of its environment."""
    with tempfile.TemporaryDirectory(prefix="altnet-serve-") as name:
        folder = Path(name)
        secrets = SecretsDir(folder / "secrets")
        secrets.root.mkdir(mode=0o700)
        identity_copy = BusIdentity(identity._saved, clock=SystemClock())
        identity_copy.save(secrets.bus)
        secrets.create(schemas=[service], clock=SystemClock())
        write_private(secrets.root / "database" / service, database.password.reveal().encode())
        env = {
            "ALTNET_SECRETS": str(secrets.root),
            "ALTNET_DATABASE__HOST": database.host,
            "ALTNET_DATABASE__PORT": str(database.port),
            "ALTNET_DATABASE__NAME": database.name,
            "ALTNET_DATABASE__TLS": "disable",
            "ALTNET_BUS__SERVERS": ",".join(bus.servers),
            "ALTNET_BUS_ADVERTISE": ",".join(bus.servers),
            **more,
        }
        process = ServiceProcess(service, folder, env)
        await process.start()
        try:
            yield process
        finally:
            await process.kill()


def keyd_process(
    database: DatabaseSettings, bus: BusSettings, identity: BusIdentity
) -> contextlib.AbstractAsyncContextManager[ServiceProcess]:
    return service_process("keyd", database, bus, identity, ALTNET_KEYD_KEYS__RELOAD="0.2")
