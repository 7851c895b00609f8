"""The OpenAPI documents of every service, and the merged one, as files.

Services are opened on settings that lead nowhere: their applications are there all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from altnet.common.bus.connect import BusSettings
from altnet.common.clock import SystemClock
from altnet.common.db.settings import DatabaseSettings
from altnet.common.http.openapi import dump
from altnet.common.http.settings import HttpSettings
from altnet.host.gateway import Gateway
from altnet.host.hosting import SERVICES, Places, load_service, open_services
from altnet.host.secrets import SecretsDir
from fastapi import FastAPI


async def write_openapi(directory: Path) -> list[Path]:
    """Write `<service>.json` and `altnet.json` into `directory`; returns their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for name, document in (await openapi_documents()).items():
        path = directory / f"{name}.json"
        path.write_text(dump(document))
        written.append(path)
    return written


async def openapi_documents() -> dict[str, dict[str, object]]:
    """Every service's document by name, and `altnet`, the merged one."""
    with tempfile.TemporaryDirectory() as folder:
        async with opened_nowhere(Path(folder)) as apps:
            return {name: app.openapi() for name, app in apps.items()} | {"altnet": Gateway(apps).openapi()}


@contextlib.asynccontextmanager
async def opened_nowhere(folder: Path) -> AsyncIterator[dict[str, FastAPI]]:
    """Every service's application, with secrets in `folder` and neither Postgres nor NATS."""
    services = [load_service(name) for name in SERVICES]
    clock = SystemClock()
    secrets = SecretsDir(folder)
    secrets.create(schemas=[service.schema for service in services], clock=clock)
    async with open_services(
        services,
        places=Places(
            database=DatabaseSettings(host=str(folder), user="nobody"),
            bus=BusSettings(servers=("nats://127.0.0.1:1",)),
        ),
        secrets=secrets,
        clock=clock,
        http=HttpSettings(),
        env={},
    ) as hosted:
        yield {item.service.name: item.parts.app for item in hosted}


def main() -> None:
    """`python -m altnet.host.admin.documents [FOLDER]`: not by `altnet`, whose client is made from these."""
    for path in asyncio.run(write_openapi(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/openapi"))):
        print(path)


if __name__ == "__main__":
    main()
