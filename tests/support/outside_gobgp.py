"""GoBGP as a router outside: a speaker of BGP that leaves the kernel's routes alone."""

from __future__ import annotations

import json
import re
import struct
import time
from collections.abc import Iterable, Sequence
from ipaddress import IPv6Address, IPv6Network, ip_network

from support.outside import WAIT, Outside

MANY = 50
"""From so many prefixes on they go in by an MRT file (RFC 6396): a call of its tool for each would take minutes."""


class GoBgp(Outside):
    kind = "gobgp"
    program = "gobgpd"
    package = "gobgpd"
    forwards = False

    def start(self) -> None:
        (self.directory / "gobgpd.toml").write_text(self._config())
        again = ["-r"] if (self.directory / "started").exists() else []
        (self.directory / "started").touch()
        self._hold(True)
        self.spawn("gobgpd", "gobgpd", "-f", str(self.directory / "gobgpd.toml"), "--api-hosts", "[::1]:50051", *again)
        deadline = time.monotonic() + WAIT
        while self._gobgp("global") is None:
            assert time.monotonic() < deadline, "gobgpd does not start"
            time.sleep(0.05)
        told, self._told = self._told, ()
        self.tell(told)
        self._hold(False)

    def _hold(self, held: bool) -> None:
        """Its configuration has no routes of its own: a session before they are told would end with "that was all"."""
        if held:
            self.namespace.run("nft", "add table inet held")
            self.namespace.run("nft", "add chain inet held in { type filter hook input priority 0; }")
            for port in ("dport", "sport"):
                self.namespace.run("nft", f"add rule inet held in tcp {port} 179 drop")
        else:
            self.namespace.run("nft", "delete table inet held")

    def tell(self, prefixes: Iterable[str]) -> None:
        before, self._told = self._told, tuple(prefixes)
        if "gobgpd" not in self.processes:
            return
        gone = [one for one in before if one not in self._told]
        if len(gone) >= MANY:
            assert self._gobgp("global", "rib", "del", "all", "-a", "ipv6") is not None
            before, gone = (), []
        for one in gone:
            assert self._rib("del", one) is not None
        fresh = [one for one in self._told if one not in before]
        if len(fresh) < MANY:
            for one in fresh:
                assert self._rib("add", one, "nexthop", self.speaker.address) is not None
            return
        table = self.directory / "table.mrt"
        networks = [IPv6Network(one) for one in fresh]
        deadline = time.monotonic() + 3 * WAIT
        while not self._has(len(self._told)):
            # Its tool ends before the last of its updates are sent, so it is asked again, the other way round.
            assert time.monotonic() < deadline, "gobgpd does not take the table"
            networks.reverse()
            table.write_bytes(mrt(networks, IPv6Address(self.speaker.address)))
            self._gobgp("mrt", "inject", "global", str(table))

    def _has(self, count: int) -> bool:
        found = re.search(r"Destination: (\d+)", self._gobgp("global", "rib", "summary", "-a", "ipv6") or "")
        return found is not None and int(found[1]) >= count

    def heard(self) -> set[str]:
        found = set()
        for family in ("ipv6", "ipv4") if self.speaker.ipv4 else ("ipv6",):
            said = self._gobgp("-j", "neighbor", self.speaker.relay, "adj-in", "-a", family)
            found |= set(json.loads(said or "{}") or {})
        return found

    def _rib(self, verb: str, prefix: str, *rest: str) -> str | None:
        family = "ipv6" if ip_network(prefix).version == 6 else "ipv4"
        return self._gobgp("global", "rib", verb, prefix, *rest, "-a", family)

    def _gobgp(self, *words: str) -> str | None:
        return self.ask("gobgp", "-u", "::1", *words)

    def _config(self) -> str:
        me = self.speaker
        families = ["ipv6-unicast", "ipv4-unicast"] if me.ipv4 else ["ipv6-unicast"]
        password = f'auth-password = "{me.password}"' if me.password else ""
        parts = [
            f"""\
[global.config]
as = {me.asn}
router-id = "10.0.0.2"
[[neighbors]]
[neighbors.config]
neighbor-address = "{me.relay}"
peer-as = {me.relay_asn}
{password}
[neighbors.transport.config]
local-address = "{me.address}"
[neighbors.timers.config]
hold-time = 9
keepalive-interval = 3
connect-retry = 1
idle-hold-time-after-reset = 1
[neighbors.graceful-restart.config]
enabled = true
restart-time = 120
"""
        ]
        parts += [
            f"""\
[[neighbors.afi-safis]]
[neighbors.afi-safis.config]
afi-safi-name = "{family}"
[neighbors.afi-safis.mp-graceful-restart.config]
enabled = true
"""
            for family in families
        ]
        return "".join(parts)


def mrt(prefixes: Sequence[IPv6Network], next_hop: IPv6Address) -> bytes:
    """A table of routes with an empty path, as a TABLE_DUMP_V2 (RFC 6396 §4.3)."""
    peer = struct.pack("!B4s16sI", 3, b"\x0a\0\0\x02", next_hop.packed, 0)
    found = _record(1, struct.pack("!4sHH", b"\x0a\0\0\x02", 0, 1) + peer)
    for number, prefix in enumerate(prefixes):
        octets = prefix.network_address.packed[: (prefix.prefixlen + 7) // 8]
        told = struct.pack("!B", prefix.prefixlen) + octets
        # GoBGP wants this attribute whole, not abbreviated as in §4.3.4.
        reach = struct.pack("!HBB16sB", 2, 1, 16, next_hop.packed, 0) + told
        attributes = b"\x40\x01\x01\0" + b"\x40\x02\0" + struct.pack("!BBB", 0x80, 14, len(reach)) + reach
        entry = struct.pack("!HIH", 0, 0, len(attributes)) + attributes
        found += _record(4, struct.pack("!I", number) + told + struct.pack("!H", 1) + entry)
    return found


def _record(subtype: int, body: bytes) -> bytes:
    return struct.pack("!IHHI", 0, 13, subtype, len(body)) + body
