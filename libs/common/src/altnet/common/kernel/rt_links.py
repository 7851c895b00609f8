"""Links, addresses and neighbours by rtnetlink: messages out, entries in.

One verb is one message or one dump; what to do about what exists already is decided by `host`. Names of interfaces
are resolved through the same socket, so that all happens in one network namespace. Sources: linux/rtnetlink.h,
linux/if_link.h, linux/if_tunnel.h, linux/neighbour.h.

Invariant: links that are made here get no address by themselves (IPv6 address generation is off).
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_address
from typing import Final

import msgspec
from altnet.common.kernel import netlink
from altnet.common.kernel.links import (
    Address,
    Dummy,
    Form,
    Interface,
    Ip6Gre,
    LinkState,
    Neighbour,
    Vxlan,
    no_link,
)
from altnet.common.kernel.netlink import Message, NetlinkError, NetlinkSocket, attribute, attributes, text
from altnet.common.kernel.total import total

_NEWLINK, _DELLINK, _GETLINK = 16, 17, 18
_NEWADDR, _DELADDR, _GETADDR = 20, 21, 22
_NEWNEIGH, _DELNEIGH, _GETNEIGH = 28, 29, 30

_LINK: Final = struct.Struct("=BxHiII")
_ADDRESS: Final = struct.Struct("=BBBBI")
_NEIGHBOUR: Final = struct.Struct("=B3xiHBB")

_MAC, _NAME, _MTU, _INFO, _AF_SPEC, _EXT_MASK = 1, 3, 4, 18, 26, 29
_INFO_KIND, _INFO_DATA = 1, 2
_SKIP_STATISTICS: Final = struct.pack("=I", 1 << 3)
_ADDRESS_GENERATION: Final = 8
_GENERATE_NONE: Final = b"\x01"
_UP: Final = 1

_VX_ID, _VX_REMOTE4, _VX_LINK, _VX_LOCAL4, _VX_LEARNING = 1, 2, 3, 4, 7
_VX_PORT, _VX_REMOTE6, _VX_LOCAL6 = 15, 16, 17
_GRE_LINK, _GRE_IFLAGS, _GRE_OFLAGS, _GRE_IKEY, _GRE_OKEY = 1, 2, 3, 4, 5
_GRE_LOCAL, _GRE_REMOTE, _GRE_TTL, _GRE_FLAGS = 6, 7, 8, 13
_GRE_HAS_KEY: Final = struct.pack(">H", 0x2000)
_NO_ENCAPSULATION_LIMIT: Final = struct.pack("=I", 1)
_HOPS: Final = b"\x40"

_A_ADDRESS, _A_LOCAL, _A_FLAGS = 1, 2, 8
_NO_DAD: Final = 0x02
_N_ADDRESS, _N_MAC = 1, 2
_PERMANENT: Final = 0x80


class RtLinks:
    """rtnetlink's verbs on links, addresses and neighbours. All raise `NetlinkError` and `Unavailable`."""

    def __init__(self, *, deadline: float = netlink.DEADLINE) -> None:
        self._route = NetlinkSocket(netlink.ROUTE, deadline=deadline)

    def close(self) -> None:
        self._route.close()

    async def create(
        self, name: str, kind: str, *, data: bytes = b"", mtu: int | None = None, mac: str | None = None
    ) -> None:
        """Make a link, down. Raises `NetlinkError` (EEXIST, EOPNOTSUPP where the kernel has no such kind)."""
        info = attribute(_INFO_KIND, kind.encode())
        if data:
            info += attribute(_INFO_DATA | netlink.NESTED, data)
        body = _LINK.pack(0, 0, 0, 0, 0) + attribute(_NAME, name.encode() + b"\0")
        body += attribute(_INFO | netlink.NESTED, info) + _mtu_and_mac(mtu, mac)
        await self._route.request(Message(_NEWLINK, body, netlink.CREATE | netlink.EXCLUSIVE))

    async def change(
        self,
        name: str,
        *,
        mtu: int | None = None,
        mac: str | None = None,
        up: bool | None = None,
        generate_addresses: bool = True,
    ) -> None:
        """Change a link; `generate_addresses=False` keeps IPv6 from making a link-local address when it comes up."""
        flags = _UP if up else 0
        body = _LINK.pack(0, 0, 0, flags, 0 if up is None else _UP) + attribute(_NAME, name.encode() + b"\0")
        body += _mtu_and_mac(mtu, mac)
        if not generate_addresses:
            inet6 = attribute(socket.AF_INET6 | netlink.NESTED, attribute(_ADDRESS_GENERATION, _GENERATE_NONE))
            body += attribute(_AF_SPEC | netlink.NESTED, inet6)
        await self._route.request(Message(_NEWLINK, body))

    async def delete(self, name: str) -> None:
        """Delete a link; a missing one is fine."""
        body = _LINK.pack(0, 0, 0, 0, 0) + attribute(_NAME, name.encode() + b"\0")
        await self._allow_missing(Message(_DELLINK, body))

    async def read(self, name: str) -> LinkState | None:
        body = _LINK.pack(0, 0, 0, 0, 0) + attribute(_NAME, name.encode() + b"\0")
        body += attribute(_EXT_MASK, _SKIP_STATISTICS)
        try:
            (entry,) = await self._route.request(Message(_GETLINK, body))
        except NetlinkError as error:
            if error.errno in netlink.MISSING:
                return None
            raise
        return await self._with_device_name(*_read_link(entry))

    async def read_all(self, prefix: str = "") -> dict[str, LinkState]:
        body = _LINK.pack(0, 0, 0, 0, 0) + attribute(_EXT_MASK, _SKIP_STATISTICS)
        entries = [_read_link(entry) for entry in await self._route.dump(Message(_GETLINK, body))]
        names = {state.index: state.name for state, _ in entries}
        return {
            state.name: _named(state, names.get(below)) if below else state
            for state, below in entries
            if state.name.startswith(prefix)
        }

    async def index(self, name: str) -> int:
        """Raises `NotFound` (`no_link`)."""
        state = await self.read(name)
        if state is None:
            raise no_link(name)
        return state.index

    async def names(self, indexes: Iterable[int]) -> dict[int, str]:
        """The names of interfaces; those that are gone are left out."""
        wanted = set(indexes)
        if not wanted:
            return {}
        return {state.index: name for name, state in (await self.read_all()).items() if state.index in wanted}

    async def form_data(self, form: Form) -> tuple[str, bytes]:
        """The kind of a link and the attributes that make it. Raises `NotFound` for a device below that is gone."""
        match form:
            case Vxlan():
                return "vxlan", _vxlan(form, await self.index(form.device) if form.device else 0)
            case Ip6Gre():
                return "ip6gre", _ip6gre(form, await self.index(form.device) if form.device else 0)
            case Dummy():
                return "dummy", b""

    async def put_address(self, index: int, address: Interface) -> None:
        message = Message(_NEWADDR, _address(index, address), netlink.CREATE | netlink.REPLACE)
        await self._route.request(message)

    async def delete_address(self, index: int, address: Interface) -> None:
        await self._allow_missing(Message(_DELADDR, _address(index, address)))

    async def read_addresses(self, index: int) -> frozenset[Interface]:
        return frozenset(address for at, address in await self._dump_addresses(index) if at == index)

    async def read_all_addresses(self, prefix: str = "") -> dict[str, frozenset[Interface]]:
        names = await self._indexes(prefix)
        found: dict[str, set[Interface]] = {}
        for index, address in await self._dump_addresses():
            if index in names:  # else of another interface, or of one that was made since
                found.setdefault(names[index], set()).add(address)
        return {name: frozenset(addresses) for name, addresses in found.items()}

    async def put_neighbour(self, index: int, address: Address, mac: str) -> None:
        body = _neighbour(index, address) + attribute(_N_MAC, _mac(mac))
        await self._route.request(Message(_NEWNEIGH, body, netlink.CREATE | netlink.REPLACE))

    async def delete_neighbour(self, index: int, address: Address) -> None:
        await self._allow_missing(Message(_DELNEIGH, _neighbour(index, address)))

    async def read_neighbours(self, index: int, name: str) -> frozenset[Neighbour]:
        return await self._dump_neighbours({index: name})

    async def read_all_neighbours(self, prefix: str = "") -> frozenset[Neighbour]:
        return await self._dump_neighbours(await self._indexes(prefix))

    async def _indexes(self, prefix: str) -> dict[int, str]:
        return {state.index: name for name, state in (await self.read_all(prefix)).items()}

    async def _dump_addresses(self, index: int = 0) -> list[tuple[int, Interface]]:
        """Of one interface, or of all; the kernel may answer for others too."""
        found = []
        for family in (socket.AF_INET, socket.AF_INET6):
            entries = await self._route.dump(Message(_GETADDR, _ADDRESS.pack(family, 0, 0, 0, index)))
            found += [_read_address(entry) for entry in entries]
        return found

    async def _dump_neighbours(self, names: Mapping[int, str]) -> frozenset[Neighbour]:
        """The permanent entries on these interfaces, name by index. The kernel gives those of all."""
        found = set()
        for family in (socket.AF_INET, socket.AF_INET6):
            for entry in await self._route.dump(Message(_GETNEIGH, _NEIGHBOUR.pack(family, 0, 0, 0, 0))):
                _, index, state, _, _ = _NEIGHBOUR.unpack_from(entry)
                fields = dict(attributes(entry, _NEIGHBOUR.size))
                if index in names and state & _PERMANENT and len(fields.get(_N_MAC, b"")) == 6:
                    address = ip_address(fields[_N_ADDRESS])
                    found.add(Neighbour(device=names[index], address=address, mac=fields[_N_MAC].hex(":")))
        return frozenset(found)

    async def _allow_missing(self, message: Message) -> None:
        try:
            await self._route.request(message)
        except NetlinkError as error:
            if error.errno not in netlink.MISSING:
                raise

    async def _with_device_name(self, state: LinkState, below: int) -> LinkState:
        return _named(state, (await self.names([below])).get(below)) if below else state


def _vxlan(form: Vxlan, below: int) -> bytes:
    six = form.local.version == 6
    data = attribute(_VX_ID, struct.pack("=I", form.number))
    data += attribute(_VX_LOCAL6 if six else _VX_LOCAL4, form.local.packed)
    data += attribute(_VX_REMOTE6 if six else _VX_REMOTE4, form.remote.packed)
    data += attribute(_VX_PORT, struct.pack(">H", form.port)) + attribute(_VX_LEARNING, b"\0")
    if below:
        data += attribute(_VX_LINK, struct.pack("=I", below))
    return data


def _ip6gre(form: Ip6Gre, below: int) -> bytes:
    data = attribute(_GRE_LOCAL, form.local.packed) + attribute(_GRE_REMOTE, form.remote.packed)
    data += attribute(_GRE_TTL, _HOPS) + attribute(_GRE_FLAGS, _NO_ENCAPSULATION_LIMIT)
    if form.key is not None:
        key = struct.pack(">I", form.key)
        data += attribute(_GRE_IFLAGS, _GRE_HAS_KEY) + attribute(_GRE_OFLAGS, _GRE_HAS_KEY)
        data += attribute(_GRE_IKEY, key) + attribute(_GRE_OKEY, key)
    if below:
        data += attribute(_GRE_LINK, struct.pack("=I", below))
    return data


@total("the kernel's answer about a link")
def _read_link(entry: bytes) -> tuple[LinkState, int]:
    """The link, and the index of the interface that its tunnel is bound to (0: none)."""
    _, _, index, flags, _ = _LINK.unpack_from(entry)
    fields = dict(attributes(entry, _LINK.size))
    info = dict(attributes(fields.get(_INFO, b"")))
    kind = text(info.get(_INFO_KIND, b""))
    form, below = _read_form(kind, dict(attributes(info.get(_INFO_DATA, b""))))
    mac = fields.get(_MAC, b"")
    state = LinkState(
        name=text(fields[_NAME]),
        index=index,
        kind=kind,
        mtu=struct.unpack("=I", fields[_MTU])[0],
        # Tunnels of layer 3 carry their address of 4 or 16 bytes here.
        mac=mac.hex(":") if len(mac) == 6 else None,
        up=bool(flags & _UP),
        form=form,
    )
    return state, below


def _read_form(kind: str, data: dict[int, bytes]) -> tuple[Form | None, int]:
    if kind == "dummy":
        return Dummy(), 0
    if kind == "vxlan":
        local = data.get(_VX_LOCAL6) or data.get(_VX_LOCAL4)
        remote = data.get(_VX_REMOTE6) or data.get(_VX_REMOTE4)
        # Somebody else's VXLAN may lack an end, or learn: none that we could have made.
        if local is None or remote is None or data.get(_VX_LEARNING) != b"\0":
            return None, 0
        form = Vxlan(
            number=struct.unpack("=I", data[_VX_ID])[0],
            local=ip_address(local),
            remote=ip_address(remote),
            port=struct.unpack(">H", data[_VX_PORT])[0],
        )
        return form, struct.unpack("=I", data.get(_VX_LINK, bytes(4)))[0]
    if kind == "ip6gre" and _GRE_LOCAL in data and _GRE_REMOTE in data:
        keyed = data.get(_GRE_IFLAGS) == _GRE_HAS_KEY
        gre = Ip6Gre(
            local=IPv6Address(data[_GRE_LOCAL]),
            remote=IPv6Address(data[_GRE_REMOTE]),
            key=struct.unpack(">I", data[_GRE_IKEY])[0] if keyed else None,
        )
        return gre, struct.unpack("=I", data.get(_GRE_LINK, bytes(4)))[0]
    return None, 0


def _named(state: LinkState, device: str | None) -> LinkState:
    """Fill in the name of the device below."""
    match state.form:
        case Vxlan() | Ip6Gre() as form:
            return msgspec.structs.replace(state, form=msgspec.structs.replace(form, device=device))
        case _:
            return state


def _address(index: int, address: Interface) -> bytes:
    six = address.version == 6
    body = _ADDRESS.pack(
        socket.AF_INET6 if six else socket.AF_INET, address.network.prefixlen, _NO_DAD if six else 0, 0, index
    )
    body += attribute(_A_LOCAL, address.ip.packed) + attribute(_A_ADDRESS, address.ip.packed)
    return body + attribute(_A_FLAGS, struct.pack("=I", _NO_DAD if six else 0))


@total("the kernel's answer about an address")
def _read_address(entry: bytes) -> tuple[int, Interface]:
    family, length, _, _, index = _ADDRESS.unpack_from(entry)
    fields = dict(attributes(entry, _ADDRESS.size))
    # On a point-to-point interface ADDRESS is the other end; LOCAL, where present, is always ours.
    packed = fields.get(_A_LOCAL) or fields[_A_ADDRESS]
    if family == socket.AF_INET6:
        return index, IPv6Interface((IPv6Address(packed), length))
    return index, IPv4Interface((IPv4Address(packed), length))


def _neighbour(index: int, address: Address) -> bytes:
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    return _NEIGHBOUR.pack(family, index, _PERMANENT, 0, 0) + attribute(_N_ADDRESS, address.packed)


def _mtu_and_mac(mtu: int | None, mac: str | None) -> bytes:
    body = b"" if mtu is None else attribute(_MTU, struct.pack("=I", mtu))
    return body if mac is None else body + attribute(_MAC, _mac(mac))


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))
