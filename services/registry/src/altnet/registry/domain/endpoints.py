"""Where a relay can be reached on the underlay: `host:port` or `[address]:port`.

Leaves out resolving: hosts are names or addresses that the relays themselves resolve.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address
from typing import Final

from altnet.common.errors import Invalid

MOST_ENDPOINTS: Final = 8

_HOST: Final = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*\Z"
)


def split_endpoint(text: str, *, field: str | None = None) -> tuple[str, int]:
    """Host (without brackets) and port. Raises `Invalid` (`bad_endpoint`)."""
    host, colon, port = text.rpartition(":")
    if not colon or not re.match(r"[0-9]{1,5}\Z", port) or not 1 <= int(port) <= 65535:
        raise _bad(field)
    if host.startswith("[") and host.endswith("]"):
        try:
            address = ip_address(host[1:-1])
        except ValueError:
            raise _bad(field) from None
        if not isinstance(address, IPv6Address) or address.scope_id or address.is_unspecified or address.is_multicast:
            raise _bad(field)
        return str(address), int(port)
    if not _HOST.match(host):
        raise _bad(field)
    if re.match(r"[0-9.]+\Z", host):
        try:
            address4 = ip_address(host)
        except ValueError:
            raise _bad(field) from None
        if address4.is_unspecified or address4.is_multicast:
            raise _bad(field)
    return host.lower(), int(port)


def join_endpoint(host: str, port: int) -> str:
    """The text form; an IPv6 address gets its brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def check_endpoints(endpoints: Sequence[str], *, field: str = "/endpoints") -> tuple[str, ...]:
    """The endpoints in canonical form, in the given order, without repetition. Raises `Invalid`."""
    if len(endpoints) > MOST_ENDPOINTS:
        raise Invalid("bad_endpoint", f"more than {MOST_ENDPOINTS} endpoints.", field=field, mend="Leave some out.")
    texts = [join_endpoint(*split_endpoint(text, field=f"{field}/{i}")) for i, text in enumerate(endpoints)]
    return tuple(dict.fromkeys(texts))


def _bad(field: str | None) -> Invalid:
    return Invalid(
        "bad_endpoint",
        "not an endpoint: a host name or address and a UDP port are expected.",
        field=field,
        mend="Write it like relay.example.net:51820, 192.0.2.1:51820 or [2001:db8::1]:51820.",
    )
