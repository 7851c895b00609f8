"""What altnetd tells the owner of its host: the answer of the control socket and of `altnetd status`."""

from __future__ import annotations

import msgspec


class RelayView(msgspec.Struct, frozen=True, kw_only=True):
    """One relay, as this client sees it. Times in seconds, sizes in bytes."""

    relay: str
    name: str
    priority: int
    in_use: bool = False
    answers: bool = False
    rtt: float | None = None
    silence: float | None = None
    """Since its last answer; None before the first."""
    handshake_age: float | None = None
    endpoint: str | None = None
    received: int = 0
    sent: int = 0


class ClientView(msgspec.Struct, frozen=True, kw_only=True):
    """What `altnetd status` shows."""

    running: bool
    client: str = ""
    name: str = ""
    network: str = ""
    addresses: tuple[str, ...] = ()
    interface: str = ""
    key: str = ""
    """Our public key that is in use; empty from a registry that does not tell."""
    changing_keys: bool = False
    """Whether sessions of the next keys are being brought up, or those of before are still kept."""
    key_changes: int = 0
    """How often keys were changed since the start, ours or those of relays."""
    health: str = "not running"
    """`ok`, or what is wrong in a few words."""
    relay: str | None = None
    """Which is in use."""
    attached: bool = False
    """Whether it has said that it holds us."""
    moves: int = 0
    """Changes of the relay since the start."""
    last_move: str = ""
    version: str = ""
    backend: str = ""
    uptime: float = 0.0
    relays: tuple[RelayView, ...] = ()
    refused: tuple[str, ...] = ()
    """Routes that cannot be had."""
