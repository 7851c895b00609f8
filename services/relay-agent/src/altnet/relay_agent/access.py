"""The edge where clients say that they are attached: a UDP socket behind the access interface.

Who speaks is who WireGuard says: a packet counts only if it came in on the access interface from an address that the
private document gives to a client that can move. Over a link a client may take its leave, at the relay's overlay
address, and no more: its own relay has let that source in, and a word too many is mended by the next hello.

Leaves out what a word means (attachments.py). Invariant: memory is bounded by the document's clients, and answers by
`ANSWERS` a second for each of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from ipaddress import IPv6Address, IPv6Network
from typing import Final

import msgspec
from altnet.common import log
from altnet.common.clock import Clock
from altnet.common.contracts.attach import SIZE, Hello, pack, unpack
from altnet.common.contracts.desired import RelayDocument
from altnet.common.net import AddressPlan
from altnet.relay_agent.attachments import Attachments
from altnet.relay_agent.pieces import Names

_log = log.get(__name__)

ANSWERS: Final = 20
"""A second, for each client: it says hello once a second, and a few times more when it moves."""
_REOPEN: Final = 5.0
"""Seconds between two tries to get the port."""
_TURN: Final = 256
"""Packets read before the loop has its turn."""
_PKTINFO: Final = struct.Struct("=16sI")


class Access:
    """Hears the clients of one relay."""

    def __init__(
        self,
        port: int,
        attachments: Attachments,
        *,
        names: Names,
        plan: AddressPlan,
        slot: int,
        document: Callable[[], RelayDocument | None],
        clock: Clock,
        tick: float,
        heard_by: Callable[[str, str, Hello], None] = lambda _client, _device, _hello: None,
        news: Callable[[str], int] = lambda _client: 0,
    ) -> None:
        """`slot` is the relay's own; every `tick` seconds the silent ones are let go. `heard_by(client, device, hello)`
        is told of each word, `news(client)` says whether the client should ask for its configuration."""
        self._port = port
        self._attachments = attachments
        self._names = names
        self._plan = plan
        self._slot = slot
        self._overlay = plan.relay_address(slot)
        self._document = document
        self._clock = clock
        self._tick = tick
        self._heard_by = heard_by
        self._news = news
        self._known: RelayDocument | None = None
        self._clients: dict[IPv6Address, str] = {}
        self._answered: dict[str, int] = {}
        self._second = 0.0
        self._socket: socket.socket | None = None

    async def run(self) -> None:
        """Hear until cancelled. A port in use is tried again; clients keep their tunnels meanwhile."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                wait = self._tick
                if self._socket is None and (opened := self._open()) is not None:
                    self._socket = opened
                    loop.add_reader(opened, self._receive)
                if self._socket is None:
                    wait = _REOPEN
                else:
                    self._look_up()
                    self._attachments.expire(now=self._clock.monotonic())
                await asyncio.sleep(wait)
        finally:
            if self._socket is not None:
                loop.remove_reader(self._socket)
                self._socket.close()
                self._socket = None

    def _open(self) -> socket.socket | None:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            sock.bind(("::", self._port))
        except OSError as error:
            sock.close()
            _log.warning("clients cannot say that they attach", port=self._port, reason=error.strerror)
            return None
        sock.setblocking(False)
        return sock

    def _receive(self) -> None:
        assert self._socket is not None
        for _ in range(_TURN):
            try:
                data, control, _, address = self._socket.recvmsg(SIZE + 1, 128)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                continue  # an ICMP error of an earlier answer
            self.heard(data, control, str(address[0]), port=int(address[1]))

    def heard(self, data: bytes, control: list[tuple[int, int, bytes]], source: str, *, port: int) -> None:
        """One datagram with its control messages."""
        hello = unpack(data)
        if not isinstance(hello, Hello):
            return
        self._look_up()
        client = self._clients.get(_address(source))
        where = _where(control)
        if client is None or where is None or not self._may_answer(client):
            return
        device, target = where
        if self._names.access_number(device) is not None:
            self._heard_by(client, device, hello)
            answer = self._attachments.hear(client, hello, now=self._clock.monotonic())
            self._send(pack(msgspec.structs.replace(answer, news=self._news(client))), source, port, control)
        elif self._names.is_link(device) and target == self._overlay and not hello.attached:
            self._attachments.hear(client, hello, now=self._clock.monotonic())

    def _look_up(self) -> None:
        document = self._document()
        if document is self._known:
            return
        self._known = document
        self._clients = {}
        movable = [] if document is None or document.revoked else [it for it in document.clients if it.movable]
        for client in movable:
            for text in client.addresses:
                with contextlib.suppress(ValueError):  # view.client_pieces says what is wrong with it
                    address = IPv6Network(text).network_address
                    self._clients[address] = client.id
                    if address in self._plan.clients:
                        self._clients[self._plan.guest_address(self._slot, address)] = client.id
        self._answered = {}
        self._attachments.keep({client.id for client in movable})

    def _may_answer(self, client: str) -> bool:
        now = self._clock.monotonic()
        if now >= self._second:
            self._answered, self._second = {}, now + 1.0
        count = self._answered.get(client, 0)
        self._answered[client] = count + 1
        return count < ANSWERS

    def _send(self, answer: bytes, target: str, port: int, control: list[tuple[int, int, bytes]]) -> None:
        """Answer from the address that was asked, through the interface that the question came by."""
        if self._socket is None:
            return
        asked = [one for one in control if one[:2] == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO)]
        with contextlib.suppress(OSError):  # a lost answer; the client asks again
            self._socket.sendmsg([answer], asked, 0, (target, port))


def _address(text: str) -> IPv6Address:
    return IPv6Address(text.partition("%")[0])


def _where(control: list[tuple[int, int, bytes]]) -> tuple[str, IPv6Address] | None:
    """The interface that a packet came by, and the address it was for; None for an interface that is gone."""
    for level, kind, data in control:
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            packed, index = _PKTINFO.unpack_from(data)
            try:
                return socket.if_indextoname(index), IPv6Address(packed)
            except OSError:
                return None
    return None
