"""The registry, put together: the only place that knows all of its parts.

It opens without Postgres and without NATS: requests that need the first are answered with 503, and what needs the
second happens when it is there. Nothing here decides anything.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from altnet.common.bus import jwt
from altnet.common.bus.connect import Bus
from altnet.common.bus.publish import OutgoingEvent, publish_events
from altnet.common.bus.rights import SYSTEM
from altnet.common.db import numbers
from altnet.common.db.engine import Database
from altnet.common.db.outbox import OutboxRelay
from altnet.common.db.security_gaps import SecurityGaps
from altnet.common.http.app import create_app
from altnet.common.http.auth import ChainAuthenticator, LookUp, StoredApiToken
from altnet.common.http.idempotency import sweep_job
from altnet.common.ids import ApiTokenId
from altnet.common.jobs import Job, every
from altnet.common.metrics import Metrics
from altnet.common.service import Service, ServiceContext, ServiceParts
from altnet.common.settings import Secret
from altnet.registry.answers import serve_answers
from altnet.registry.api import routers
from altnet.registry.api.deps import Parts
from altnet.registry.consumers import Reports
from altnet.registry.domain.ratelimit import RateLimit, RateRule
from altnet.registry.handlers import networks
from altnet.registry.handlers import tokens as token_handlers
from altnet.registry.handlers.admin import rebuild_desired, renumber_after_restore
from altnet.registry.jobs.client_sessions import ClientSessions
from altnet.registry.jobs.convergence import Convergence
from altnet.registry.jobs.detail import Detail
from altnet.registry.jobs.director import Director
from altnet.registry.jobs.gauges import Gauges, RoutingGauges
from altnet.registry.jobs.learning import Learning
from altnet.registry.jobs.pulse import Pulse
from altnet.registry.jobs.sessions import Sessions
from altnet.registry.refusals import attempts_refused
from altnet.registry.settings import RegistrySettings

HOST = "host"
"""Who acts when an administrator uses the host's own commands."""

TITLE = "Altnet registry"
DESCRIPTION = (
    "Networks, relays, clients, services, sites and peerings of a private IPv6 network, their addresses and routes, and"
    " how far each change has been applied."
)


@asynccontextmanager
async def open_registry(context: ServiceContext) -> AsyncIterator[ServiceParts]:
    """Start listening on the bus and make the application and the jobs."""
    settings = context.load_settings(RegistrySettings)
    db, bus, clock = context.database, context.bus, context.clock
    async with AsyncExitStack() as stack:
        convergence = Convergence(db, clock, keep=settings.tracking.open_changes)
        pulse = Pulse(db, clock, settings=settings.liveness, series=settings.tracking.series_length)
        sessions = Sessions(db, settings=settings.sessions)
        learning = Learning(db, bus, clock, settings=settings.learning)
        client_sessions = ClientSessions(db, clock, lasts=settings.client_keys.here_for)
        reports = Reports(
            bus,
            convergence=convergence,
            pulse=pulse,
            sessions=sessions,
            learning=learning,
            client_sessions=client_sessions,
        )
        await reports.listen()
        refusals = attempts_refused(db, most=settings.refusals.most)
        await serve_answers(bus, db, context.identity, _look_up(db), here=client_sessions.since, refused=refusals.note)
        sys_bus = None
        if context.identity is not None:
            identity = context.identity
            sys_bus = await stack.enter_async_context(
                Bus(bus.settings, lambda: jwt.service_credentials(identity, SYSTEM), name="registry-sys")
            )
        director = Director(
            db=db,
            bus=bus,
            sys_bus=sys_bus,
            identity=context.identity,
            clock=clock,
            randomness=secrets.token_bytes,
            settings=settings,
            convergence=convergence,
            pulse=pulse,
            sessions=sessions,
            learning=learning,
            client_sessions=client_sessions,
            signing_key=context.issuer.key_name if context.issuer is not None else None,
        )
        rule = RateRule(
            burst=settings.enrolment.attempts_at_once,
            per_second=settings.enrolment.attempts_per_second,
            sources=settings.enrolment.sources_remembered,
        )
        metrics = Metrics(context.metrics, service="registry")
        Gauges(metrics, pulse=pulse, convergence=convergence, director=director, reports=reports)
        RoutingGauges(metrics, pulse=pulse, sessions=sessions, learning=learning)
        if settings.metrics.detailed:
            Detail(metrics, newest=pulse.newest, clock=clock, most_series=settings.metrics.most_series)

        gaps = SecurityGaps(db, bus, metrics)

        async def ready() -> Mapping[str, str]:
            return {}  # the database is checked by the frame; without the bus everything but delivery works

        app = create_app(
            service="registry",
            title=TITLE,
            version=_version(),
            description=DESCRIPTION,
            routers=routers(),
            authenticator=ChainAuthenticator(context.verifier, _look_up(db), clock=clock),
            database=db,
            clock=clock,
            metrics=context.metrics,
            ready=ready,
            remarks=gaps.remarks,
            settings=context.http,
        )
        app.state.registry = Parts(
            db=db,
            bus=bus,
            clock=clock,
            randomness=secrets.token_bytes,
            settings=settings,
            http=context.http,
            relay_issuer=context.identity.relay_issuer if context.identity else None,
            token_issuer=context.issuer,
            attempts=RateLimit(rule),
            convergence=convergence,
            pulse=pulse,
            director=director,
            refusals=refusals,
        )

        async def publish(events: list[OutgoingEvent]) -> None:
            await publish_events(bus, events, timeout=settings.planning.put_timeout)

        outbox = OutboxRelay(db, publish, metrics=metrics)  # type: ignore[arg-type]  # a list is the sequence it gives
        yield ServiceParts(
            app=app,
            jobs=[
                Job("registry-outbox", outbox.run),
                Job("registry-director", director.run),
                Job("registry-refusals", every(settings.refusals.flush, refusals.flush)),
                gaps.job(),
                sweep_job(db, clock=clock, settings=context.http),
            ],
        )


async def make_first_owner(context: ServiceContext) -> Secret | None:
    """The first owner's token, on an installation without one; None where there is an owner.

    Whoever has it finds a network: the leading replica may not have come to make it yet.
    """
    settings = context.load_settings(RegistrySettings)
    async with context.database.transaction(actor=HOST) as uow:
        first = settings.network
        await networks.make_first_network(uow, name=first.name, prefix=first.prefix, randomness=secrets.token_bytes)
        made = await token_handlers.make_first_owner(
            uow, clock=context.clock, lifetime=settings.api.first_owner_lifetime, randomness=secrets.token_bytes
        )
    return None if made is None else made[1]


def _look_up(db: Database) -> LookUp:
    async def find(token: ApiTokenId) -> StoredApiToken | None:
        async with db.read() as session:
            return await token_handlers.find_credential(session, token)

    return find


async def _after_restore(db: Database, skip: int) -> None:
    async with db.transaction(actor=HOST) as uow:
        await renumber_after_restore(uow, skip=skip)
        await numbers.skip(uow.connection, db.schema, db.schema, skip)


async def _rebuild(context: ServiceContext) -> int:
    async with context.database.transaction(actor=HOST) as uow:
        return await rebuild_desired(uow)


def _version() -> str:
    try:
        return version("altnet-registry")
    except PackageNotFoundError:  # run from a checkout
        return "0"


def _migrations() -> Path:
    """Beside the sources in a checkout, inside the package in a wheel."""
    inside = Path(__file__).parent / "alembic"
    return inside if inside.is_dir() else Path(__file__).parents[3] / "alembic"


service = Service(
    name="registry",
    schema="registry",
    title=TITLE,
    description=DESCRIPTION,
    migrations=_migrations(),
    open=open_registry,
    first_owner=make_first_owner,
    after_restore=_after_restore,
    rebuild=_rebuild,
)
