"""The real world around a client: this host, this disk, the registry, systemd.

Invariant: the tunnel comes up from the disk whatever else fails; only wrong settings, an unusable state directory or a
host without WireGuard stop the start.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

from altnet.client.daemon import Client
from altnet.client.echo import Edge
from altnet.client.registry import Joined, Registry
from altnet.client.rekey import Rekey
from altnet.client.settings import ClientSettings
from altnet.client.state import DiskState, Membership, not_joined, read_config
from altnet.client.tunnel import Tunnel
from altnet.common import log
from altnet.common.calls import https_call
from altnet.common.clock import SystemClock
from altnet.common.contracts.client import ClientConfig
from altnet.common.control import serve
from altnet.common.errors import AltnetError
from altnet.common.kernel.detect import detect_wireguard
from altnet.common.kernel.host import HostLinks
from altnet.common.kernel.wg_netlink import KernelWireGuard
from altnet.common.kernel.wg_uapi import UserspaceWireGuard
from altnet.common.kernel.wireguard import WireGuard
from altnet.common.systemd import Systemd

_log = log.get(__name__)


async def join(settings: ClientSettings, *, state: DiskState) -> Joined:
    """Become a client of the registry's network and keep the answer. Raises the registry's problem."""
    registry = open_registry(settings)
    joined = await registry.join(
        state.identity().key.public(),
        token=settings.join_token,
        name=settings.name or host_name(),
        region=settings.region,
        labels=settings.labels,
    )
    await state.save_configuration(joined.configuration)
    membership = Membership(client=joined.client.id, registry_url=registry.url, secret=joined.secret)
    await state.save_membership(membership)
    return joined


async def run(settings: ClientSettings, *, env: Mapping[str, str], file: Path | None = None) -> None:
    """Be this host's client until SIGTERM or SIGINT; the tunnel stays. `file` is a configuration to follow instead of
    the kept one. Raises `Invalid` (`not_joined`) and whatever stops the start."""
    state = DiskState(Path(settings.state_dir))
    state.hold()
    try:
        config = read_config(file) if file is not None else state.configuration()
        if config is None:
            raise not_joined()
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        systemd = Systemd(env)
        living = asyncio.create_task(
            _live(settings, config, state=state, systemd=systemd, asks=file is None), name="client"
        )
        stopping = asyncio.create_task(stop.wait(), name="stop")
        await asyncio.wait({living, stopping}, return_when=asyncio.FIRST_COMPLETED)
        systemd.tell("STOPPING=1")
        stopping.cancel()
        living.cancel()
        (outcome,) = await asyncio.gather(living, return_exceptions=True)
        if isinstance(outcome, BaseExceptionGroup):
            raise outcome.exceptions[0]
        if isinstance(outcome, Exception):
            raise outcome
    finally:
        state.release()


async def take_down(settings: ClientSettings) -> bool:
    """Remove interface and routes; False where there were none. Raises `Conflict` while altnetd runs."""
    state = DiskState(Path(settings.state_dir))
    state.hold()
    try:
        wireguard, links = await _open_host(settings)
        try:
            return await _tunnel(settings, state, wireguard, links).take_down()
        finally:
            await wireguard.close()
            await links.close()
    finally:
        state.release()


async def _live(
    settings: ClientSettings, config: ClientConfig, *, state: DiskState, systemd: Systemd, asks: bool
) -> None:
    clock = SystemClock()
    wireguard, links = await _open_host(settings)
    try:
        client = Client(
            settings,
            config,
            tunnel=_tunnel(settings, state, wireguard, links),
            edge=lambda client: Edge(clock=clock, echoed=client.echoed, answered=client.answered),
            clock=clock,
        )

        def ready() -> None:
            systemd.tell("READY=1", f"STATUS={config.name} in {config.network}")
            _log.info("ready", client=config.client, name=config.name, interface=settings.interface)

        answers = {"status": client.view}
        socket = serve(settings.control_path, answers, timeout=settings.timers.control_timeout)
        async with socket, asyncio.TaskGroup() as group:
            group.create_task(client.run(ready), name="tunnel")
            group.create_task(systemd.run_watchdog(), name="watchdog")
            membership = state.membership() if asks else None
            if membership is not None:
                group.create_task(
                    refresh(settings, client, membership, state=state, random=random.random), name="refresh"
                )
    finally:
        await wireguard.close()
        await links.close()


async def refresh(
    settings: ClientSettings,
    client: Client,
    membership: Membership,
    *,
    state: DiskState,
    random: Callable[[], float],
) -> None:
    """Ask the registry what we should be, now and then and when a relay has news, and tell it what we measured, until
    cancelled."""
    registry = Registry(
        settings.registry_url or membership.registry_url,
        call=https_call(settings.registry_ca),
        timeout=settings.timers.http_timeout,
    )
    rekey = Rekey(state, registry, membership, settled_on=client.settled_on)
    failures = 0
    while True:
        every = settings.timers.refresh_alone if client.alone else settings.timers.refresh
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(every * (0.8 + 0.4 * random())):
                await client.wants.wait()
                await asyncio.sleep(settings.timers.hurry * random())  # a relay has news for all its clients at once
        wanted = client.wants.is_set()
        client.wants.clear()
        try:
            config = await registry.configuration(membership.client, secret=membership.secret)
            config = await rekey.step(config)
            client.follow(config)
            if config != state.configuration():
                await state.save_configuration(config)
            if measured := client.latencies():
                await registry.report(membership.client, measured, secret=membership.secret)
            failures = 0
        except AltnetError as error:
            _log.info("the registry has told us nothing new", reason=str(error))
            if wanted or state.identity().following is not None:  # it has something for us, or has to know something
                client.wants.set()
            failures += 1
        wait = settings.timers.hurry * 2 ** min(failures, 4)
        await asyncio.sleep(min(settings.timers.refresh, wait))


async def _open_host(settings: ClientSettings) -> tuple[WireGuard, HostLinks]:
    prefix, deadline = settings.interface, settings.timers.kernel_timeout
    wireguard: WireGuard
    match settings.backend:
        case "kernel":
            wireguard = KernelWireGuard(prefix=prefix, deadline=deadline)
        case "wireguard-go":
            wireguard = UserspaceWireGuard(prefix=prefix, deadline=deadline)
        case "auto":
            wireguard = await detect_wireguard(prefix=prefix, deadline=deadline)
    return wireguard, HostLinks(prefix=prefix, protocol=settings.route_protocol, deadline=deadline)


def _tunnel(settings: ClientSettings, state: DiskState, wireguard: WireGuard, links: HostLinks) -> Tunnel:
    return Tunnel(
        wireguard,
        links,
        name=settings.interface,
        key=state.identity().key,
        timers=settings.timers,
        held=lambda: state.identity().held,
    )


async def ask_for_key(settings: ClientSettings) -> None:
    """Have this host's key changed: a running altnetd hears of it and does it. Raises the registry's problem."""
    state = DiskState(Path(settings.state_dir))
    membership = state.membership()
    if membership is None:
        raise not_joined()
    registry = Registry(
        settings.registry_url or membership.registry_url,
        call=https_call(settings.registry_ca),
        timeout=settings.timers.http_timeout,
    )
    await registry.ask_for_key(membership.client, secret=membership.secret)


def open_registry(settings: ClientSettings) -> Registry:
    """The registry of the settings. Raises `Invalid` (`bad_setting`)."""
    return Registry(settings.registry_url, call=https_call(settings.registry_ca), timeout=settings.timers.http_timeout)


def host_name() -> str:
    """The host's name as one LDH label."""
    label = re.sub(r"[^a-z0-9-]+", "-", os.uname().nodename.split(".")[0].lower()).strip("-")[:63].strip("-")
    return label or "client"
