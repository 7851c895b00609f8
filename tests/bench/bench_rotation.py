"""All mesh keys of 8 relays are rotated under 1,000 packets a second each way, by keyd and as a script would.

The script sets each relay's new private key and then swaps the peer on every other relay, one after the other, by `wg`:
what one does without a second device. The agents are stopped for it, or they would mend what it does.
Needs root. Invariant: both go through the same lab, one after the other.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import Final

from altnet.common.errors import Unavailable
from altnet.common.keys import PrivateKey
from altnet.host.lab import commands, enrol
from altnet.host.lab.api import Api
from altnet.host.lab.lab import Target
from altnet.host.lab.prober import Endpoint, Loss, Prober

from bench.report import Measure
from bench.routing.place import Place, place, until

RELAYS: Final = 8
RATE: Final = 1000.0
PLAN: Final = {"drain": 1, "wave": 8}
SETTLE: Final = 0.5
WITHIN: Final = 300.0
WATCH: Final = 20.0
"""Seconds in which the script's mesh may find itself again: two ends that speak at once stall each other for 5 s."""


def run(say: Callable[[str], None], *, scale: int = 1000) -> dict[str, Measure]:
    """`scale` is not used: every packet is real."""
    del scale
    with place(RELAYS, until="relays") as where:
        took, ours, in_place = rotate_for_real(where, say, then=_script(say))
        assert in_place is not None
        theirs, script = in_place
    against, note = "rotation in place", f"in place: {theirs.lost} of {theirs.sent} lost"
    return {
        "rotation_lost": Measure(value=float(ours.lost), unit="packets", note=f"of {ours.sent}; {note}"),
        "rotation_gap": Measure(
            value=ours.longest_gap, unit="s", ratio=ours.longest_gap / theirs.longest_gap, against=against
        ),
        "rotation_8_relays": Measure(value=took, unit="s", note=f"1 s of it draining; the script took {script:.1f} s"),
    }


Then = Callable[[Place, Prober], tuple[Loss, float]]


def rotate_for_real(
    where: Place, say: Callable[[str], None], *, then: Then | None = None, rate: float = RATE, poll: float = 0.05
) -> tuple[float, Loss, tuple[Loss, float] | None]:
    """Rotate all keys by keyd under traffic: seconds, what was lost, and what `then` found under the same traffic.

    `rate`: packets a second each way. `poll`: seconds between two questions whether it is over.
    """
    count = len(where.relays)
    api = enrol.open_api(where.lab.control_plane())
    until(lambda: api.proven() == count, timeout=WITHIN, what="every identity is proven")
    ends = _ends(where)
    with Prober(*ends, rate=rate) as packets:
        if packets.flows(since=packets.now(), timeout=WITHIN) is None:
            raise TimeoutError("no packet gets across the mesh")
        since, began = packets.now(), time.monotonic()
        rotation = api.rotate(**PLAN)
        until(lambda: _is_over(api, rotation.id), timeout=WITHIN, poll=poll, what="the rotation is over")
        took, done = time.monotonic() - began, api.rotation(rotation.id)
        if done.phase != "done" or any(relay.left for relay in done.relays):
            raise RuntimeError(f"the rotation ended otherwise: {done.to_dict()}")
        ours = _window(packets, since)
        say(f"   by keyd, {count} relays: {_words(ours)}, {took:.1f} s")
        return took, ours, then(where, packets) if then is not None else None


def _is_over(api: Api, rotation: str) -> bool:
    try:
        return api.rotation(rotation).ended_at is not None
    except Unavailable:  # 32 relays leave a control plane on the same two processors little: it is asked again
        return False


def _script(say: Callable[[str], None]) -> Then:
    def in_place(where: Place, packets: Prober) -> tuple[Loss, float]:
        for relay in where.relays:
            where.lab.kill(relay, Target.AGENT)
        since = packets.now()
        script = _in_place(where)
        time.sleep(WATCH)
        theirs = _window(packets, since)
        say(f"   in place: {_words(theirs)}, {script:.1f} s")
        return theirs, script

    return in_place


def _ends(where: Place) -> tuple[Endpoint, Endpoint]:
    addresses = {str(relay.name): str(relay.address) for relay in enrol.open_api(where.lab.control_plane()).relays()}
    one, other = where.relays[0], where.relays[len(where.relays) // 2]
    return (
        Endpoint(namespace=where.namespace(one), address=addresses[one]),
        Endpoint(namespace=where.namespace(other), address=addresses[other]),
    )


def _window(packets: Prober, since: float) -> Loss:
    time.sleep(SETTLE)
    return packets.window(since, packets.now() - SETTLE)


def _words(loss: Loss) -> str:
    return f"{loss.lost} of {loss.sent} lost, longest gap {loss.longest_gap * 1000:.0f} ms"


def _in_place(where: Place) -> float:
    """Every relay gets a new key on the device that it uses; seconds."""
    began = time.monotonic()
    for relay in where.relays:
        device, old, _ = _device(where, relay)
        key = PrivateKey.generate()
        new = key.public().base64
        _wg(where, relay, "set", device, "private-key", "/dev/stdin", stdin=base64.b64encode(key.reveal()).decode())
        for other in where.relays:
            if other != relay:
                there, _, peers = _device(where, other)
                endpoint, allowed, keepalive = peers[old]
                where_to = [] if endpoint == "(none)" else ["endpoint", endpoint]
                _wg(where, other, "set", there, "peer", old, "remove")
                _wg(where, other, "set", there, "peer", new, "allowed-ips", allowed, *where_to,
                    "persistent-keepalive", keepalive)  # fmt: skip
    return time.monotonic() - began


def _device(where: Place, relay: str) -> tuple[str, str, dict[str, tuple[str, str, str]]]:
    """The mesh device, its public key, and its peers: endpoint, allowed prefixes, keepalive."""
    device = next(name for name in _wg(where, relay, "show", "interfaces").split() if name in ("altm0", "altm1"))
    first, *rest = [line.split("\t") for line in _wg(where, relay, "show", device, "dump").splitlines()]
    return device, first[1], {line[0]: (line[2], line[3], line[7]) for line in rest}


def _wg(where: Place, relay: str, *words: str, stdin: str = "") -> str:
    argv = where.lab.exec_argv(relay, ["wg", *words])
    return commands.run(argv, stdin=stdin, timeout=WITHIN).stdout
