"""`altnet serve NAME`: one service on a Postgres and a NATS that somebody else runs.

The same opening as in `altnet up`; only the outside differs. Needs the folder of secrets that `altnet admin init` made.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path

from altnet.common import heap
from altnet.common.clock import Clock
from altnet.common.db.settings import DatabaseSettings
from altnet.common.errors import Invalid
from altnet.common.http import server
from altnet.common.service import Service
from altnet.host.hosting import Places, advertise, open_services, open_sockets, run_hosted
from altnet.host.secrets import SecretsDir
from altnet.host.settings import HostSettings


async def run_serve(
    service: Service,
    *,
    settings: HostSettings,
    clock: Clock,
    env: MutableMapping[str, str],
    file: Path | None = None,
) -> None:
    """Run until cancelled. Starts without Postgres and NATS too, and answers 503 until they are there."""
    secrets = secrets_of(settings)
    sockets = open_sockets(settings.listen, inherited=server.inherited_sockets(env))
    async with open_services(
        [service],
        places=Places(database=place_of(settings), bus=settings.bus),
        secrets=secrets,
        clock=clock,
        http=settings.http,
        env=advertise(env, settings.bus_advertise),
        file=file,
    ) as hosted:
        heap.settle()
        await run_hosted(hosted, sockets=sockets, jobs=[], http=settings.http, clock=clock)


def secrets_of(settings: HostSettings) -> SecretsDir:
    """The folder of secrets. Raises `Invalid` (`bad_setting`) where none is named."""
    if settings.secrets is None:
        raise Invalid(
            "bad_setting",
            "the folder of secrets is not named.",
            field="/secrets",
            mend="Make one with `altnet admin init DIR` and set ALTNET_SECRETS=DIR.",
        )
    return SecretsDir(settings.secrets)


def place_of(settings: HostSettings) -> DatabaseSettings:
    """Where Postgres is, without a user."""
    place = settings.database
    return DatabaseSettings(host=place.host, port=place.port, name=place.name, tls=place.tls, user="nobody")
