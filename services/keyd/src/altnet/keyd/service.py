"""keyd, put together: the only place that knows all of its parts.

It opens without Postgres and without NATS; without its key-encryption key it does not open, since nothing could mend
that by itself. Nothing here decides anything.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from altnet.common.bus import rights
from altnet.common.bus.nkey import public_of
from altnet.common.bus.publish import OutgoingEvent, publish_events
from altnet.common.contracts.keyd import SERVICE
from altnet.common.contracts.lock import ALARMS, REFUSABLE
from altnet.common.db import inbox
from altnet.common.db.dead_letters import DeadLetters
from altnet.common.db.engine import Database
from altnet.common.db.outbox import OutboxRelay
from altnet.common.db.security_gaps import SecurityGaps
from altnet.common.http.app import create_app
from altnet.common.http.auth import ChainAuthenticator
from altnet.common.http.idempotency import sweep_job
from altnet.common.jobs import Job, every
from altnet.common.metrics import Metrics
from altnet.common.noise.responder import Responder
from altnet.common.noise.wire import ID_BYTES
from altnet.common.service import Service, ServiceContext, ServiceParts
from altnet.keyd.api import routers
from altnet.keyd.api.deps import Parts
from altnet.keyd.api_tokens import look_up
from altnet.keyd.channel import ChannelServer, FirstContacts
from altnet.keyd.consumers import RelayEvents
from altnet.keyd.handlers.lock import Heard
from altnet.keyd.jobs.lock import LockTeller
from altnet.keyd.jobs.proven import Proven
from altnet.keyd.jobs.rotations import Driver, Over
from altnet.keyd.keyring import Keyring
from altnet.keyd.refusals import channel_refused
from altnet.keyd.settings import KeydSettings, encryption_keys
from altnet.keyd.store.events import skip_numbers

TITLE = "Altnet keyd"
DESCRIPTION = (
    "Identities of hosts, by their keys: what is proven, what waits for an owner; rotations of relays' and"
    " clients' keys; keyd's own keys."
)
PUBLISH_TIMEOUT = 5.0
"""Seconds for a batch of events: with three servers a leader election takes 4.4 s (measured)."""


@asynccontextmanager
async def open_keyd(context: ServiceContext) -> AsyncIterator[ServiceParts]:
    """Make the application and the jobs; listening is a job too. Raises `Invalid` without its key."""
    settings = context.load_settings(KeydSettings)
    kek, previous = encryption_keys(settings, context.settings.env)
    db, bus, clock = context.database, context.bus, context.clock
    responder = Responder(replica=secrets.token_bytes(ID_BYTES), limits=settings.channel.limits)
    keyring = Keyring(
        db,
        kek=kek,
        previous=previous,
        randomness=secrets.token_bytes,
        settings=settings.keys,
        changed=responder.answer_for,
    )
    metrics = Metrics(context.metrics, service=SERVICE)
    refusals = channel_refused(
        db,
        most=settings.channel.most_refusals,
        counter=metrics.counter("channel_refusals", "What relays were refused, by reason.", labels=("reason",)),
    )
    rotations = metrics.counter("rotations", "Rotations that are over.", labels=("kind", "outcome"))
    rolled_back = metrics.counter("rotations_rolled_back", "Rotations that were rolled back.", labels=("kind", "why"))
    waits = metrics.counter("rotation_waits", "Times that rotations began to wait, not for relays.", labels=("why",))
    relays_left = metrics.counter("rotation_relays_left", "Relays that kept their key, by why.", labels=("why",))

    def ended(over: Over) -> None:
        rotations.labels(over.kind, over.outcome).inc()
        if over.why:
            rolled_back.labels(over.kind, over.why).inc()
        for why in over.left:
            relays_left.labels(why).inc()

    seed = context.identity.credentials(rights.KEYD).seed if context.identity is not None else None
    proven = Proven(db, bus, seed=seed, settings=settings.identities)
    driver = Driver(
        db,
        bus,
        seed=seed,
        settings=settings.rotations,
        random=secrets.SystemRandom().random,
        randomness=secrets.token_bytes,
        ended=ended,
        waits=lambda code: waits.labels(code).inc(),
    )
    metrics.gauge("rotations_open", "Rotations under way.").set_function(lambda: driver.open)
    teller = LockTeller(db, bus, settings=settings.lock)
    lock_refused = metrics.counter("lock_refusals", "What relays refuse for want of a signature.", labels=("what",))
    lock_alarms = metrics.counter("lock_alarms", "Other logs of the lock than keyd's, or bad ones.", labels=("why",))

    def lock_heard(heard: Heard) -> None:
        for what in heard.refused:
            lock_refused.labels(what if what in REFUSABLE else "other").inc()
        if heard.alarm:
            lock_alarms.labels(heard.alarm if heard.alarm in ALARMS else "other").inc()
        if heard.certified:
            teller.wake()

    channel = ChannelServer(
        db=db,
        bus=bus,
        clock=clock,
        responder=responder,
        keyring=keyring,
        refusals=refusals,
        first_contacts=_first_contacts(context, settings, keyring),
        settings=settings.channel,
        rotating=driver.wake,
        pair_troubles=metrics.counter(
            "preshared_key_troubles", "What went wrong with relays' pre-shared keys.", labels=("why",)
        ),
        lock_heard=lock_heard,
    )
    dead_letters = DeadLetters(db, metrics)
    gaps = SecurityGaps(db, bus, metrics)
    events = RelayEvents(db, bus, dead_letters)
    stuck = metrics.gauge("events_stuck_seconds", "For how long the first event in line has failed.")
    stuck.set_function(lambda: events.stuck)
    metrics.gauge("channel_sessions", "Sessions held here.").set_function(lambda: responder.sessions)
    metrics.gauge("channel_handshakes", "Handshakes answered here.").set_function(lambda: channel.handshakes)
    metrics.gauge("channel_records", "Records opened here.").set_function(lambda: channel.records)

    async def ready() -> Mapping[str, str]:
        return {"keys": keyring.problem or "ok"}

    app = create_app(
        service=SERVICE,
        title=TITLE,
        version=_version(),
        description=DESCRIPTION,
        routers=routers(),
        authenticator=ChainAuthenticator(context.verifier, look_up(bus), clock=clock),
        database=db,
        clock=clock,
        metrics=context.metrics,
        ready=ready,
        remarks=lambda: {**dead_letters.remarks(), **gaps.remarks()},
        settings=context.http,
    )
    app.state.keyd = Parts(
        db=db,
        randomness=secrets.token_bytes,
        settings=settings,
        keyring=keyring,
        driver=driver,
        teller=teller,
        http=context.http,
    )

    async def publish(batch: list[OutgoingEvent]) -> None:
        await publish_events(bus, batch, timeout=PUBLISH_TIMEOUT)

    outbox = OutboxRelay(db, publish, metrics=metrics)  # type: ignore[arg-type]  # a list is the sequence it gives
    yield ServiceParts(
        app=app,
        jobs=[
            Job("keyd-keys", keyring.run),
            Job("keyd-channel", channel.run),
            Job("keyd-outbox", outbox.run),
            Job("keyd-relays", events.run),
            Job("keyd-rotations", driver.run),
            Job("keyd-lock", teller.run),
            Job("keyd-proven", proven.run),
            Job("keyd-sessions", every(settings.channel.sweep, channel.sweep)),
            Job("keyd-refusals", every(settings.channel.flush_refusals, refusals.flush)),
            Job("keyd-dead-letters", dead_letters.job().run),
            gaps.job(),
            Job("keyd-inbox", inbox.sweep_job(db).run),
            Job("keyd-idempotency", sweep_job(db, clock=clock, settings=context.http).run),
        ],
    )


async def _after_restore(db: Database, skip: int) -> None:
    """Numbers that a lost day's events had are not given again: the gap shows that events are missing."""
    async with db.transaction(actor="host") as uow:
        await skip_numbers(uow, skip)


def _first_contacts(context: ServiceContext, settings: KeydSettings, keyring: Keyring) -> FirstContacts | None:
    if context.identity is None:
        return None
    return FirstContacts(
        context.bus,
        seed=context.identity.credentials(rights.KEYD).seed,
        registry=public_of(context.identity.credentials(rights.REGISTRY).seed),
        keyring=keyring,
        timeout=settings.channel.first_contact_timeout,
    )


def _version() -> str:
    try:
        return version("altnet-keyd")
    except PackageNotFoundError:  # run from a checkout
        return "0"


def _migrations() -> Path:
    """Beside the sources in a checkout, inside the package in a wheel."""
    inside = Path(__file__).parent / "alembic"
    return inside if inside.is_dir() else Path(__file__).parents[3] / "alembic"


service = Service(
    name=SERVICE,
    schema=SERVICE,
    title=TITLE,
    description=DESCRIPTION,
    migrations=_migrations(),
    open=open_keyd,
    after_restore=_after_restore,
)
