"""Round-trip time and loss of each link, by small UDP packets between the links' own addresses.

A packet counts only if it came in on the very link of the neighbour it claims to be from, with hop limit 255 (RFC
5082): so nobody but that neighbour, through the tunnel, can say anything here. Answers are echoes of the same size, at
most `_ANSWERS` a second for each link, and an unanswered probe is forgotten after its time.

Leaves out what follows from a bad link (report.py tells the registry). Invariant: memory is bounded by the number of
links, whatever arrives.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from altnet.common import log
from altnet.common.clock import Clock
from altnet.common.net import link_local
from altnet.relay_agent.signs import RECVERR, Control, Signs, named, refused_on

_log = log.get(__name__)

_Address = tuple[str, int, int, int]
_Reader = Callable[[bytes, Control, _Address], None]

_PACKET: Final = struct.Struct(">4sBxHQ16x")
"""Mark, kind, sender's slot, number; padded to the size of a small voice packet's header."""
_INTERFACE: Final = struct.Struct("=16xI")
_HOPS: Final = struct.Struct("=i")
"""What the kernel says of a packet (RFC 3542 §6)."""
_MARK: Final = b"altp"
_ASK, _ANSWER = 1, 2
_HOP_LIMIT: Final = 255
_WINDOW: Final = 20
"""Probes that the loss is counted over."""
_REOPEN: Final = 30.0
"""Seconds between two tries to get the port."""
_ANSWERS: Final = 50
"""Answers a second to one neighbour: ten times what the fastest setting asks for."""
_SMOOTHING: Final = 0.2
"""Weight of a new round-trip time in the mean; five probes forget a single outlier by two thirds."""
_FIRST: Final = 5
"""Answers of which the quickest counts: the very first waits for the link's handshake, and for a host that starts."""


@dataclass(frozen=True, kw_only=True)
class Link:
    """A link to probe."""

    neighbour: str
    """The neighbour's id."""
    name: str
    slot: int


@dataclass(frozen=True, kw_only=True)
class Quality:
    """What the probes of one link say."""

    rtt: float | None
    """Seconds, smoothed."""
    loss: float | None
    """0 … 1 over the last probes, None before any is decided."""
    dead: bool = False
    """It carried packets before, and for some time now nothing came back: not even a refusal."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """What to probe now."""

    links: tuple[Link, ...]
    own_slot: int
    interval: float
    """Seconds."""


class Prober(Protocol):
    """Measures links."""

    def quality(self, neighbour: str) -> Quality | None: ...

    async def run(self) -> None: ...


class NoProber:
    """Measures nothing: for hosts without packets."""

    def quality(self, neighbour: str) -> Quality | None:
        return None

    async def run(self) -> None:
        await asyncio.Event().wait()


@dataclass(slots=True)
class RoundTrip:
    """The round-trip time of one link, from the time that each answer took."""

    smoothed: float | None = None
    """Seconds."""
    heard: int = 0
    """Answers so far, up to `_FIRST`."""

    def add(self, took: float) -> None:
        """An answer took so many seconds."""
        if self.smoothed is None:
            self.smoothed = took
        elif self.heard < _FIRST:
            self.smoothed = min(self.smoothed, took)
        else:
            self.smoothed += _SMOOTHING * (took - self.smoothed)
        self.heard = min(_FIRST, self.heard + 1)


@dataclass(slots=True)
class _Probed:
    link: Link
    sent: dict[int, float] = field(default_factory=dict)
    """Number to the time of sending; at most the probes of one timeout."""
    results: deque[bool] = field(default_factory=lambda: deque(maxlen=_WINDOW))
    time: RoundTrip = field(default_factory=RoundTrip)
    signs: Signs = field(default_factory=Signs)
    answers: int = 0
    answers_until: float = 0.0


class UdpProber:
    """One socket for all links."""

    def __init__(
        self,
        port: int,
        rounds: Callable[[], Round | None],
        *,
        clock: Clock,
        timeout: float,
        random: Callable[[], float],
    ) -> None:
        self._port = port
        self._rounds = rounds
        self._clock = clock
        self._timeout = timeout
        self._random = random
        self._links: dict[int, _Probed] = {}
        """By the neighbour's slot."""
        self._slots: dict[str, int] = {}
        self._own_slot = 0
        self._number = 0
        self._socket: socket.socket | None = None

    def quality(self, neighbour: str) -> Quality | None:
        probed = self._links.get(self._slots.get(neighbour, 0))
        if probed is None:
            return None
        loss = None if not probed.results else 1 - sum(probed.results) / len(probed.results)
        return Quality(rtt=probed.time.smoothed, loss=loss, dead=probed.signs.dead(self._clock.monotonic()))

    async def run(self) -> None:
        """Probe until cancelled. A port in use is tried again: the data plane does not depend on it."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                wait = _REOPEN
                if self._socket is None and (opened := self._open()) is not None:
                    self._socket = opened
                    loop.add_reader(opened, self._receive)
                if self._socket is not None:
                    wait = self._probe() * (0.9 + 0.2 * self._random())
                await asyncio.sleep(wait)
        finally:
            if self._socket is not None:
                loop.remove_reader(self._socket)
                self._socket.close()
                self._socket = None

    def _probe(self) -> float:
        """Send one probe on each link; seconds to the next time."""
        this = self._rounds()
        if this is None:
            self._links, self._slots = {}, {}
            return 1.0
        known = {probed.link: probed for probed in self._links.values()}
        self._links = {link.slot: known.get(link) or _Probed(link) for link in this.links}
        self._slots = {link.neighbour: link.slot for link in this.links}
        self._own_slot = this.own_slot
        self._send_all()
        return this.interval

    def _open(self) -> socket.socket | None:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, _HOP_LIMIT)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, RECVERR, 1)
            sock.bind(("::", self._port))
        except OSError as error:
            sock.close()
            _log.warning("links cannot be probed", port=self._port, reason=error.strerror)
            return None
        sock.setblocking(False)
        return sock

    def _send_all(self) -> None:
        now = self._clock.monotonic()
        for probed in self._links.values():
            for number in [number for number, at in probed.sent.items() if now - at > self._timeout]:
                del probed.sent[number]
                probed.results.append(False)
            self._number += 1
            packet = _PACKET.pack(_MARK, _ASK, self._own_slot, self._number)
            probed.sent[self._number] = now
            probed.signs.asked(now)
            self._send(packet, probed.link)

    def _send(self, packet: bytes, link: Link) -> None:
        if self._socket is None:
            return
        # A link that is missing or full is a lost probe, and counted as one. The second try is for the error of an
        # earlier packet, perhaps on another link: the kernel tells of it in place of sending this one.
        for _ in range(2):
            with contextlib.suppress(OSError):
                index = socket.if_nametoindex(link.name)
                self._socket.sendto(packet, (str(link_local(link.slot)), self._port, 0, index))
                return

    def _receive(self) -> None:
        self._read(0, self._heard)
        self._read(socket.MSG_ERRQUEUE, self._refused)

    def _read(self, flags: int, each: _Reader) -> None:
        assert self._socket is not None
        for _ in range(256):  # then the loop has its turn
            try:
                data, control, _, address = self._socket.recvmsg(_PACKET.size + 1, 256, flags)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                continue  # an ICMP error of an earlier packet, which the error queue has whole
            each(data, control, address)

    def _refused(self, data: bytes, control: Control, address: _Address) -> None:
        """One of our own packets that came back, with the error that it met."""
        if len(data) != _PACKET.size:
            return
        mark, _, _, number = _PACKET.unpack(data)
        probed = next((one for one in self._links.values() if str(link_local(one.link.slot)) == _host(address)), None)
        if mark != _MARK or probed is None or number not in probed.sent:
            return
        if refused_on(probed.link.name, link_local(probed.link.slot), control):
            probed.signs.sign()

    def _heard(self, data: bytes, control: Control, address: _Address) -> None:
        if len(data) != _PACKET.size:
            return
        mark, kind, slot, number = _PACKET.unpack(data)
        probed = self._links.get(slot)
        if mark != _MARK or probed is None or not _came_on(probed.link, control, address):
            return
        now = self._clock.monotonic()
        if kind == _ASK:
            if now >= probed.answers_until:
                probed.answers, probed.answers_until = 0, now + 1.0
            if probed.answers < _ANSWERS:
                probed.answers += 1
                self._send(_PACKET.pack(_MARK, _ANSWER, self._own_slot, number), probed.link)
        elif kind == _ANSWER:
            sent = probed.sent.pop(number, None)
            if sent is not None:
                probed.results.append(True)
                probed.signs.sign()
                probed.time.add(now - sent)


def _host(address: _Address) -> str:
    return address[0].partition("%")[0]


def _came_on(link: Link, control: Control, address: _Address) -> bool:
    """Whether a packet came over this link from its other end, and was not forwarded on its way."""
    index = hops = None
    for level, kind, data in control:
        if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO and len(data) == _INTERFACE.size:
            index = _INTERFACE.unpack(data)[0]
        elif level == socket.IPPROTO_IPV6 and kind == socket.IPV6_HOPLIMIT and len(data) == _HOPS.size:
            hops = _HOPS.unpack(data)[0]
    if hops != _HOP_LIMIT or index is None or _host(address) != str(link_local(link.slot)):
        return False
    return named(index) == link.name
