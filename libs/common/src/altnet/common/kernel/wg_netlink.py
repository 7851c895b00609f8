"""The kernel's WireGuard over generic netlink (linux/wireguard.h, family version 1).

Making and deleting devices is rtnetlink's (`rt_links`); what the messages look like is in `wg_messages`.

Invariant: no message replaces the peers of a device.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Sequence
from typing import Final

from altnet.common.errors import Conflict
from altnet.common.kernel import netlink
from altnet.common.kernel.netlink import Message, NetlinkError, NetlinkSocket, attribute, attributes
from altnet.common.kernel.rt_links import RtLinks
from altnet.common.kernel.wg_messages import GENL, chunks, config_body, device, name_attribute
from altnet.common.kernel.wireguard import (
    DeviceConfig,
    DeviceState,
    PeerChange,
    WireGuardRefused,
    check_name,
    no_device,
    wireguard_unavailable,
)
from altnet.common.keys import PublicKey

KIND: Final = "wireguard"

_CONTROL: Final = 16
_GET_FAMILY: Final = 3
_FAMILY_ID: Final = 1
_FAMILY_NAME: Final = 2
_GET_DEVICE: Final = 0
_SET_DEVICE: Final = 1


class KernelWireGuard:
    """`WireGuard` on a kernel that has it, for devices whose names begin with `prefix`.

    `deadline` in seconds bounds each exchange with the kernel (`netlink.DEADLINE`).
    """

    backend = "kernel"

    def __init__(self, *, prefix: str, deadline: float = netlink.DEADLINE) -> None:
        self._prefix = prefix
        self._links = RtLinks(deadline=deadline)
        self._generic = NetlinkSocket(netlink.GENERIC, deadline=deadline)
        self._family: int | None = None

    async def create(self, name: str) -> None:
        check_name(name)
        try:
            await self._links.create(name, KIND)
        except NetlinkError as error:
            if error.errno != errno.EEXIST:
                raise wireguard_unavailable(f"making {name}: {error.reason}") from error
            state = await self._links.read(name)
            if state is None or state.kind != KIND:
                raise Conflict(
                    "name_in_use", f"{name} is an interface of another kind.", mend="Choose another name."
                ) from None

    async def configure(self, name: str, config: DeviceConfig) -> None:
        try:
            await self._set(name, config_body(config))
        except NetlinkError as error:
            raise _error(name, error) from error

    async def apply(self, name: str, changes: Sequence[PeerChange]) -> None:
        for body, covered in chunks(name, changes):
            try:
                await self._set(name, body)
            except NetlinkError as error:
                if error.errno == errno.ENODEV:
                    raise no_device(name) from error
                await self._find_fault(name, covered, error)

    async def read(self, name: str) -> DeviceState:
        message = await self._message(_GET_DEVICE, name_attribute(name))
        try:
            bodies = await self._generic.dump(message)
        except NetlinkError as error:
            raise _error(name, error) from error
        return device(name, bodies)

    async def remove(self, name: str) -> None:
        state = await self._links.read(name)
        if state is not None and state.kind == KIND:
            await self._links.delete(name)

    async def list(self) -> tuple[str, ...]:
        links = await self._links.read_all(self._prefix)
        return tuple(sorted(name for name, state in links.items() if state.kind == KIND))

    async def close(self) -> None:
        self._links.close()
        self._generic.close()

    async def _set(self, name: str, body: bytes) -> None:
        await self._generic.request(await self._message(_SET_DEVICE, name_attribute(name) + body))

    async def _message(self, command: int, body: bytes) -> Message:
        if self._family is None:
            question = GENL.pack(_GET_FAMILY, 1, 0) + attribute(_FAMILY_NAME, b"wireguard\0")
            try:
                answer = await self._generic.request(Message(_CONTROL, question))
            except NetlinkError as error:
                raise wireguard_unavailable(
                    "this kernel has no WireGuard", mend="Load the module `wireguard`, or install wireguard-go."
                ) from error
            self._family = next(
                struct.unpack("=H", value)[0] for kind, value in attributes(answer[0], 4) if kind == _FAMILY_ID
            )
        return Message(self._family, GENL.pack(command, 1, 0) + body)

    async def _find_fault(self, name: str, covered: Sequence[PeerChange], failure: NetlinkError) -> None:
        """Make the changes of a refused message one by one, so that the error can name the peer.

        Every change is level-triggered, so making it twice does no harm. Returns if all go through now.
        """
        if len(covered) > 1:
            for change in covered:
                for body, _ in chunks(name, [change]):
                    try:
                        await self._set(name, body)
                    except NetlinkError as error:
                        raise _error(name, error, change.key) from error
        else:
            raise _error(name, failure, covered[0].key) from failure


def _error(name: str, error: NetlinkError, peer: PublicKey | None = None) -> Exception:
    # Asked for a link of another kind, the kernel says EOPNOTSUPP: for us there is no such device either.
    if error.errno in {errno.ENODEV, errno.EOPNOTSUPP}:
        return no_device(name)
    if error.errno in {errno.ENOMEM, errno.ENOBUFS, errno.EPERM}:
        return wireguard_unavailable(f"{name}: {error.reason}")
    return WireGuardRefused(name, error.reason, peer=peer)
