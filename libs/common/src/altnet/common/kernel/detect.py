"""Which WireGuard this host has: the kernel's where there is one, else wireguard-go, else a clear error."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Final

from altnet.common.errors import Unavailable
from altnet.common.kernel import netlink
from altnet.common.kernel.host import can_make
from altnet.common.kernel.netlink import NetlinkError
from altnet.common.kernel.rt_links import RtLinks
from altnet.common.kernel.wg_netlink import KIND, KernelWireGuard
from altnet.common.kernel.wg_uapi import UserspaceWireGuard
from altnet.common.kernel.wireguard import WireGuard

TUN: Final = Path("/dev/net/tun")


async def kernel_has_wireguard(*, prefix: str, deadline: float = netlink.DEADLINE) -> bool:
    """Try to make a device called `<prefix>-probe`. Raises `Unavailable` (`no_wireguard`) without the right to."""
    links = RtLinks(deadline=deadline)
    try:
        return await can_make(links, f"{prefix}-probe"[:15], KIND)
    except NetlinkError as error:
        if error.errno not in {errno.EPERM, errno.EACCES}:
            raise
        raise Unavailable(
            "no_wireguard", "making interfaces is not allowed here.", mend="Run as root, or with CAP_NET_ADMIN."
        ) from error
    finally:
        links.close()


async def detect_wireguard(
    *, prefix: str, program: str = "wireguard-go", deadline: float = netlink.DEADLINE
) -> WireGuard:
    """The best backend of this host. Raises `Unavailable` (`no_wireguard`), saying what to install."""
    if await kernel_has_wireguard(prefix=prefix, deadline=deadline):
        return KernelWireGuard(prefix=prefix, deadline=deadline)
    if shutil.which(program) is None:
        raise Unavailable(
            "no_wireguard",
            f"this kernel ({os.uname().release}) has no WireGuard, and {program} is not installed.",
            mend="apt-get install wireguard-go, or boot a kernel with WireGuard (Linux 5.6 and later).",
        )
    if not TUN.exists():
        raise Unavailable(
            "no_wireguard",
            f"{program} needs {TUN}, which this host does not have.",
            mend="modprobe tun; in a container, give it --device /dev/net/tun.",
        )
    return UserspaceWireGuard(prefix=prefix, command=(program,), deadline=deadline)
