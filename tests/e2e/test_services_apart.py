"""The control plane as docker-compose.yml starts it: secrets, nats-server, Postgres, migrations, one service apart."""

from __future__ import annotations

import asyncio
import os
import re
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import cast

import httpx
import pytest
from altnet.common.bus import desired
from altnet.common.bus.connect import Bus, BusSettings
from altnet.common.bus.credentials import Credentials
from altnet.common.bus.subjects import RELAY_BUCKET
from altnet.common.contracts.desired import unpack_relay_document
from altnet.common.embedded.postgres import SUPERUSER, PostgresServer
from altnet.common.errors import Conflict
from altnet.common.files import write_private
from altnet.host.cli import app, exit_code
from integration.registry.running import Host, eventually
from support.control_plane import COMMAND, environment, free_port
from typer.testing import CliRunner, Result

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def altnet(*arguments: str, **env: str) -> Result:
    """One command, as a container would run it; in this process, which has loaded the services already."""
    others = {name: None for name in os.environ if name.startswith("ALTNET_")}
    return CliRunner().invoke(app, arguments, env={**others, **env})


@contextmanager
def running(*command: str, log: Path, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """A lasting process, ended by SIGTERM as a container is."""
    with log.open("ab") as said:
        process = subprocess.Popen(command, env=environment(**env), stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        yield process
    finally:
        process.terminate()
        assert process.wait(30) in (0, 1), log.read_text()[-3000:]  # nats-server says 1 to a signal


@asynccontextmanager
async def postgres(root: Path) -> AsyncIterator[tuple[int, str]]:
    """A server as the image starts it: its port on the loopback, and its superuser's password."""
    port = free_port()
    server = PostgresServer(root / "postgres", port=port, fast=True)
    async with server:
        yield port, server.password_file.read_text().strip()


def with_own_ports(config: Path, *, bus: int, monitor: int) -> None:
    """Containers have networks of their own, and here is one for all: other ports, on the loopback alone."""
    text, changed = re.subn(r"0\.0\.0\.0:4222", f"127.0.0.1:{bus}", config.read_text())
    assert changed == 1, "the address of the compose file"
    text, changed = re.subn(r"127\.0\.0\.1:8222", f"127.0.0.1:{monitor}", text)
    assert changed == 1, "where the health check looks"
    config.write_text(text)


async def test_init_migrate_and_serve_make_a_control_plane_that_lets_a_host_in(root: Path) -> None:
    secrets, bus_port, api_port, monitor = root / "secrets", free_port(), free_port(), free_port()
    made = await asyncio.to_thread(altnet, "admin", "init", str(secrets), "--bus-store", str(root / "nats"))
    assert made.exit_code == 0, made.output
    kept = {path: path.read_bytes() for path in secrets.rglob("*") if path.is_file()}
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}
    with_own_ports(secrets / "nats.conf", bus=bus_port, monitor=monitor)

    async with postgres(root) as (port, password):
        write_private(secrets / "database" / "superuser", password.encode())
        url, token = f"http://127.0.0.1:{api_port}", root / "owner.token"
        env = {
            "ALTNET_SECRETS": str(secrets),
            "ALTNET_DATABASE__HOST": "127.0.0.1",
            "ALTNET_DATABASE__PORT": str(port),
            "ALTNET_DATABASE__SUPERUSER": SUPERUSER,
            "ALTNET_BUS__SERVERS": f"nats://127.0.0.1:{bus_port}",
            "ALTNET_BUS_ADVERTISE": f"nats://127.0.0.1:{bus_port}",
        }
        binary = Path(sys.executable).with_name("nats-server")
        with running(str(binary), "--config", str(secrets / "nats.conf"), log=root / "nats.log"):
            migrated = await asyncio.to_thread(altnet, "admin", "migrate", **env)
            assert migrated.exit_code == 0, migrated.output
            serve = (*COMMAND, "serve", "registry", "--listen", f"127.0.0.1:{api_port}")
            with running(*serve, log=root / "registry.log", **env):
                async with httpx.AsyncClient(base_url=url, trust_env=False) as api:

                    async def ready() -> bool:
                        try:
                            return (await api.get("/readyz")).status_code == 200
                        except httpx.HTTPError:
                            return False

                    await eventually(ready, timeout=30)
                    owner = await asyncio.to_thread(altnet, "admin", "first-owner", "--out", str(token), **env)
                    assert owner.exit_code == 0, owner.output
                    assert stat.S_IMODE(token.stat().st_mode) == 0o600
                    assert token.read_text().strip() not in owner.output
                    again = await asyncio.to_thread(altnet, "admin", "first-owner", **env)
                    assert (again.stdout, isinstance(again.exception, Conflict)) == ("", True)
                    assert exit_code(cast(Conflict, again.exception)) == 6
                    bearer = {"Authorization": f"Bearer {token.read_text().strip()}"}
                    join = await api.post("/v1/tokens/join", json={"kind": "relay"}, headers=bearer)
                    assert join.status_code == 201, join.text
                    host = Host("berlin-1")
                    enrolled = await host.ask(api, join.json()["secret"])
                    assert enrolled.status_code == 201, enrolled.text

                answer = enrolled.json()
                assert answer["bus"]["servers"] == [env["ALTNET_BUS_ADVERTISE"]]
                bus = BusSettings(servers=tuple(answer["bus"]["servers"]))
                relay = answer["relay"]["id"]
                async with Bus(bus, Credentials(answer["bus"]["jwt"], host.seed), name=relay) as connected:
                    await connected.wait_connected(20)

                    async def planned() -> bool:
                        data = await desired.fetch(connected, RELAY_BUCKET, relay, timeout=10)
                        return data is not None and unpack_relay_document(data).generation >= answer["change"]

                    await eventually(planned)
