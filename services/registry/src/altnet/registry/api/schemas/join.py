"""Clients that join by a token, and what they need to configure WireGuard."""

from __future__ import annotations

from typing import Annotated

from altnet.common.contracts.client import ClientConfig
from altnet.common.http.schema import Model
from altnet.registry.api.schemas.clients import AccessPoint, MeasuredLatencies, NetworkClient
from altnet.registry.api.schemas.common import Key, Labels, Name, Region, Time
from altnet.registry.domain.wgquick import Tunnel, render
from msgspec import to_builtins
from pydantic import Field


class Join(Model):
    """Somebody asks to become a client. The key pair is made by the caller, and the private key stays there."""

    token: Annotated[str, Field(max_length=256)]
    """A join token of kind `client`."""
    key: Key
    """The public key."""
    name: Name
    region: Region = ""
    """Where the client is; without it, the label `region` of the token."""
    labels: Labels = Field(default_factory=dict)
    """Labels of the token count before these."""
    movable: bool = False
    """It runs altnetd, which follows to another relay by itself; so it gets a standby relay too."""
    latencies: MeasuredLatencies = Field(default_factory=dict)
    """Milliseconds by relay, if it has measured any; the choice of its relay uses them."""


class KeyWish(Model):
    """A client is to make itself another key and to announce it."""

    epoch: int
    challenge: str
    """Public key to which the announcement proves that both keys are held."""


class ClientConfiguration(Model):
    """What a client's program needs, without the private key: `relays` for one that can move, else what the wg-quick
    file says."""

    client: str
    name: str
    network: str
    prefix: str
    """The network's /48."""
    addresses: list[str]
    """Of the interface, each a /128."""
    dns: str | None
    """The resolver, an address of the relay."""
    search: str
    """The search domain."""
    mtu: int
    relay_name: str
    relay_key: str
    """The relay's public key towards clients: the one peer."""
    endpoint: str
    """Where the relay is reached, host:port."""
    routes: list[str]
    """What goes through the tunnel: the peer's allowed IPs."""
    keepalive: int
    """Seconds."""
    relays: list[AccessPoint]
    """Its own relay, then the one that stands by."""
    attach_port: int
    """UDP port at that address of a relay, where a client that can move says that it is attached."""
    movable: bool
    key: str
    """The client's present public key."""
    next_key: str
    """The one that it has announced, for which `relays[].next` is; empty: none."""
    wish: KeyWish | None
    """It is to make another key."""
    renew_by: Time | None
    """The latest date of the file of before, while keys are being replaced."""
    text: str
    """All of it as a wg-quick file, with a placeholder for the private key."""

    @classmethod
    def of(cls, tunnel: Tunnel, config: ClientConfig) -> ClientConfiguration:
        return cls(
            client=config.client,
            name=config.name,
            network=config.network,
            prefix=config.prefix,
            relays=[AccessPoint.model_validate(to_builtins(one)) for one in config.relays],
            attach_port=config.attach_port,
            movable=config.movable,
            key=config.key,
            next_key=config.next_key,
            wish=None if config.wish is None else KeyWish.model_validate(to_builtins(config.wish)),
            renew_by=tunnel.renew_by,
            addresses=[f"{address}/128" for address in tunnel.addresses],
            dns=None if tunnel.dns is None else str(tunnel.dns),
            search=tunnel.search,
            mtu=tunnel.mtu,
            relay_name=tunnel.relay_name,
            relay_key=tunnel.relay_key.base64,
            endpoint=tunnel.endpoint,
            routes=list(tunnel.routes),
            keepalive=tunnel.keepalive,
            text=render(tunnel),
        )


class JoinAnswer(Model):
    """The holder of the key is a client."""

    client: NetworkClient
    created: bool
    """False if the key was known; then no use of the token was taken."""
    configuration: ClientConfiguration
    secret: str
    """Bearer token by which the client asks about itself (its configuration, its ranked relays) and reports latencies.
    It is shown here only, replaces the one before, and ends with the client."""
    change: int | None
