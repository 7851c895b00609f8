"""Where the bus is, and how long to wait for it: one named setting for each wait, with its reason."""

from __future__ import annotations

from typing import Literal

import msgspec


class BusSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the bus is and how long to wait for it. Times in seconds, sizes in bytes."""

    servers: tuple[str, ...] = ("nats://127.0.0.1:4222",)
    """`nats://host:port` or `tls://host:port` (insists on TLS); tried in turn, in random order."""
    tls_ca: str | None = None
    """File of certificates to trust beside the system's."""
    tls_hostname: str | None = None
    """Name to expect in the server's certificate, where it is reached by another one."""
    replicas: Literal[1, 3, 5] = 1
    """Copies of each stream, in a cluster of at least so many servers: three survive the loss of one, five of two. A
    server alone has one; whatever is lost comes back from Postgres."""
    connect_timeout: float = 10.0
    """For TCP, TLS and the proof of identity together, also at a server that a thousand others come back to."""
    request_timeout: float = 5.0
    """For one answer of the server itself; R3 streams elect a new leader in 4.4 s (measured)."""
    close_timeout: float = 3.0
    """For sending what is left on closing; a dead server must not hold up a service's end."""
    callback_timeout: float = 60.0
    """For one `on_connect` callback: it may fetch a whole mesh over a slow link."""
    reconnect_wait: float = 0.2
    """Before the first new attempt, doubled each time: a restarted server is there in 10 ms."""
    reconnect_wait_max: float = 2.0
    """Longest wait between attempts: a thousand agents are back within 5 s of the server."""
    refused_wait_max: float = 15.0
    """The same once the server refuses our identity: it will not change its mind soon, and checks cost it CPU."""
    reconnect_jitter: float = 1.0
    """Share of each wait that is random, so that a thousand agents do not come at once."""
    ping_interval: float = 20.0
    """Between pings: below the minute after which firewalls forget idle TCP."""
    pings_outstanding: int = 2
    """Unanswered pings before the connection counts as dead."""
    pending_messages: int = 65_536
    """Waiting for one subscription's handler; more are dropped and counted."""
    pending_bytes: int = 64 * 2**20
    """The same in bytes."""
    outgoing_bytes: int = 2**20
    """Buffered towards the server before `publish` waits for it."""
