"""A host in a dictionary: WireGuard, links, addresses, neighbours and routes that behave like the kernel's.

For tests of the planes, and for simulations of a thousand agents in one process, where the objects that callers
give are kept as they are and shared. Faults can be put in. What it leaves out: packets, handshakes by themselves,
and the kernel's check that a next hop is reachable.

Invariant: the shared tests of `WireGuard` and `Links` pass here as they do on a real host.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address

import msgspec
from altnet.common.contracts.desired import Encapsulation
from altnet.common.errors import Conflict, NotFound
from altnet.common.kernel.links import (
    MAIN_TABLE,
    Address,
    Dummy,
    HostRefused,
    Interface,
    Ip6Gre,
    Link,
    LinkState,
    Neighbour,
    Route,
    RouteFailure,
    Vxlan,
    no_link,
)
from altnet.common.kernel.wireguard import (
    NO_PSK,
    Action,
    DeviceConfig,
    DeviceState,
    Endpoint,
    PeerChange,
    PeerState,
    WireGuardRefused,
    canonical,
    check_name,
    no_device,
)
from altnet.common.keys import PublicKey
from altnet.common.net import Prefix

FIRST_PORT = 49152
"""Where ports that the host chooses begin (RFC 6335 §6)."""


@dataclass(slots=True)
class _Device:
    public_key: PublicKey | None = None
    listen_port: int = 0
    peers: dict[PublicKey, PeerState] = field(default_factory=dict)
    owners: dict[Prefix, PublicKey] = field(default_factory=dict)


class MemoryHost:
    """One host: its `wireguard` and its `links` see the same interfaces.

    `fail_next("apply", error)` makes the next call of that verb raise; `after=3` lets the first three changes of an
    `apply` happen before, as a real device would.
    """

    def __init__(
        self,
        *,
        prefix: str = "",
        encapsulations: tuple[Encapsulation, ...] = (Encapsulation.VXLAN,),
    ) -> None:
        self.prefix = prefix
        self.devices: dict[str, _Device] = {}
        self.link_states: dict[str, LinkState] = {
            "lo": LinkState(name="lo", index=1, kind="", mtu=65536, mac="00:00:00:00:00:00", up=True)
        }
        self.addresses: defaultdict[str, set[Interface]] = defaultdict(set)
        self.neighbours: dict[tuple[str, Address], Neighbour] = {}
        self.routes: dict[tuple[int, Prefix, int], Route] = {}
        self.sysctls = {"net/ipv4/ip_forward": "0", "net/ipv6/conf/all/forwarding": "0"}
        self.supported = encapsulations
        self._faults: defaultdict[str, deque[tuple[Exception, int]]] = defaultdict(deque)
        self._index = 1
        self.wireguard = MemoryWireGuard(self)
        self.links = MemoryLinks(self)

    def fail_next(self, verb: str, error: Exception, *, times: int = 1, after: int = 0) -> None:
        """Let the next `times` calls of `verb` (a method's name) raise `error`."""
        if not hasattr(MemoryWireGuard, verb) and not hasattr(MemoryLinks, verb):
            raise ValueError(f"a host has no verb {verb}")
        self._faults[verb].extend([(error, after)] * times)

    def handshake(
        self,
        device: str,
        peer: PublicKey,
        *,
        at: float,
        endpoint: Endpoint | None = None,
        rx: int | None = None,
        tx: int | None = None,
    ) -> None:
        """Let a handshake with `peer` have happened at `at` (Unix seconds)."""
        peers = self.devices[device].peers
        old = peers[peer]
        peers[peer] = msgspec.structs.replace(
            old,
            last_handshake=at,
            endpoint=endpoint or old.endpoint,
            rx=old.rx if rx is None else rx,
            tx=old.tx if tx is None else tx,
        )

    def add_interface(self, name: str, kind: str, *, mtu: int = 1500, mac: str | None = None, up: bool = False) -> None:
        """Make an interface of any kind: somebody else's, for instance."""
        self._index += 1
        self.link_states[name] = LinkState(name=name, index=self._index, kind=kind, mtu=mtu, mac=mac, up=up)

    def remove_interface(self, name: str) -> None:
        """Delete an interface, and all that hangs on it, as the kernel does."""
        self.link_states.pop(name, None)
        self.devices.pop(name, None)
        self.addresses.pop(name, None)
        self.forget_routes(name)
        self.neighbours = {at: entry for at, entry in self.neighbours.items() if at[0] != name}

    def forget_routes(self, device: str) -> None:
        self.routes = {at: route for at, route in self.routes.items() if route.device != device}

    def fault(self, verb: str) -> tuple[Exception | None, int]:
        """Take the next fault of `verb`: the error, and how many changes go through before it."""
        queue = self._faults.get(verb)
        return queue.popleft() if queue else (None, 0)

    def check_fault(self, verb: str) -> None:
        error, _ = self.fault(verb)
        if error is not None:
            raise error


class MemoryWireGuard:
    """`WireGuard` on a `MemoryHost`."""

    backend = "memory"

    def __init__(self, host: MemoryHost) -> None:
        self._host = host

    async def create(self, name: str) -> None:
        check_name(name)
        self._host.check_fault("create")
        if name in self._host.devices:
            return
        if name in self._host.link_states:
            raise Conflict("name_in_use", f"{name} is an interface of another kind.", mend="Choose another name.")
        self._host.devices[name] = _Device()
        self._host.add_interface(name, "wireguard", mtu=1420)

    async def configure(self, name: str, config: DeviceConfig) -> None:
        self._host.check_fault("configure")
        device = self._device(name)
        own = config.private_key.public()
        if own in device.peers:
            _drop(device, own)
        device.public_key = own
        device.listen_port = config.listen_port or device.listen_port or FIRST_PORT + len(self._host.devices)

    async def apply(self, name: str, changes: Sequence[PeerChange]) -> None:
        error, through = self._host.fault("apply")
        device = self._device(name)
        for change in changes if error is None else changes[:through]:
            self._change(name, device, change)
        if error is not None:
            raise error

    async def read(self, name: str) -> DeviceState:
        self._host.check_fault("read")
        device = self._device(name)
        return DeviceState(
            name=name, public_key=device.public_key, listen_port=device.listen_port, peers=device.peers.copy()
        )

    async def remove(self, name: str) -> None:
        self._host.check_fault("remove")
        if name in self._host.devices:
            self._host.remove_interface(name)

    async def list(self) -> tuple[str, ...]:
        self._host.check_fault("list")
        return tuple(sorted(name for name in self._host.devices if name.startswith(self._host.prefix)))

    async def close(self) -> None:
        pass

    def _device(self, name: str) -> _Device:
        device = self._host.devices.get(name)
        if device is None:
            raise no_device(name)
        return device

    def _change(self, name: str, device: _Device, change: PeerChange) -> None:
        key = change.key
        if change.action is Action.REMOVE:
            if key in device.peers:
                _drop(device, key)
            return
        if key == device.public_key or (change.action is Action.UPDATE and key not in device.peers):
            return
        if change.endpoint is not None:
            self._check_scope(name, change.endpoint, key)
        old = device.peers.get(key) or PeerState(key=key)
        allowed = change.allowed if change.replace_allowed else old.allowed + change.allowed
        if len(allowed) > 1:
            allowed = canonical(allowed)
        device.peers[key] = PeerState(
            key=key,
            allowed=allowed,
            endpoint=old.endpoint if change.endpoint is None else change.endpoint,
            keepalive=old.keepalive if change.keepalive is None else change.keepalive,
            psk=old.psk if change.psk is None else None if change.psk == NO_PSK else change.psk,
            last_handshake=old.last_handshake,
            rx=old.rx,
            tx=old.tx,
        )
        if change.replace_allowed:
            for prefix in old.allowed:
                if device.owners[prefix] == key:
                    del device.owners[prefix]
        for prefix in change.allowed:
            holder = device.owners.get(prefix)
            if holder is not None and holder != key:
                loser = device.peers[holder]
                kept = tuple(held for held in loser.allowed if held != prefix)
                device.peers[holder] = msgspec.structs.replace(loser, allowed=kept)
            device.owners[prefix] = key

    def _check_scope(self, name: str, endpoint: Endpoint, key: PublicKey) -> None:
        scope = endpoint.address.scope_id if isinstance(endpoint.address, IPv6Address) else None
        if scope is not None and not scope.isdigit() and scope not in self._host.link_states:
            raise WireGuardRefused(name, f"its endpoint is on {scope}, which does not exist", peer=key)


class MemoryLinks:
    """`Links` on a `MemoryHost`."""

    def __init__(self, host: MemoryHost) -> None:
        self._host = host

    async def encapsulations(self) -> tuple[Encapsulation, ...]:
        self._host.check_fault("encapsulations")
        return self._host.supported

    async def put_link(self, link: Link) -> None:
        check_name(link.name)
        self._host.check_fault("put_link")
        kind = _kind(link)
        old = self._host.link_states.get(link.name)
        if old is not None and old.kind != kind:
            raise HostRefused(f"link {link.name}", f"an interface of kind {old.kind or 'unknown'} has that name")
        if isinstance(link.form, Ip6Gre) and Encapsulation.IP6GRE not in self._host.supported:
            raise HostRefused(f"link {link.name}", "Operation not supported")
        if old is not None and old.form != link.form:
            self._host.remove_interface(link.name)
            old = None
        if old is None:
            self._host.add_interface(link.name, kind, mac=link.mac)
        state = self._host.link_states[link.name]
        self._host.link_states[link.name] = msgspec.structs.replace(
            state, form=link.form, mtu=link.mtu or state.mtu, mac=link.mac or state.mac
        )
        self._set_up(link.name, up=link.up)

    async def set_link(self, name: str, *, mtu: int | None = None, up: bool | None = None) -> None:
        self._host.check_fault("set_link")
        state = self._link(name)
        if mtu is not None:
            self._host.link_states[name] = msgspec.structs.replace(state, mtu=mtu)
        if up is not None:
            self._set_up(name, up=up)

    async def delete_link(self, name: str) -> None:
        self._host.check_fault("delete_link")
        state = self._host.link_states.get(name)
        if state is None:
            return
        if state.form is None:
            raise HostRefused(f"deleting {name}", f"it is not ours, its kind is {state.kind or 'unknown'}")
        self._host.remove_interface(name)

    async def read_links(self, prefix: str = "") -> Mapping[str, LinkState]:
        self._host.check_fault("read_links")
        return {name: state for name, state in self._host.link_states.items() if name.startswith(prefix)}

    async def put_address(self, device: str, address: Interface) -> None:
        self._host.check_fault("put_address")
        self._link(device)
        self._host.addresses[device].add(address)

    async def delete_address(self, device: str, address: Interface) -> None:
        self._host.check_fault("delete_address")
        self._host.addresses[device].discard(address)

    async def read_addresses(self, device: str) -> frozenset[Interface]:
        self._host.check_fault("read_addresses")
        self._link(device)
        return frozenset(self._host.addresses[device])

    async def read_all_addresses(self, prefix: str = "") -> Mapping[str, frozenset[Interface]]:
        self._host.check_fault("read_addresses")
        return {
            name: frozenset(addresses)
            for name, addresses in self._host.addresses.items()
            if addresses and name.startswith(prefix)
        }

    async def put_neighbour(self, neighbour: Neighbour) -> None:
        self._host.check_fault("put_neighbour")
        self._link(neighbour.device)
        self._host.neighbours[neighbour.device, neighbour.address] = neighbour

    async def delete_neighbour(self, device: str, address: Address) -> None:
        self._host.check_fault("delete_neighbour")
        self._host.neighbours.pop((device, address), None)

    async def read_neighbours(self, device: str) -> frozenset[Neighbour]:
        self._host.check_fault("read_neighbours")
        self._link(device)
        return frozenset(entry for entry in self._host.neighbours.values() if entry.device == device)

    async def read_all_neighbours(self, prefix: str = "") -> frozenset[Neighbour]:
        self._host.check_fault("read_neighbours")
        return frozenset(entry for entry in self._host.neighbours.values() if entry.device.startswith(prefix))

    async def put_routes(self, routes: Sequence[Route]) -> tuple[RouteFailure, ...]:
        self._host.check_fault("put_routes")
        failures = []
        for route in routes:
            if (reason := self._objection(route)) is not None:
                failures.append(RouteFailure(route, reason))
            else:
                self._host.routes[_identity(route)] = route
        return tuple(failures)

    async def delete_routes(self, routes: Sequence[Route]) -> tuple[RouteFailure, ...]:
        self._host.check_fault("delete_routes")
        for route in routes:
            self._host.routes.pop(_identity(route), None)
        return ()

    async def read_routes(self, *, table: int = MAIN_TABLE) -> tuple[Route, ...]:
        self._host.check_fault("read_routes")
        ours = [route for route in self._host.routes.values() if route.table == table]
        return tuple(sorted(ours, key=lambda route: route.prefix.version == 4))

    async def read_sysctl(self, name: str) -> str:
        self._host.check_fault("read_sysctl")
        value = self._host.sysctls.get(name)
        if value is None:
            raise NotFound("no_sysctl", f"there is no kernel setting {name}.")
        return value

    async def set_sysctl(self, name: str, value: str) -> None:
        self._host.check_fault("set_sysctl")
        self._host.sysctls[name] = value

    async def close(self) -> None:
        pass

    def _link(self, name: str) -> LinkState:
        state = self._host.link_states.get(name)
        if state is None:
            raise no_link(name)
        return state

    def _set_up(self, name: str, *, up: bool) -> None:
        self._host.link_states[name] = msgspec.structs.replace(self._host.link_states[name], up=up)
        if not up:
            self._host.forget_routes(name)
            addresses = self._host.addresses[name]
            addresses -= {address for address in addresses if address.version == 6}

    def _objection(self, route: Route) -> str | None:
        if route.device is not None:
            state = self._host.link_states.get(route.device)
            if state is None:
                return "No such device"
            if not state.up:
                return "Network is down"
        if route.source is not None and not any(
            route.source == address.ip for addresses in self._host.addresses.values() for address in addresses
        ):
            return "Invalid argument"
        return None


def _identity(route: Route) -> tuple[int, Prefix, int]:
    return route.table, route.prefix, route.metric


def _kind(link: Link) -> str:
    match link.form:
        case Vxlan():
            return "vxlan"
        case Ip6Gre():
            return "ip6gre"
        case Dummy():
            return "dummy"


def _drop(device: _Device, key: PublicKey) -> None:
    for prefix in device.peers.pop(key).allowed:
        if device.owners.get(prefix) == key:
            del device.owners[prefix]
