"""The first owner of a control plane whose services run apart; `altnet up` makes its own.

Works beside running services or before them, with their own roles. Leaves out every later token: owners make these.
"""

from __future__ import annotations

from collections.abc import Mapping

from altnet.common.clock import Clock
from altnet.common.errors import Conflict
from altnet.common.settings import Secret
from altnet.host.hosting import SERVICES, Places, advertise, load_service, open_services
from altnet.host.serve import place_of, secrets_of
from altnet.host.settings import HostSettings


async def first_owner(settings: HostSettings, *, clock: Clock, env: Mapping[str, str]) -> Secret:
    """Make the first owner's token. Raises `Conflict` (`owner_exists`), `Invalid`, `Unavailable`."""
    async with open_services(
        [service for service in map(load_service, SERVICES) if service.first_owner is not None],
        places=Places(database=place_of(settings), bus=settings.bus),
        secrets=secrets_of(settings),
        clock=clock,
        http=settings.http,
        env=advertise(env, settings.bus_advertise),
    ) as hosted:
        for item in hosted:
            assert item.service.first_owner is not None
            token = await item.service.first_owner(item.context)
            if token is not None:
                return token
    raise Conflict(
        "owner_exists",
        "there is an owner already.",
        mend="Ask an owner for a token (`altnet tokens create --role owner`).",
    )
