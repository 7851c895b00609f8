"""The WireGuard planes: devices, and their peers.

A device is adopted as it is: its peers and sessions outlive the agent. A peer's endpoint belongs to whoever last
heard from it, so an update gives one to a new peer only; finding a peer that does not answer is poke.py's work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
from altnet.common.errors import AltnetError, NotFound, Unavailable
from altnet.common.kernel.links import Links
from altnet.common.kernel.wireguard import (
    NO_PSK,
    Action,
    DeviceConfig,
    Endpoint,
    PeerChange,
    PeerConfig,
    PeerState,
    WireGuard,
    WireGuardRefused,
    canonical,
)
from altnet.common.keys import PrivateKey, PublicKey
from altnet.relay_agent.diff import Delete, Update
from altnet.relay_agent.pieces import DEVICES, PEERS, Device, Key, Names, Peer
from altnet.relay_agent.planes import Failures
from altnet.relay_agent.poke import KICK, Poker, literal


class DevicesPlane:
    """The agent's WireGuard devices. `keys` gives the private key of each by name, None where there is none."""

    name = DEVICES

    def __init__(
        self,
        wireguard: WireGuard,
        links: Links,
        names: Names,
        keys: Callable[[str], PrivateKey | None],
        *,
        made: Callable[[str], None],
    ) -> None:
        self._wireguard = wireguard
        self._links = links
        self._names = names
        self._keys = keys
        self._made = made

    async def read(self) -> Mapping[Key, Device]:
        states = await self._links.read_links(self._names.prefix)
        found: dict[Key, Device] = {}
        for name in await self._wireguard.list():
            if name not in self._names.devices:
                continue
            try:
                device = await self._wireguard.read(name)
            except NotFound:
                continue
            link = states.get(name)
            found[name] = Device(
                name=name,
                public_key=device.public_key,
                listen_port=device.listen_port,
                mtu=link.mtu if link else 0,
                up=link.up if link else False,
            )
        return found

    def same(self, have: Device, want: Device) -> bool:
        return have == want

    async def update(self, operations: Sequence[Update]) -> Failures:
        failures: Failures = {}
        for operation in operations:
            want: Device = operation.want
            try:
                await self._make(want)
            except AltnetError as error:
                failures[operation.key] = error
        return failures

    async def delete(self, operations: Sequence[Delete]) -> Failures:
        failures: Failures = {}
        for operation in operations:
            try:
                await self._wireguard.remove(str(operation.key))
            except AltnetError as error:
                failures[operation.key] = error
        return failures

    async def _make(self, want: Device) -> None:
        if want.name not in await self._wireguard.list():
            await self._wireguard.create(want.name)
            self._made(want.name)
        key = self._keys(want.name)
        if key is None or key.public() != want.public_key:
            raise Unavailable("no_private_key", f"this host does not hold the private key of {want.name}.")
        config = DeviceConfig(private_key=key, listen_port=want.listen_port)
        await self._wireguard.configure(want.name, config)
        await self._links.set_link(want.name, mtu=want.mtu, up=want.up)


class PeersPlane:
    """The peers of both devices."""

    name = PEERS

    def __init__(
        self,
        wireguard: WireGuard,
        names: Names,
        poker: Poker,
        *,
        last_endpoint: Callable[[PublicKey], Endpoint | None] = lambda _key: None,
    ) -> None:
        """`last_endpoint` tells where a client was before its peer was lost with the device."""
        self._wireguard = wireguard
        self._names = names
        self._poker = poker
        self._last_endpoint = last_endpoint

    async def read(self) -> Mapping[Key, PeerState]:
        found: dict[Key, PeerState] = {}
        for name in await self._wireguard.list():
            if name not in self._names.devices:
                continue
            try:
                device = await self._wireguard.read(name)
            except NotFound:
                continue
            found.update({(name, key): peer for key, peer in device.peers.items()})
        return found

    def same(self, have: PeerState, want: Peer) -> bool:
        same = have.allowed == canonical(want.allowed) and have.psk == want.psk
        return same and _keepalive_stands(have.keepalive, want)

    async def update(self, operations: Sequence[Update]) -> Failures:
        failures: Failures = {}
        for device in dict.fromkeys(operation.want.device for operation in operations):
            mine = [operation for operation in operations if operation.want.device == device]
            changes = [_change(operation) for operation in mine]
            changes, greeted = await self._greeting(device, changes)
            refused = await apply_each(self._wireguard, device, changes)
            if greeted:  # the word is said; without keepalive a session may sleep
                await self._wireguard.apply(device, [PeerChange.update(key, keepalive=0) for key in greeted])
            for operation in mine:
                error = refused.get(operation.want.key)
                if error is not None:
                    failures[operation.key] = error
                elif _may_need_a_poke(operation):
                    self._poker.watch(operation.want)
                else:
                    self._poker.rekeyed(operation.want)
        return failures

    async def _greeting(self, device: str, changes: list[PeerChange]) -> tuple[list[PeerChange], list[PublicKey]]:
        """The changes with a first word to clients whose sessions were lost, and who they are.

        A client hears nothing of our power loss and would wait out WireGuard's 15 s (whitepaper §6.5).
        """
        if self._names.access_number(device) is None or not any(self._last_endpoint(change.key) for change in changes):
            return changes, []
        there = (await self._wireguard.read(device)).peers
        greeted: list[PublicKey] = []
        made: list[PeerChange] = []
        for change in changes:
            endpoint = self._last_endpoint(change.key)
            if endpoint is not None and change.key not in there:
                greeted.append(change.key)
                change = msgspec.structs.replace(change, endpoint=endpoint, keepalive=KICK)
            made.append(change)
        return made, greeted

    async def delete(self, operations: Sequence[Delete]) -> Failures:
        failures: Failures = {}
        by_device: dict[str, list[Delete]] = {}
        for operation in operations:
            device, key = _place(operation.key)
            self._poker.forget(device, key)
            by_device.setdefault(device, []).append(operation)
        for device, mine in by_device.items():
            changes = [PeerChange.remove(_place(operation.key)[1]) for operation in mine]
            try:
                refused = await apply_each(self._wireguard, device, changes)
            except NotFound:
                continue  # the peers went with their device
            failures.update({(device, key): error for key, error in refused.items()})
        return failures


async def apply_each(wireguard: WireGuard, device: str, changes: Sequence[PeerChange]) -> dict[PublicKey, AltnetError]:
    """Apply all changes but those that the host refuses, and say which those are.

    A batch is no transaction, so after a refusal the rest is sent again: all but the culprit where the host names
    it, otherwise in halves. Raises what is not about a peer (`Unavailable`, `NotFound`).
    """
    if not changes:
        return {}
    try:
        await wireguard.apply(device, changes)
    except WireGuardRefused as error:
        if len(changes) == 1:
            return {changes[0].key: error}
        if error.peer is not None and any(change.key == error.peer for change in changes):
            rest = [change for change in changes if change.key != error.peer]
            return {error.peer: error, **await apply_each(wireguard, device, rest)}
        middle = len(changes) // 2
        refused = await apply_each(wireguard, device, changes[:middle])
        return {**refused, **await apply_each(wireguard, device, changes[middle:])}
    return {}


def _change(operation: Update) -> PeerChange:
    want: Peer = operation.want
    if operation.have is None:
        return PeerChange.add(first_config(want))
    had = operation.have.keepalive if isinstance(operation.have, PeerState) else None
    keepalive = want.keepalive if want.initiator else None if had is None or _keepalive_stands(had, want) else 0
    silent = isinstance(operation.have, Peer) and not operation.have.endpoints
    wanted = canonical(want.allowed)
    allowed = canonical(operation.have.allowed) if isinstance(operation.have, Peer | PeerState) else None
    return PeerChange(
        action=Action.ADD,  # and not UPDATE: what somebody removed meanwhile has to come back
        key=want.key,
        allowed=wanted,
        # On a live peer this would drop packets; a silent one, and one that gets another key, has what it may have.
        replace_allowed=not silent and allowed != wanted,
        endpoint=literal(want.endpoints[0]) if silent and want.initiator else None,  # it may speak now
        keepalive=keepalive,
        psk=want.psk or NO_PSK,
    )


def first_config(peer: Peer) -> PeerConfig:
    """How a peer begins: the initiator speaks at once, the responder waits to be spoken to."""
    endpoint: Endpoint | None = literal(peer.endpoints[0]) if peer.initiator and peer.endpoints else None
    return PeerConfig(
        key=peer.key,
        allowed=peer.allowed,
        endpoint=endpoint,
        keepalive=peer.keepalive if peer.initiator else 0,
        psk=peer.psk,
    )


def _keepalive_stands(have: int, want: Peer) -> bool:
    if want.initiator:
        return have == want.keepalive
    return have in (0, want.keepalive)  # a responder that had to speak first goes on


def _may_need_a_poke(operation: Update) -> bool:
    want: Peer = operation.want
    if not want.endpoints:
        return False
    have = operation.have
    if not isinstance(have, Peer):
        return have is None
    return (have.endpoints, have.initiator) != (want.endpoints, want.initiator)


def _place(key: Key) -> tuple[str, PublicKey]:
    assert isinstance(key, tuple)
    device, public = key
    return device, public
