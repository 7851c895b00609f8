"""The Noise layer alone: handshakes and records a second, both ends in one thread, beside `noiseprotocol` bare.

The alternative runs the same pattern with the library's own calls and its implicit counters: no frames, no replay
window, no ages, no table of peers. Both take turns in short slices, so that a busy machine slows both alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from altnet.common.keys import PrivateKey
from altnet.common.noise import wire
from altnet.common.noise.engine import Pattern
from altnet.common.noise.initiator import Established, Initiator
from altnet.common.noise.rates import Rate
from altnet.common.noise.responder import Responder, ResponderLimits
from altnet.common.noise.session import SessionLimits
from noise.connection import Keypair, NoiseConnection

from bench.report import Measure

PEER: Final = "rly_01ARZ3NDEKTSV4RRFFQ69G5FAV"
SLICES: Final = 6
SECONDS: Final = 0.5
"""Of one slice."""
PAYLOAD: Final = bytes(256)
"""About what a request has."""
HOST, SERVICE = PrivateKey.generate(), PrivateKey.generate()
_FREE: Final = Rate(burst=1e12, per_second=1e12)
LIMITS: Final = ResponderLimits(
    handshakes=_FREE,
    records=_FREE,
    session=SessionLimits(rekey_after_messages=2**60, reject_after_messages=2**61),
)


async def run(say: Callable[[str], None], *, scale: int = 1000) -> dict[str, Measure]:
    responder = Responder(replica=bytes(wire.ID_BYTES), limits=LIMITS)
    responder.answer_for({SERVICE.public(): SERVICE})
    initiator = Initiator(PEER, HOST, limits=LIMITS.session)
    ours, bare = _rates(lambda: _shake(initiator, responder), _bare_handshake)
    say(f"   handshakes: {ours:,.0f}/s, {bare:,.0f}/s bare")
    handshakes = Measure(
        value=ours, unit="1/s", ratio=ours / bare, against="noiseprotocol", note="IK, both ends on one core"
    )
    held = _shake(initiator, responder)
    here, there = _bare_handshake()

    def record() -> None:
        frame = held.session.seal(PAYLOAD, now=0.0)
        assert responder.open(frame, peer=PEER, now=0.0).plain == PAYLOAD

    def bare_record() -> None:
        assert there.decrypt(here.encrypt(PAYLOAD)) == PAYLOAD

    ours, bare = _rates(record, bare_record)
    say(f"   records: {ours:,.0f}/s, {bare:,.0f}/s bare")
    records = Measure(
        value=ours,
        unit="1/s",
        ratio=ours / bare,
        against="noiseprotocol",
        note=f"sealed and opened, {len(PAYLOAD)} bytes, with counters, window and rate limit",
    )
    return {"noise_handshakes": handshakes, "noise_messages": records}


def _shake(initiator: Initiator, responder: Responder) -> Established:
    attempt = initiator.attempt(SERVICE.public())
    arrival = responder.arrive(attempt.frame, peer=PEER, now=0.0)
    assert not isinstance(arrival, bytes)
    return attempt.finish(responder.welcome(arrival, expected=HOST.public(), now=0.0), now=0.0)


def _bare_handshake() -> tuple[Any, Any]:
    here = NoiseConnection.from_name(Pattern.IK.value.encode())
    here.set_as_initiator()
    here.set_keypair_from_private_bytes(Keypair.STATIC, HOST.reveal())
    here.set_keypair_from_public_bytes(Keypair.REMOTE_STATIC, SERVICE.public().raw)
    there = NoiseConnection.from_name(Pattern.IK.value.encode())
    there.set_as_responder()
    there.set_keypair_from_private_bytes(Keypair.STATIC, SERVICE.reveal())
    here.start_handshake()
    there.start_handshake()
    there.read_message(bytes(here.write_message()))
    here.read_message(bytes(there.write_message()))
    return here, there


def _rates(one: Callable[[], object], other: Callable[[], object]) -> tuple[float, float]:
    """Calls a second of each, the best of its slices: what disturbs only ever slows."""
    best = [0.0, 0.0]
    for _ in range(SLICES):
        for at, call in enumerate((one, other)):
            count, begin = 0, time.perf_counter()
            while (now := time.perf_counter()) - begin < SECONDS:
                call()
                count += 1
            best[at] = max(best[at], count / (now - begin))
    return best[0], best[1]
