"""A client's WireGuard interface, made of a wg-quick file: what `wg-quick up` would do, in a host of the lab.

Takes the kernel's WireGuard where there is one, else wireguard-go. Leaves out DNS, hooks and full tunnels, none of
which the registry's files have. Invariant: bringing up a tunnel that is up keeps its sessions.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_interface, ip_network
from pathlib import Path
from typing import Final

from altnet.common.errors import Invalid, Unavailable
from altnet.host.lab import launcher, namespaces
from altnet.host.lab.commands import ip_batch, run
from altnet.host.lab.state import LabFiles
from altnet.host.lab.topology import Host, Interface, Network

DEVICE: Final = "alt0"
PROCESS: Final = "wireguard"
_QUICK_ONLY: Final = {"address", "dns", "mtu", "table", "preup", "postup", "predown", "postdown", "saveconfig"}


@dataclass(frozen=True, kw_only=True)
class TunnelConfig:
    """A wg-quick file, taken apart. `setconf` is what `wg setconf` reads; it has the private key, so no repr."""

    addresses: tuple[Interface, ...]
    allowed: tuple[Network, ...]
    mtu: int | None
    setconf: str

    def __repr__(self) -> str:
        return f"TunnelConfig(addresses={self.addresses}, allowed={self.allowed}, mtu={self.mtu})"


def parse(text: str) -> TunnelConfig:
    """Read a wg-quick file (wg-quick(8)). Raises `Invalid` (`bad_tunnel_config`) without repeating its content."""
    section = ""
    addresses: list[Interface] = []
    allowed: list[Network] = []
    mtu: int | None = None
    kept: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.split("#", 1)[0].strip()
        if not bare:
            continue
        if bare.startswith("["):
            section = bare.strip("[]").lower()
            kept.append(bare)
            continue
        name, separator, value = (part.strip() for part in bare.partition("="))
        if not separator or section not in ("interface", "peer"):
            raise _bad(number, "neither a section nor `Name = value`")
        try:
            if name.lower() == "address":
                addresses += [ip_interface(part.strip()) for part in value.split(",")]
            elif name.lower() == "allowedips":
                allowed += [ip_network(part.strip(), strict=False) for part in value.split(",")]
            elif name.lower() == "mtu":
                mtu = int(value)
        except ValueError as error:
            raise _bad(number, str(error)) from None
        if section == "peer" or name.lower() not in _QUICK_ONLY:
            kept.append(bare)
    if not addresses:
        raise Invalid("bad_tunnel_config", "the file gives the interface no address.")
    return TunnelConfig(addresses=tuple(addresses), allowed=tuple(allowed), mtu=mtu, setconf="\n".join(kept) + "\n")


def bring_up(host: Host, config: Path, *, files: LabFiles, lock: int, env: Mapping[str, str]) -> None:
    """Make the tunnel as the file says. Raises `Unavailable` when WireGuard does not start."""
    timeout = files.settings.command_timeout
    wanted = parse(config.read_text())
    if DEVICE not in namespaces.interfaces(host.namespace):
        _make_device(host, files=files, lock=lock, env=env)
    show = launcher.enter_argv(host, files, ["wg", "showconf", DEVICE])
    if _essence(run(show, timeout=timeout).stdout) != _essence(wanted.setconf):
        # Not for nothing: without a ListenPort it takes a new one, and nobody reaches the client until it speaks.
        argv = launcher.enter_argv(host, files, ["wg", "syncconf", DEVICE, "/dev/stdin"])
        run(argv, stdin=wanted.setconf, timeout=timeout)
    lines = [f"link set dev {DEVICE} up" + (f" mtu {wanted.mtu}" if wanted.mtu else "")]
    lines += [f"address replace {address} dev {DEVICE}" + _nodad(address) for address in wanted.addresses]
    lines += [f"route replace {network} dev {DEVICE}" for network in wanted.allowed]
    ip_batch(lines, namespace=host.namespace, timeout=timeout)


def _essence(setconf: str) -> frozenset[tuple[str, ...]]:
    """What a configuration asks for, without the order of lines, the port that was chosen, and what is off."""
    section, lines = "", set()
    for line in setconf.splitlines():
        name, separator, value = (part.strip() for part in line.partition("="))
        if not separator:
            section = name or section
        elif (name, value) != ("PersistentKeepalive", "off") and name != "ListenPort":
            lines.add((section, name, *sorted(part.strip() for part in value.split(","))))
    return frozenset(lines)


def _make_device(host: Host, *, files: LabFiles, lock: int, env: Mapping[str, str]) -> None:
    add = ["ip", "-n", host.namespace, "link", "add", DEVICE, "type", "wireguard"]
    timeout = files.settings.command_timeout
    if run(add, timeout=timeout, check=False).returncode == 0:
        return
    launcher.prepare()
    door = files.wireguard(host.name) / f"{DEVICE}.sock"
    door.unlink(missing_ok=True)  # a killed wireguard-go leaves it behind
    argv = ["wireguard-go", "-f", DEVICE]
    process = launcher.start(host, PROCESS, argv, files=files, lock=lock, env=env)
    deadline = time.monotonic() + files.settings.socket_timeout
    while not answers(door):
        if launcher.start_time(process.pid) != process.started or time.monotonic() > deadline:
            words = launcher.last_words(launcher.log_file(files, host.name, PROCESS))
            raise Unavailable("wireguard_not_started", f"WireGuard did not start on {host.name}: {words}")
        time.sleep(0.002)  # it announces itself only by taking connections; about 10 ms


def answers(door: Path) -> bool:
    """Whether somebody listens. A socket that is there and does not listen yet is not enough: wg would remove it."""
    try:
        folder = os.open(door.parent, os.O_PATH | os.O_DIRECTORY)
    except FileNotFoundError:
        return False
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
            caller.connect(f"/proc/self/fd/{folder}/{door.name}")  # a path of 108 bytes would be too long
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    finally:
        os.close(folder)
    return True


def _nodad(address: Interface) -> str:
    return " nodad" if address.version == 6 else ""


def _bad(line: int, reason: str) -> Invalid:
    return Invalid("bad_tunnel_config", f"line {line} of the WireGuard configuration: {reason}.")
