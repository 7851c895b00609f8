"""Looking at a lab: what should be there by its state, and what is there as the kernel says. Changes nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from altnet.common.contracts.routing import RoutingStatus
from altnet.common.errors import AltnetError, Conflict
from altnet.host.lab import launcher, members, namespaces
from altnet.host.lab.faults import Cut, Impairment, Shape
from altnet.host.lab.members import AGENT
from altnet.host.lab.state import LabFiles, LabState
from altnet.host.lab.topology import Host, Topology, plan
from altnet.relay_agent.control import ask_status


@dataclass(frozen=True, kw_only=True)
class LabStatus:
    """What there is, as far as the kernel says. `missing` is what `altnet lab up` would mend."""

    prefix: str
    state: str
    """`up`, `down`, or `damaged`."""
    hosts: tuple[dict[str, Any], ...] = ()
    cuts: tuple[Cut, ...] = ()
    impairments: tuple[Impairment, ...] = ()
    shape: Shape = Shape.FULL
    api: str | None = None
    missing: tuple[str, ...] = ()


def look(files: LabFiles) -> LabStatus:
    """The lab's status, also of one that a crash has left half-made."""
    prefix = files.settings.prefix
    try:
        state = files.read()
    except Conflict as error:
        return LabStatus(prefix=prefix, state="damaged", missing=(str(error),))
    if state is None:
        missing = tuple(f"namespace {name} belongs to no lab" for name in sorted(namespaces.of_lab(prefix)))
        return LabStatus(prefix=prefix, state="damaged" if missing else "down", missing=missing)
    topology = plan(state.spec)
    routing = asyncio.run(_ask_agents(state, files))
    hosts = tuple(_look_at(topology, host, state, files, routing) for host in topology.hosts.values())
    missing = tuple(f"{host['name']}: {reason}" for host in hosts for reason in host["missing"])
    return LabStatus(
        prefix=prefix,
        state="damaged" if missing else "up",
        hosts=hosts,
        cuts=state.cuts,
        impairments=state.impairments,
        shape=state.shape,
        api=state.api,
        missing=missing,
    )


async def _ask_agents(state: LabState, files: LabFiles) -> dict[str, dict[str, Any]]:
    """How the routing of each relay is, by its own agent's word; relays whose agent does not answer are left out."""

    async def ask(name: str) -> tuple[str, RoutingStatus | None]:
        try:
            status = await ask_status(str(members.agent_socket(files, name)), timeout=files.settings.agent_timeout)
        except AltnetError:
            return name, None
        return name, status.routing

    running = [one.host for one in state.wanted if one.name == AGENT and launcher.find(files, one.host, AGENT)]
    answers = await asyncio.gather(*(ask(name) for name in running))
    return {name: _routing(found) for name, found in answers if found is not None}


def _routing(found: RoutingStatus) -> dict[str, Any]:
    established = sum(session.state == "established" for session in found.sessions)
    return {
        "engine": str(found.engine),
        "sessions": len(found.sessions),
        "established": established,
        "routes": found.routes,
        "problem": found.problem,
    }


def _look_at(
    topology: Topology, host: Host, state: LabState, files: LabFiles, routing: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    dead = host.name in state.absent
    missing: list[str] = []
    if not dead and not namespaces.is_live(host.namespace):
        missing.append("it has no namespace")
    elif not dead:
        wanted = {port.name for port in topology.without(state.absent).ports(host.name)}
        lacking = wanted - namespaces.interfaces(host.namespace)
        missing += [f"interface {name} is missing" for name in sorted(lacking)]
    processes: dict[str, int | None] = {}
    for one in state.wanted:
        if one.host == host.name:
            process = launcher.find(files, host.name, one.name)
            processes[one.name] = process.pid if process else None
            if process is None and not dead:
                missing.append(f"{one.name} does not run")
    return {
        "name": host.name,
        "kind": str(host.kind),
        "namespace": host.namespace,
        "state": "dead" if dead else "damaged" if missing else "up",
        "ipv6": str(topology.address(host.name, 6)),
        "ipv4": str(topology.address(host.name, 4)),
        "processes": processes,
        "routing": routing.get(host.name),
        "missing": missing,
    }
