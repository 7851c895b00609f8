"""Counting packets: a steady UDP stream between two hosts of the lab, both ways, with one clock.

Both ends' sockets belong to this one process, opened inside the two namespaces, so latency and loss need no second
clock. The stream runs for as long as it is wanted; `window` tells what became of the packets of any stretch of it.

Invariant: every packet is counted once, as delivered or as lost; late is delivered.
"""

from __future__ import annotations

import bisect
import contextlib
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from altnet.host.lab import namespaces

_HEAD: Final = struct.Struct("!Qd")
_FORTH, _BACK = 0, 1


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where one end of the stream is: a namespace and an address in it."""

    namespace: str
    address: str


@dataclass(frozen=True, kw_only=True)
class Loss:
    """What became of the packets of one stretch, both directions together; times in seconds."""

    sent: int
    lost: int
    gaps: tuple[float, float]
    """The longest time in which nothing arrived, from the first end to the other one and back."""
    median_latency: float | None

    @property
    def longest_gap(self) -> float:
        """Of the worse direction."""
        return max(self.gaps)

    @property
    def share(self) -> float:
        return self.lost / self.sent if self.sent else 0.0


class Prober:
    """The stream. `rate` is in packets a second and direction; use it as a context manager."""

    def __init__(
        self,
        one: Endpoint,
        other: Endpoint,
        *,
        rate: float = 100.0,
        port: int = 7777,
        size: int = 100,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ends = (one, other)
        self._interval = 1.0 / rate
        self._port = port
        self._padding = bytes(max(0, size - _HEAD.size))
        self._monotonic = monotonic
        self._sent: list[float] = []
        self._arrived: tuple[dict[int, float], dict[int, float]] = ({}, {})
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._sockets: tuple[socket.socket, ...] = ()
        self._thread = threading.Thread(target=self._run, name="prober", daemon=True)

    def __enter__(self) -> Prober:
        with contextlib.ExitStack() as opened:
            self._sockets = tuple(opened.enter_context(_socket(end, self._port)) for end in self._ends)
            opened.pop_all()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for one in self._sockets:
            one.close()

    def now(self) -> float:
        """The prober's clock: what `window` counts in."""
        return self._monotonic()

    def window(self, since: float, until: float | None = None) -> Loss:
        """The packets sent in this stretch. The last ones may still be on their way: let it end a little ago."""
        end = self.now() if until is None else until
        with self._changed:
            numbers = [number for number, at in enumerate(self._sent) if since <= at < end]
            arrived = [{number: way[number] for number in numbers if number in way} for way in self._arrived]
            sent = {number: self._sent[number] for number in numbers}
        latencies = sorted(at - sent[number] for way in arrived for number, at in way.items())
        return Loss(
            sent=2 * len(numbers),
            lost=sum(len(numbers) - len(way) for way in arrived),
            gaps=(_longest_gap(arrived[0].values(), since, end), _longest_gap(arrived[1].values(), since, end)),
            median_latency=latencies[len(latencies) // 2] if latencies else None,
        )

    def timeline(self, since: float, until: float) -> list[tuple[float, bool]]:
        """Each packet of this stretch: when it was sent, in seconds from `since`, and whether it came both ways."""
        with self._changed:
            return [
                (at - since, all(number in way for way in self._arrived))
                for number, at in enumerate(self._sent)
                if since <= at < until
            ]

    def flows(self, *, since: float, timeout: float) -> float | None:
        """Wait until a packet sent after `since` has arrived in each direction.

        Returns the instant at which both did, on the prober's clock, or None if they do not within `timeout` seconds.
        """
        deadline = self.now() + timeout
        with self._changed:
            while True:
                firsts = [self._first_arrival(way, since) for way in self._arrived]
                if all(first is not None for first in firsts):
                    return max(first for first in firsts if first is not None)
                left = deadline - self.now()
                if left <= 0:
                    return None
                self._changed.wait(left)

    def _first_arrival(self, way: dict[int, float], since: float) -> float | None:
        first = bisect.bisect_left(self._sent, since)
        return next((way[number] for number in range(first, len(self._sent)) if number in way), None)

    def _run(self) -> None:
        poll = select.poll()
        for one in self._sockets:
            poll.register(one, select.POLLIN)
        due = self._monotonic()
        while not self._stop.is_set():
            now = self._monotonic()
            if now >= due:
                self._send(now)
                # After a stall, go on at the rate instead of sending the missed ones in a burst.
                due = max(due + self._interval, now)
            for fd, _ in poll.poll(max(0.0, due - self._monotonic()) * 1000):
                self._receive(_FORTH if fd == self._sockets[1].fileno() else _BACK)

    def _send(self, now: float) -> None:
        with self._changed:
            number = len(self._sent)
            self._sent.append(now)
        packet = _HEAD.pack(number, now) + self._padding
        for source, target in ((0, 1), (1, 0)):
            # No route or no buffer at this instant is a lost packet, and counted as one.
            with contextlib.suppress(OSError):
                self._sockets[source].sendto(packet, (self._ends[target].address, self._port))

    def _receive(self, way: int) -> None:
        at = self._monotonic()
        source = self._sockets[1 if way == _FORTH else 0]
        with self._changed:
            while True:
                try:
                    number, _ = _HEAD.unpack_from(source.recv(2048))
                except BlockingIOError:
                    break
                except (OSError, struct.error):
                    continue  # an ICMP error that came back, or a stranger's packet
                self._arrived[way].setdefault(number, at)
            self._changed.notify_all()


def _socket(end: Endpoint, port: int) -> socket.socket:
    with namespaces.inside(end.namespace):
        opened = socket.socket(socket.AF_INET6 if ":" in end.address else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        opened.bind((end.address, port))
        opened.setblocking(False)
    except OSError:
        opened.close()
        raise
    return opened


def _longest_gap(arrivals: Iterable[float], since: float, until: float) -> float:
    times = sorted([since, *arrivals, until])
    return max(after - before for before, after in pairwise(times))
