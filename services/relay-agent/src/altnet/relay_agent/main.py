"""The real world around an agent: this host, this disk, the bus, systemd.

Invariant: the data plane comes up from the disk cache, within seconds, whatever else fails; only wrong settings, an
unusable state directory or a host without WireGuard stop the start.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import secrets
import signal
import socket
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from altnet.common import log
from altnet.common.bus.connect import Bus, BusSettings
from altnet.common.calls import https_post
from altnet.common.clock import Clock, SystemClock
from altnet.common.contracts.agent import Versions
from altnet.common.errors import Exhausted, TooMany, Unavailable
from altnet.common.systemd import Systemd
from altnet.relay_agent.agent import Agent
from altnet.relay_agent.bird.daemon import STATIC, Found, find
from altnet.relay_agent.control import serve
from altnet.relay_agent.disk_state import DiskState
from altnet.relay_agent.enrol import Registry
from altnet.relay_agent.host import Host, open_host
from altnet.relay_agent.keyd import remember_token
from altnet.relay_agent.lock.keeper import remember_pin
from altnet.relay_agent.membership import Membership
from altnet.relay_agent.probe import UdpProber
from altnet.relay_agent.report import host_status, versions
from altnet.relay_agent.settings import AgentSettings
from altnet.relay_agent.state import Enrolment, not_enrolled

ENROL_JITTER: Final = 0.2
"""Share of a wait that is added by chance."""

_log = log.get(__name__)


async def enrol(settings: AgentSettings, *, state: DiskState, host: Host, clock: Clock) -> Enrolment:
    """Become a relay of the registry's network and keep the answer. Raises the registry's problem."""
    registry = open_registry(settings, clock)
    known = state.enrolment()
    if known is None:  # before the token is spent: a crash in between must not lose what it gives
        await remember_token(state, settings.join_token)
    enrolment = await registry.enrol(
        state.identity(),
        token=settings.join_token,
        name=settings.name or host_name(),
        endpoints=endpoints(settings),
        mesh_port=settings.mesh_port,
        access_port=settings.access_port,
        region=settings.region,
        labels=settings.labels,
        versions=await versions_of(host, await find_engine(settings)),
    )
    if known is not None and (known.relay.id, known.network.id) != (enrolment.relay.id, enrolment.network.id):
        state.forget_documents()  # of another life
        await remember_token(state, settings.join_token, keep_pins=False)
    await remember_pin(state, settings.lock_fingerprint, network=enrolment.network.id)
    identity = state.identity()
    if identity.mesh_device or identity.next_mesh_key:  # the registry counts from the key and the port that we told
        await state.save_identity(msgspec.structs.replace(identity, mesh_device=0, next_mesh_key="", next_mesh_epoch=0))
    await state.save_enrolment(enrolment)
    return enrolment


async def run(settings: AgentSettings, *, env: Mapping[str, str]) -> None:
    """Be this host's agent until SIGTERM or SIGINT. The data plane stays when the agent goes."""
    clock, systemd = SystemClock(), Systemd(env)
    state = DiskState.at(settings.state_dir, seal=settings.seal_identity)
    state.hold()
    host: Host | None = None
    try:
        host = await open_host(settings)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        living = asyncio.create_task(_live(settings, state=state, host=host, clock=clock, systemd=systemd))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({living, stopping}, return_when=asyncio.FIRST_COMPLETED)
        systemd.tell("STOPPING=1")
        stopping.cancel()
        living.cancel()
        (outcome,) = await asyncio.gather(living, return_exceptions=True)
        if isinstance(outcome, Exception):
            raise outcome
    finally:
        if host is not None:
            await host.close()
        state.release()


async def _live(settings: AgentSettings, *, state: DiskState, host: Host, clock: Clock, systemd: Systemd) -> None:
    enrolment = state.enrolment()
    if enrolment is None:
        systemd.tell("STATUS=enrolling")
        enrolment = await enrol_patiently(settings, state=state, host=host, clock=clock, random=random.random)
    membership = Membership(state, enrolment, clock=clock)
    found = await find_engine(settings)
    runs_here = await versions_of(host, found)
    started = clock.monotonic()
    bus = Bus(BusSettings(servers=enrolment.bus.servers), membership.credentials, name=enrolment.relay.id)
    agent = Agent(
        settings,
        host=host,
        state=state,
        membership=membership,
        clock=clock,
        random=random.random,
        versions=runs_here,
        boot=secrets.token_hex(8),
        bus=bus,
        registry=open_registry(settings, clock) if settings.registry_url else None,
        endpoints=endpoints(settings),
        prober=lambda rounds: UdpProber(
            settings.probe_port, rounds, clock=clock, timeout=settings.timers.probe_timeout, random=random.random
        ),
        listen=True,
        host_status=lambda: host_status(clock.monotonic() - started),
        found=found,
    )
    for warning in state.warnings:
        _log.warning("state", what=warning)

    def ready() -> None:
        systemd.tell("READY=1", f"STATUS=relay {enrolment.relay.name} ({enrolment.relay.id}), {agent.health()}")
        _log.info("ready", relay=enrolment.relay.id, name=enrolment.relay.name, health=agent.health())

    timeout = settings.timers.control_timeout
    routing = agent.routing
    answers = serve(
        settings.control_path, agent.status, timeout=timeout, routes=routing.routes, learned=routing.learned
    )
    async with bus, answers:
        watchdog = asyncio.create_task(systemd.run_watchdog())
        try:
            await agent.run(ready)
        finally:
            watchdog.cancel()


async def enrol_patiently(
    settings: AgentSettings, *, state: DiskState, host: Host, clock: Clock, random: Callable[[], float]
) -> Enrolment:
    """`enrol`, again and again while the registry is away, busy or has nothing left: twice as late each time.

    Up to a fifth is added to each wait, so that a rack that starts at once does not ask at once; never less than what
    the registry asks for. `random` gives numbers from 0 to 1. Raises what no waiting mends.
    """
    if not settings.join_token:
        raise not_enrolled()
    wait = settings.timers.retry_first
    while True:
        try:
            return await enrol(settings, state=state, host=host, clock=clock)
        except (Unavailable, TooMany, Exhausted) as error:
            _log.warning("not enrolled yet", reason=str(error))
            pause = error.after if isinstance(error, TooMany) else wait
            wait = min(settings.timers.retry_most, wait * 2)
            await asyncio.sleep(pause * (1 + ENROL_JITTER * random()))


def open_registry(settings: AgentSettings, clock: Clock) -> Registry:
    """The registry of the settings. Raises `Invalid` (`bad_setting`)."""
    return Registry(
        settings.registry_url,
        post=https_post(settings.registry_ca),
        clock=clock,
        timeout=settings.timers.http_timeout,
    )


async def find_engine(settings: AgentSettings) -> Found:
    """What is to decide paths on this host, and why not the better one."""
    if settings.backend == "memory":
        return STATIC
    found = await find(settings.routing, settings.bird_program, deadline=settings.timers.bird_timeout)
    if found.problem:
        _log.error("no routing engine", reason=found.problem)
    return found


async def versions_of(host: Host, found: Found) -> Versions:
    """What runs on this host."""
    return versions(host.wireguard.backend, await host.links.encapsulations(), found.engine)


def endpoints(settings: AgentSettings) -> tuple[str, ...]:
    """Where others reach this relay: as set, or the addresses that this host itself sends from."""
    if settings.endpoints:
        return settings.endpoints
    found = []
    # Connecting a UDP socket sends nothing; it only asks the routing table. The targets are for documentation.
    for family, target in ((socket.AF_INET6, "2001:db8::1"), (socket.AF_INET, "192.0.2.1")):
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            try:
                sock.connect((target, 9))
            except OSError:
                continue  # no default route of this family
            address = sock.getsockname()[0]
        if not address.startswith(("fe80:", "::1", "127.")):
            found.append(f"[{address}]:{settings.mesh_port}" if ":" in address else f"{address}:{settings.mesh_port}")
    return tuple(found)


def host_name() -> str:
    """The host's name as one LDH label."""
    label = re.sub(r"[^a-z0-9-]+", "-", os.uname().nodename.split(".")[0].lower()).strip("-")[:63].strip("-")
    return label or "relay"
