"""What a relay agent says: that it is alive, what it has applied, and how its links are.

Heartbeats and acknowledgements are core NATS messages on the relay's own subjects: the last one counts, a lost one
is made good by the next. The sender's identity is the subject's, which the server guards; nothing in a payload is
believed about who sent it.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from altnet.common.contracts.desired import Encapsulation, Generation
from altnet.common.contracts.routing import Engine, RoutingStatus

Text = Annotated[str, msgspec.Meta(max_length=512)]


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """What is applied on the host, as far as the agent has seen it in the kernel."""

    mesh_generation: Generation
    mesh_digest: Annotated[str, msgspec.Meta(max_length=64)]
    document_generation: Generation
    document_digest: Annotated[str, msgspec.Meta(max_length=64)]
    failed: tuple[Failure, ...] = ()
    """Objects that could not be applied (at most 20 are named)."""
    failed_count: int = 0


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """One object that is not as desired, and why."""

    plane: Text
    object: Text
    reason: Text
    retry_after: float | None = None


class LinkStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One link, as this end sees it. Times in seconds, sizes in bytes."""

    neighbour: str
    up: bool
    handshake_age: float | None = None
    received: int = 0
    sent: int = 0
    rtt: float | None = None
    loss: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    endpoint: Text | None = None
    """Where the neighbour's packets come from."""
    preshared_age: float | None = None
    """Of the pair's pre-shared key; None where it has none."""


class ClientStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One attached client, as its relay sees it."""

    client: str
    handshake_age: float | None = None
    received: int = 0
    sent: int = 0
    endpoint: Text | None = None
    attached: bool = True
    """Whether its traffic comes and goes here; a client that only keeps this relay ready is not attached."""
    rtt: float | None = None
    """Between the client and this relay, as the client measured it."""
    next_key: Text = ""
    """The announced key by which a handshake was seen; empty: none was, or no other key was announced."""


class HostStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The machine below the agent."""

    load: float = 0.0
    """Runnable processes, mean of one minute, divided by the number of processors."""
    memory_used: float = 0.0
    """Share of memory in use, 0 … 1."""
    agent_rss: int = 0
    """Bytes."""
    uptime: float = 0.0


class Versions(msgspec.Struct, frozen=True, kw_only=True):
    """What runs there."""

    agent: Text = ""
    kernel: Text = ""
    wireguard: Text = ""
    """`kernel` or `wireguard-go`, and its version where it tells."""
    encapsulations: tuple[Encapsulation, ...] = (Encapsulation.VXLAN,)
    routing: Engine = Engine.STATIC


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """Sent every `MeshSettings.heartbeat` seconds, and at once after a change of health."""

    boot: Text
    """Random, made when the agent starts: a new one means a restart."""
    number: Annotated[int, msgspec.Meta(ge=0)]
    """Counts up from 0 within a boot: a gap is a lost heartbeat."""
    applied: Applied
    health: Text = "ok"
    """`ok`, or what is wrong in a few words."""
    links: tuple[LinkStatus, ...] = ()
    clients: tuple[ClientStatus, ...] = ()
    host: HostStatus = HostStatus()
    versions: Versions = Versions()
    routing: RoutingStatus | None = None
