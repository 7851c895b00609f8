"""What a client is told: its own addresses, what goes through the tunnel, and the relays that it may attach to.

The registry answers with it (`GET /v1/clients/{id}/configuration`, `POST /v1/join`), altnetd follows it and keeps it on
its disk. The private key is in none of it. Invariant: everything that a client needs to come up without the registry
is in here.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from altnet.common.contracts.attach import ATTACH_PORT
from altnet.common.contracts.desired import Port

Text = Annotated[str, msgspec.Meta(max_length=512)]


class NextPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A relay's other access device."""

    key: Text
    """Public key of it, base64."""
    endpoints: Annotated[tuple[Text, ...], msgspec.Meta(max_length=16)]


class KeyWish(msgspec.Struct, frozen=True, kw_only=True):
    """The client is to make itself another key (contracts.client_keys)."""

    epoch: Annotated[int, msgspec.Meta(ge=1)]
    challenge: Text
    """A public key, base64, to which whoever announces a key proves that they hold it, and the present one."""


class AccessPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A relay, as its client sees it."""

    relay: Text
    name: Text
    key: Text
    """Public key of its access interface, base64."""
    endpoints: Annotated[tuple[Text, ...], msgspec.Meta(max_length=16)]
    """`host:port` or `[address]:port`, preferred first."""
    address: Text
    """Its address inside the tunnel where hellos and echo requests go (net.AddressPlan.attach_address)."""
    priority: Annotated[int, msgspec.Meta(ge=0, le=1000)]
    """0 is the relay where the client belongs; the next ones stand by, lower first."""
    next: NextPoint | None = None
    """Where this session is to move to, without a break: another key of the relay, or of ours, or both."""


class ClientConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One client's configuration."""

    client: Text
    name: Text
    network: Text
    prefix: Text
    """The network's /48."""
    addresses: Annotated[tuple[Text, ...], msgspec.Meta(min_length=1, max_length=256)]
    """Its own, each a /128: its address, then those of its services."""
    routes: Annotated[tuple[Text, ...], msgspec.Meta(max_length=4096)]
    """What goes through the tunnel: the network and the sites behind it."""
    mtu: Annotated[int, msgspec.Meta(ge=1280, le=9000)]
    keepalive: Annotated[int, msgspec.Meta(ge=0, le=65535)]
    """Seconds; towards each relay."""
    relays: Annotated[tuple[AccessPoint, ...], msgspec.Meta(max_length=8)] = ()
    """By priority. Empty while its relay was revoked and it has no other."""
    attach_port: Port = ATTACH_PORT
    key: Text = ""
    """Our present public key; empty from a registry that does not know of rotations."""
    next_key: Text = ""
    """The one that we have announced, and that relays take beside the present one: `relays[…].next` is for it."""
    wish: KeyWish | None = None
    movable: bool = False
    """It may attach to any of `relays`; else to the first alone, and says nothing about it."""
