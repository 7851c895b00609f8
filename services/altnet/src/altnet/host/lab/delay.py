"""A delay line: packets of chosen paths are held back in a router for a fixed time. Run as a process of its own.

`python -m altnet.host.lab.delay READY LINES` inside a router's namespace. Each line is a TUN device: a rule sends into
it what arrives from one host for another, and what is written back comes out of the device and goes its way. Some
kernels have no netem, and this needs none. Policy routing does the choosing, so a line whose process has died lets
everything through undelayed.

Limits: one delay a path, no jitter; the inner hop limit is untouched but the outer one is spent twice in this router.
20,000 packets a second pass a router without loss on a busy machine, and cost a fifth of a core. Memory is bounded: a
line holds at most `MOST_PACKETS`, and what comes beyond is lost, as in a router's queue.
"""

from __future__ import annotations

import collections
import contextlib
import fcntl
import json
import os
import select
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Final

FIRST_TABLE: Final = 1000
"""Number of the first line's routing table, and the priority of its rules."""
MOST_LINES: Final = 1000
MOST_PACKETS: Final = 4096
"""Held back in one line: at 1,500 octets 6 MiB."""
_BURST: Final = 64
"""Packets read from one line before the others have their turn."""
_BUFFER: Final = 65536
_COMMAND_TIMEOUT: Final = 20.0
"""Seconds for one `ip`: milliseconds in health."""
_TUNSETIFF: Final = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000


@dataclass(frozen=True, kw_only=True)
class Line:
    """One path. `arrives` is the router's interface towards its source, `targets` are its destination's subnets."""

    arrives: str
    targets: tuple[str, ...]
    delay: float
    """Seconds."""


def device(number: int) -> str:
    return f"delay{number}"


def encode(lines: Sequence[Line]) -> str:
    """For the command line; `decode` reads it."""
    return json.dumps([asdict(line) for line in lines])


def decode(text: str) -> list[Line]:
    return [Line(arrives=one["arrives"], targets=tuple(one["targets"]), delay=one["delay"]) for one in json.loads(text)]


def commands(lines: Sequence[Line], version: int) -> list[str]:
    """What sends the packets of one family into the devices, for `ip -4 -batch` and `ip -6 -batch`."""
    text = []
    for number, line in enumerate(lines):
        table, name = FIRST_TABLE + number, device(number)
        text += [
            f"link set dev {name} addrgenmode none",
            f"link set dev {name} up mtu 1500 txqueuelen {MOST_PACKETS}",
            f"route replace default dev {name} table {table}",
        ]
        targets = [target for target in line.targets if ip_network(target).version == version]
        text += [f"rule add pref {table} iif {line.arrives} to {target} lookup {table}" for target in targets]
    return text


class Held:
    """Packets of one line, in the order in which they came; those beyond `most` are lost and counted."""

    def __init__(self, delay: float, *, most: int = MOST_PACKETS) -> None:
        self._delay = delay
        self._most = most
        self._packets: collections.deque[tuple[float, bytes]] = collections.deque()
        self.lost = 0

    def take(self, packet: bytes, now: float) -> None:
        if len(self._packets) >= self._most:
            self.lost += 1
        else:
            self._packets.append((now + self._delay, packet))

    def due(self) -> float | None:
        """When the first one goes; None while there is none."""
        return self._packets[0][0] if self._packets else None

    def give(self, now: float) -> list[bytes]:
        """Those whose time has come."""
        gone = []
        while self._packets and self._packets[0][0] <= now:
            gone.append(self._packets.popleft()[1])
        return gone


def run(held: dict[int, Held], *, monotonic: Callable[[], float] = time.monotonic) -> None:
    """Move packets between TUN descriptors and what they hold, until a descriptor is gone."""
    while True:
        firsts = [due for one in held.values() if (due := one.due()) is not None]
        wait = max(0.0, min(firsts) - monotonic()) if firsts else None
        readable, _, _ = select.select(list(held), [], [], wait)
        for fd in readable:
            _read(fd, held[fd], monotonic)
        now = monotonic()
        for fd, one in held.items():
            for packet in one.give(now):
                with contextlib.suppress(OSError):  # no room in the kernel: lost, as anywhere
                    os.write(fd, packet)


def _read(fd: int, held: Held, monotonic: Callable[[], float]) -> None:
    with contextlib.suppress(BlockingIOError):
        for _ in range(_BURST):
            held.take(os.read(fd, _BUFFER), monotonic())


def _open(name: str) -> int:
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    return fd


def main(argv: Sequence[str]) -> None:
    ready, lines = Path(argv[0]), decode(argv[1])
    held = {_open(device(number)): Held(line.delay) for number, line in enumerate(lines)}
    for version in (4, 6):
        text = "\n".join(commands(lines, version)) + "\n"
        argv = ["ip", f"-{version}", "-batch", "-"]
        subprocess.run(argv, input=text, text=True, check=True, timeout=_COMMAND_TIMEOUT)
    ready.touch()
    run(held)


if __name__ == "__main__":
    main(sys.argv[1:])
