"""What the agent may ask of WireGuard, whichever backend does it.

Every verb is level-triggered: creating what exists and removing what is missing succeed. No verb replaces all peers
of a device, because that resets every session. Choosing the changes is the caller's work (read, diff, apply).

Invariant: a value that can be built here is one that both backends accept, but for what only the host can know.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, Protocol

import msgspec
from altnet.common.errors import Invalid, NotFound, Unavailable
from altnet.common.keys import KEY_BYTES, PrivateKey, PublicKey
from altnet.common.net import Prefix

LONGEST_NAME: Final = 15
"""Bytes of an interface name (IFNAMSIZ less the final zero, linux/if.h)."""

_ZONE: Final = re.compile(r"[A-Za-z0-9_.-]{1,15}")
"""An interface, as far as an endpoint names one. ip_address takes any text as a zone, line breaks included, and
wireguard-go is spoken to in lines."""


@dataclass(frozen=True)
class PresharedKey:
    """The optional symmetric key of a pair (32 bytes); never shows itself. `NO_PSK` takes one away."""

    _raw: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self._raw) != KEY_BYTES:
            raise ValueError("a pre-shared key has 32 bytes")

    def reveal(self) -> bytes:
        """The 32 bytes, for the kernel or a file of mode 0600, and for nothing else."""
        return self._raw

    def __repr__(self) -> str:
        return "PresharedKey(<hidden>)"

    __str__ = __repr__


NO_PSK: Final = PresharedKey(bytes(KEY_BYTES))


class Endpoint(msgspec.Struct, frozen=True, gc=False):
    """Where a peer's UDP packets go. A link-local address carries its interface: `fe80::1%eth0`."""

    address: IPv4Address | IPv6Address
    port: int

    def __post_init__(self) -> None:
        if not 1 <= self.port <= 65535:
            raise ValueError("a port is 1 … 65535")

    @classmethod
    def parse(cls, text: str, *, field: str | None = None) -> Endpoint:
        """Read `192.0.2.1:51820` or `[2001:db8::1]:51820`; no host names. Raises `Invalid` (`bad_endpoint`)."""
        host, _, port = text.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        try:
            address = ip_address(host[1:-1] if bracketed else host)
            if bracketed != (address.version == 6) or not (port.isascii() and port.isdigit()):
                raise ValueError
            if "%" in host and not _ZONE.fullmatch(host[1:-1].partition("%")[2]):
                raise ValueError
            return cls(address, int(port))
        except ValueError:
            raise Invalid(
                "bad_endpoint",
                "not an endpoint.",
                field=field,
                mend="Write address:port, an IPv6 address in brackets, like [2001:db8::1]:51820.",
            ) from None

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if self.address.version == 6 else f"{self.address}:{self.port}"


class PeerConfig(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A peer as wanted. `allowed` is kept sorted and without doubles, so that equal sets are equal values."""

    key: PublicKey
    allowed: tuple[Prefix, ...] = ()
    endpoint: Endpoint | None = None
    """None: only the other side can begin."""
    keepalive: int = 0
    """Seconds, 0 … 65535; 0 is off."""
    psk: PresharedKey | None = None

    def __post_init__(self) -> None:
        _check_keepalive(self.keepalive)
        if len(self.allowed) > 1:
            msgspec.structs.force_setattr(self, "allowed", canonical(self.allowed))


class PeerState(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A peer as the device has it."""

    key: PublicKey
    allowed: tuple[Prefix, ...] = ()
    """Canonical order, as in `PeerConfig`."""
    endpoint: Endpoint | None = None
    """Where its packets last came from; before the first one, what was configured. wireguard-go leaves out the
    interface of a link-local address."""
    keepalive: int = 0
    psk: PresharedKey | None = None
    last_handshake: float | None = None
    """Unix time in seconds; None before the first one."""
    rx: int = 0
    tx: int = 0
    """Bytes received and sent, WireGuard's own headers included."""


class DeviceState(msgspec.Struct, frozen=True, kw_only=True):
    """A device as it is."""

    name: str
    public_key: PublicKey | None
    """None before a private key is set."""
    listen_port: int
    """0 while the device is down and no port was asked for."""
    peers: Mapping[PublicKey, PeerState]


class Action(StrEnum):
    """What a change does to its peer."""

    ADD = "add"
    """Make the peer, or change it where it exists."""
    UPDATE = "update"
    """Change the peer; nothing happens where it does not exist."""
    REMOVE = "remove"


class PeerChange(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One step for one peer. Fields that are None stay as they are. Use `add`, `update` and `remove` to make one.

    An allowed prefix that another peer of the device holds moves to this one. An endpoint can be set, never cleared:
    remove the peer and add it again. The device's own key as a peer is ignored without an error.
    """

    action: Action
    key: PublicKey
    allowed: tuple[Prefix, ...] = ()
    replace_allowed: bool = False
    """Drop the prefixes that are not in `allowed`; else those in `allowed` come on top. On a live peer the kernel
    drops all before it adds, and a packet that comes between is lost: where prefixes only join, do not replace."""
    endpoint: Endpoint | None = None
    keepalive: int | None = None
    psk: PresharedKey | None = None
    """`NO_PSK` takes the key away."""

    def __post_init__(self) -> None:
        if self.keepalive is not None:
            _check_keepalive(self.keepalive)

    @classmethod
    def add(cls, peer: PeerConfig) -> PeerChange:
        """The peer exactly as given; an endpoint that it had stays where none is given."""
        return cls(
            action=Action.ADD,
            key=peer.key,
            allowed=peer.allowed,
            replace_allowed=True,
            endpoint=peer.endpoint,
            keepalive=peer.keepalive,
            psk=peer.psk or NO_PSK,
        )

    @classmethod
    def update(
        cls,
        key: PublicKey,
        *,
        allowed: Sequence[Prefix] = (),
        replace_allowed: bool = False,
        endpoint: Endpoint | None = None,
        keepalive: int | None = None,
        psk: PresharedKey | None = None,
    ) -> PeerChange:
        """The given fields of a peer that exists."""
        return cls(
            action=Action.UPDATE,
            key=key,
            allowed=tuple(allowed),
            replace_allowed=replace_allowed,
            endpoint=endpoint,
            keepalive=keepalive,
            psk=psk,
        )

    @classmethod
    def remove(cls, key: PublicKey) -> PeerChange:
        return cls(action=Action.REMOVE, key=key)


class DeviceConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a device has of its own."""

    private_key: PrivateKey
    listen_port: int
    """UDP, 1 … 65535; 0 lets the host choose."""

    def __post_init__(self) -> None:
        if not 0 <= self.listen_port <= 65535:
            raise ValueError("a port is 0 … 65535")


class WireGuardRefused(Invalid):
    """The host refuses a change for good. `peer` is the one at fault, where that could be found out."""

    def __init__(self, device: str, reason: str, *, peer: PublicKey | None = None) -> None:
        who = f"peer {peer} of " if peer is not None else ""
        super().__init__(
            "wireguard_refused",
            f"{who}{device} was refused: {reason}.",
            mend="Compare with what the device has (`wg show`); the changes before it may be applied.",
        )
        self.device = device
        self.peer = peer


def no_device(name: str) -> NotFound:
    """The error of every verb but `create`, `remove` and `list` on a device that does not exist."""
    return NotFound("no_device", f"there is no WireGuard device {name}.", mend="Create it first.")


def wireguard_unavailable(reason: str, *, mend: str | None = None) -> Unavailable:
    """The error of a backend that does not answer, or not in time."""
    return Unavailable("wireguard_unavailable", f"WireGuard does not answer: {reason}.", mend=mend)


class WireGuard(Protocol):
    """A host's WireGuard. Every verb raises `Unavailable` where the host does not answer in time."""

    @property
    def backend(self) -> str:
        """`kernel`, `wireguard-go` or `memory`."""
        ...

    async def create(self, name: str) -> None:
        """Make the device, down and without key. Raises `Conflict` (`name_in_use`) where another kind has the name."""
        ...

    async def configure(self, name: str, config: DeviceConfig) -> None:
        """Set the device's own key and port; peers stay. A peer with the same key as the device is dropped.

        Raises `NotFound` (`no_device`), `WireGuardRefused` (a port in use, while the device is up).
        """
        ...

    async def apply(self, name: str, changes: Sequence[PeerChange]) -> None:
        """Make the changes, in order. NOT a transaction: on an error the changes before it may be applied, so read
        again and send the difference. Raises `NotFound` (`no_device`), `WireGuardRefused` with the peer at fault.
        """
        ...

    async def read(self, name: str) -> DeviceState:
        """The device as it is now. Raises `NotFound` (`no_device`)."""
        ...

    async def remove(self, name: str) -> None:
        """Delete the device and its sessions. Leaves a device of another kind alone."""
        ...

    async def list(self) -> tuple[str, ...]:
        """The devices that are ours (their names begin with the backend's `prefix`), sorted."""
        ...

    async def close(self) -> None:
        """Let go of sockets. Devices stay."""
        ...


def check_name(name: str) -> str:
    """Return `name` if it can name an interface. Raises `Invalid` (`bad_interface_name`)."""
    if not 1 <= len(name.encode()) <= LONGEST_NAME or name in {".", ".."} or not all(map(_name_character, name)):
        raise Invalid(
            "bad_interface_name",
            f"{name!r} cannot name an interface.",
            mend=f"Use 1 to {LONGEST_NAME} letters, digits, '-', '_' or '.'.",
        )
    return name


def canonical(prefixes: Sequence[Prefix]) -> tuple[Prefix, ...]:
    """Sorted, without doubles: IPv4 first, then by address and length."""
    return tuple(sorted(set(prefixes), key=_prefix_order))


def scope_number(scope: str) -> int:
    """The interface index behind the `%…` of a link-local address. Raises `OSError` where there is none."""
    return int(scope) if scope.isdigit() else socket.if_nametoindex(scope)


def _name_character(character: str) -> bool:
    # Stricter than the kernel, which takes anything but '/' and white space: names end up in paths and commands.
    return character.isascii() and (character.isalnum() or character in "-_.")


@lru_cache(maxsize=32768)
def _prefix_order(prefix: Prefix) -> tuple[int, int, int]:
    return prefix.version, int(prefix.network_address), prefix.prefixlen


def _check_keepalive(seconds: int) -> None:
    if not 0 <= seconds <= 65535:
        raise ValueError("a keepalive is 0 … 65535 seconds")
