"""Plain wireguard-go tunnels, an interface per peer: what babeld runs on, and what throughput is compared with.

Every relay has `fd77::<number>/128` on its loopback. The relay with the lower number initiates, as two initiators
stall each other (research: 5 s to over a minute).
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from itertools import combinations
from typing import Final

from altnet.common.keys import PrivateKey

from bench.routing.place import TIMEOUT, Place, until

PORT: Final = 52000
MTU: Final = 1420


def number(relay: str) -> int:
    return int(relay.removeprefix("relay"))


def address(relay: str) -> str:
    return f"fd77::{number(relay):x}"


def build(place: Place, pairs: Iterable[tuple[str, str]] | None = None) -> None:
    """Tunnels between these pairs (all of them by default): `wg<number of the peer>` at both ends, up."""
    wanted = list(combinations(place.relays, 2) if pairs is None else pairs)
    ends = [(one, other) for pair in wanted for one, other in (pair, pair[::-1])]
    keys = {end: PrivateKey.generate() for end in ends}
    for relay in place.relays:
        place.ip(relay, [f"address replace {address(relay)}/128 dev lo nodad"])
    for one, other in ends:
        device = f"wg{number(other)}"
        place.start(one, device, ["wireguard-go", "-f", device], LOG_LEVEL="error")
    for one, other in ends:
        device = f"wg{number(other)}"
        sockets = place.lab.files.wireguard(one)
        until((sockets / f"{device}.sock").exists, timeout=TIMEOUT, what=f"{device} on {one}", poll=0.002)
        place.run(one, ["wg", "setconf", device, "/dev/stdin"], stdin=_config(place, one, other, keys))
        place.ip(
            one,
            [
                f"address replace fe80::{number(one):x}/64 dev {device} nodad",
                f"link set dev {device} up mtu {MTU}",
            ],
        )


def _config(place: Place, one: str, other: str, keys: dict[tuple[str, str], PrivateKey]) -> str:
    """For `wg setconf`; the keys live as long as the bench."""
    private = _base64(keys[one, other].reveal())
    lines = [
        "[Interface]",
        f"PrivateKey = {private}",
        f"ListenPort = {PORT + number(other)}",
        "[Peer]",
        f"PublicKey = {keys[other, one].public().base64}",
        "AllowedIPs = ::/0",
    ]
    if number(one) < number(other):
        lines += [f"Endpoint = [{place.underlay(other)}]:{PORT + number(one)}", "PersistentKeepalive = 25"]
    return "\n".join(lines) + "\n"


def _base64(key: bytes) -> str:
    return base64.b64encode(key).decode()
