"""What an agent tells the operator of its host: the answer of the control socket and of `altnet-agent status`."""

from __future__ import annotations

from typing import Any

import msgspec
from altnet.common.contracts.agent import ClientStatus, LinkStatus
from altnet.common.contracts.routing import RoutingStatus


class AgentStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What `altnet-agent status` shows."""

    running: bool
    relay: str
    name: str
    slot: int
    network: str
    prefix: str
    health: str
    address: str = ""
    version: str = ""
    backend: str = ""
    bus_connected: bool = False
    bus_problem: str = ""
    revoked: bool = False
    mesh_generation: int = -1
    document_generation: int = -1
    applied_mesh_generation: int = -1
    mesh_digest: str = ""
    document_digest: str = ""
    settled: bool = False
    failed: tuple[dict[str, Any], ...] = ()
    repaired: int = 0
    waiting_for_handshake: int = 0
    uptime: float = 0.0
    keyd: str = ""
    """How this host stands with keyd: `active`, `pending: <why>`, `revoked`, or why there is no contact."""
    fingerprint: str = ""
    """Of this host's identity: what an owner compares before approving it."""
    keyd_fingerprint: str = ""
    """Of keyd's keys as they are pinned here."""
    rotation: str = ""
    """How far this host is in a rotation of mesh keys; empty while there is none."""
    lock: str = ""
    """The network lock as it is known here, and what it leaves out; empty while there is none."""
    preshared: str = ""
    """How many pairs have a pre-shared key, how old they are, and what went wrong; empty where none is wanted."""
    links: tuple[LinkStatus, ...] = ()
    clients: tuple[ClientStatus, ...] = ()
    routing: RoutingStatus | None = None
