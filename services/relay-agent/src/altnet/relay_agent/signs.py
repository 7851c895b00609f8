"""Whether a link carries packets, by what came back of the probes that were sent over it.

An answer is a sign, and so is a refusal: where no agent runs at the other end, its kernel says so (ICMPv6 port
unreachable, RFC 4443 §3.1), and packets pass all the same.

Leaves out sending and receiving (probe.py). Invariant: a link over which nothing ever came is not called dead: nobody
can tell it from one that lets no probes through.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final

Control = list[tuple[int, int, bytes]]
"""Ancillary data, as `recvmsg` gives it."""

RECVERR: Final = 25
"""IPV6_RECVERR of linux/in6.h, which `socket` does not name: errors come whole, in a queue of their own (ipv6(7))."""
_ERROR: Final = struct.Struct("=4xBBBx8xH6x16sI")
"""`struct sock_extended_err` and who reported it: origin, type, code; family, address, interface (linux/errqueue.h)."""
_ICMP6: Final = 3
_PORT_UNREACHABLE: Final = (1, 4)
"""Type and code (RFC 4443 §3.1)."""
_DEAD_AFTER: Final = 5.0
"""Seconds of silence from which on a link is dead. Failover does not wait for it: BFD is quick, this is certain."""
_DEAD_PROBES: Final = 4
"""Probes in a row without a sign that a dead link has at least: a refused one may have no answer, as kernels send few
errors (RFC 4443 §2.4)."""


@dataclass(slots=True)
class Signs:
    """Whether anybody is at the other end of a link."""

    since: float | None = None
    """When the first probe was sent that nothing came back for, monotonic seconds; None: there is none."""
    unanswered: int = 0
    """Probes since then."""
    heard: bool = False

    def asked(self, now: float) -> None:
        """A probe was sent."""
        if self.heard:
            self.since = now if self.since is None else self.since
            self.unanswered += 1

    def sign(self) -> None:
        """An answer or a refusal came."""
        self.since, self.unanswered, self.heard = None, 0, True

    def dead(self, now: float) -> bool:
        return self.since is not None and self.unanswered >= _DEAD_PROBES and now - self.since >= _DEAD_AFTER


def refused_on(link: str, other_end: IPv6Address, control: Control) -> bool:
    """Whether an error says that nobody listens at a link's other end, by the word of that end, over this link.

    `link` is the interface's name.
    """
    for level, kind, data in control:
        if level == socket.IPPROTO_IPV6 and kind == RECVERR and len(data) >= _ERROR.size:
            origin, error, code, family, offender, scope = _ERROR.unpack_from(data)
            if (origin, error, code, family) == (_ICMP6, *_PORT_UNREACHABLE, socket.AF_INET6):
                return offender == other_end.packed and named(scope) == link
    return False


def named(index: int) -> str:
    """An interface's name; empty if there is none."""
    try:
        return socket.if_indextoname(index)
    except OSError:  # gone since
        return ""
