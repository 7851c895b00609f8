"""A two-way UDP stream between two network namespaces, seen by one clock: loss, latency, longest silence.

One thread holds a socket in each namespace, so no clocks need to agree and a busy event loop of the test does not
count as loss. Numbers are seconds.
"""

from __future__ import annotations

import itertools
import select
import socket
import struct
import threading
import time
from dataclasses import dataclass
from types import TracebackType

from support.netns import Namespace

IN_BETWEEN = 8
"""Packets of both directions, of a hundred a second each way, that a busy machine may lose when a BIRD dies or comes
back: its neighbours take the way over each other until they have told each other that there is none, and what goes in
a circle meanwhile runs out of hops. A route that is withdrawn costs hundreds."""

_HEADER = struct.Struct("!QB")
_A_TO_B, _B_TO_A = 0, 1


@dataclass(frozen=True)
class Spot:
    """One end of the stream."""

    namespace: Namespace
    address: str


@dataclass(frozen=True)
class Direction:
    """What happened one way."""

    sent: int
    lost: int
    worst_latency: float
    longest_gap: float
    """Longest silence between two arrivals, or since the first or before the last sending."""


@dataclass(frozen=True)
class Verdict:
    """What happened both ways. `refused` counts packets that the sender's own host did not take."""

    forward: Direction
    backward: Direction
    refused: int

    @property
    def lost(self) -> int:
        return self.forward.lost + self.backward.lost

    @property
    def longest_gap(self) -> float:
        return max(self.forward.longest_gap, self.backward.longest_gap)


class Prober:
    """`with Prober(a, b) as prober: …; verdict = prober.finish()`. Sends both ways every `interval` seconds."""

    def __init__(self, a: Spot, b: Spot, *, interval: float = 0.005, port: int = 7777, size: int = 100) -> None:
        self._a, self._b = _socket(a, port), _socket(b, port)
        self._targets = {_A_TO_B: (self._a, (b.address, port)), _B_TO_A: (self._b, (a.address, port))}
        self._interval = interval
        self._padding = bytes(max(0, size - _HEADER.size))
        self._sent: list[float] = []
        self._arrived: dict[int, dict[int, float]] = {_A_TO_B: {}, _B_TO_A: {}}
        self._refused = 0
        self._sending, self._running = True, True
        self._thread = threading.Thread(target=self._run, name="prober", daemon=True)

    def __enter__(self) -> Prober:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def finish(self, *, drain: float = 0.3) -> Verdict:
        """Stop sending, wait `drain` seconds for what is on its way, and judge."""
        self._sending = False
        time.sleep(drain)
        self._close()
        return Verdict(self._direction(_A_TO_B), self._direction(_B_TO_A), self._refused)

    def _close(self) -> None:
        self._running = False
        self._thread.join()
        self._a.close()
        self._b.close()

    def _run(self) -> None:
        due = time.monotonic()
        while self._running:
            now = time.monotonic()
            if self._sending and now >= due:
                self._send(now)
                # After a stall of this process, go on at the rate: a burst of the missed ones overflows every queue.
                due = max(due + self._interval, now)
            wait = max(0.0, due - time.monotonic()) if self._sending else 0.02
            readable, _, _ = select.select([self._a, self._b], [], [], wait)
            for sock in readable:
                self._receive(sock)

    def _send(self, now: float) -> None:
        number = len(self._sent)
        self._sent.append(now)
        for way, (sock, target) in self._targets.items():
            try:
                sock.sendto(_HEADER.pack(number, way) + self._padding, target)
            except OSError:
                self._refused += 1

    def _receive(self, sock: socket.socket) -> None:
        while True:
            try:
                packet = sock.recv(65536)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP error of an earlier packet, reported once
            number, way = _HEADER.unpack_from(packet)
            self._arrived[way].setdefault(number, time.monotonic())

    def _direction(self, way: int) -> Direction:
        arrived = self._arrived[way]
        times = sorted([*arrived.values(), self._sent[0], self._sent[-1]]) if self._sent else []
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        return Direction(
            sent=len(self._sent),
            lost=len(self._sent) - len(arrived),
            worst_latency=max((at - self._sent[number] for number, at in arrived.items()), default=float("inf")),
            longest_gap=max(gaps, default=0.0),
        )


def _socket(spot: Spot, port: int) -> socket.socket:
    with spot.namespace.entered():
        sock = socket.socket(socket.AF_INET6 if ":" in spot.address else socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.bind((spot.address, port))
        sock.setblocking(False)
        return sock
