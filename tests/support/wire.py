"""A packet capture of one TCP port on the loopback device, put together into what each side of a connection sent.

Leaves out whatever is not TCP over IPv4. Invariant: what the kernel had to drop is counted, since what was not seen was
not looked at.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections import defaultdict
from collections.abc import Iterator
from typing import Final

_EVERY_PROTOCOL: Final = 0x0003
"""ETH_P_ALL of <linux/if_ether.h>."""
_SOL_PACKET: Final = 263
_PACKET_STATISTICS: Final = 6
"""Of <linux/if_packet.h>: two unsigned integers, packets and drops, since it was last asked."""
_SO_RCVBUFFORCE: Final = 33
_ROOM: Final = 64 * 2**20


class Capture:
    """What went over the wire, by (source port, destination port)."""

    def __init__(self) -> None:
        self._segments: dict[tuple[int, int], dict[int, bytes]] = defaultdict(dict)
        self.dropped = 0

    def add(self, frame: bytes, port: int) -> None:
        """Take in an Ethernet frame if it is of that TCP port."""
        packet = frame[14:]
        if frame[12:14] != b"\x08\x00" or len(packet) < 40 or packet[9] != socket.IPPROTO_TCP:
            return
        (length,) = struct.unpack_from("!H", packet, 2)
        segment = packet[(packet[0] & 0x0F) * 4 : length or None]  # 0: larger than 64 KiB, as the kernel hands it over
        source, target, number = struct.unpack_from("!HHI", segment)
        payload = segment[(segment[12] >> 4) * 4 :]
        if port in (source, target) and payload:
            self._segments[source, target][number] = payload

    def streams(self) -> list[bytes]:
        """What was sent, a byte string for each direction of each connection."""
        return [b"".join(part for _, part in sorted(found.items())) for found in self._segments.values()]


@contextlib.contextmanager
def captured(port: int) -> Iterator[Capture]:
    """Capture while inside; whole when left. Needs root."""
    found, over = Capture(), threading.Event()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERY_PROTOCOL)) as wire:
        wire.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _ROOM)
        wire.bind(("lo", 0))
        wire.settimeout(0.2)

        def take() -> None:
            while not over.is_set():
                with contextlib.suppress(TimeoutError):
                    found.add(wire.recv(2**17), port)

        reader = threading.Thread(target=take)
        reader.start()
        try:
            yield found
        finally:
            over.set()
            reader.join()
            wire.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:  # what is there by now: others go on
                    found.add(wire.recv(2**17), port)
            found.dropped = struct.unpack("II", wire.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))[1]
