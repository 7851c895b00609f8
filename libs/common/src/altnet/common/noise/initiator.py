"""The end that opens a channel: a host.

An attempt is an object of its own, so a late answer to an abandoned one finds nobody. Leaves out timeouts and retries,
which are `altnet.common.bus.channel`'s.

Invariant: a session exists only after the responder has proven its static key, and the psk where there is one.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from altnet.common.ids import Randomness
from altnet.common.keys import PrivateKey, PublicKey
from altnet.common.noise import wire
from altnet.common.noise.engine import Engine, Handshake, NoiseprotocolEngine, Pattern
from altnet.common.noise.failures import refused
from altnet.common.noise.session import Session, SessionLimits

_PROLOGUE = b"altnet-channel-v1\0"


def prologue(peer: str) -> bytes:
    """What both ends must agree on: the protocol's version and who the initiator is (the bus's word)."""
    return _PROLOGUE + peer.encode()


@dataclass(frozen=True, kw_only=True)
class Established:
    """A session, and which of the responder's replicas holds it."""

    session: Session
    replica: bytes


class Attempt:
    """One handshake. `frame` is to be sent; `finish` takes the answer to it, once."""

    def __init__(self, frame: bytes, handshake: Handshake, limits: SessionLimits) -> None:
        self.frame = frame
        self._handshake: Handshake | None = handshake
        self._limits = limits

    def finish(self, answer: bytes, *, now: float) -> Established:
        """Raises `Invalid` (`noise_bad_frame`), and goes on; `Unauthenticated` (`noise_refused`), and is over."""
        message = wire.read_welcome(answer)
        handshake, self._handshake = self._handshake, None
        if handshake is None:
            raise refused("second answer to a handshake")
        payload = handshake.read(message)
        session = Session(payload[: wire.ID_BYTES], handshake.keys(), limits=self._limits, now=now)
        return Established(session=session, replica=payload[wire.ID_BYTES :])


class Initiator:
    """Makes attempts for one host. `peer` is its id, as the bus knows it."""

    def __init__(
        self,
        peer: str,
        static: PrivateKey,
        *,
        limits: SessionLimits | None = None,
        engine: Engine | None = None,
        randomness: Randomness = secrets.token_bytes,
    ) -> None:
        self._prologue = prologue(peer)
        self._static = static
        self._limits = limits or SessionLimits()
        self._engine = engine or NoiseprotocolEngine()
        self._randomness = randomness

    def attempt(self, remote: PublicKey, *, psk: bytes | None = None) -> Attempt:
        """Begin. With a psk it is a first contact. Raises `Unauthenticated` where `remote` is no usable point."""
        pattern = Pattern.IK if psk is None else Pattern.IKPSK2
        handshake = self._engine.initiate(
            pattern,
            prologue=self._prologue,
            static=self._static,
            remote=remote,
            ephemeral=PrivateKey.generate(self._randomness),
            psk=psk,
        )
        hello = wire.Hello(pattern=pattern, static=wire.static_id(remote), message=handshake.write(b""))
        return Attempt(hello.pack(), handshake, self._limits)
