"""The end that answers channels: one replica of a service, with many peers.

A peer has at most one session in use, the one before it (for what was under way), and two that it has not used yet.
Only a peer's first valid record puts a new session into use, so a repeated hello, or one whose welcome got lost, takes
nothing away. All bounds are a peer's own: whatever a peer sends, no other one is put out.

What is settled before any Diffie-Hellman: a frame of another size, a peer over its rate, a key that is not ours, a
hello that was answered already (it gets the same welcome). Leaves out who the peers are: the caller gives the key that
it expects of one.

Invariant: memory is bounded by `most_peers`; a plaintext comes out once, and under the peer that sealed it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, NamedTuple

import msgspec
from altnet.common.ids import Randomness
from altnet.common.keys import PrivateKey, PublicKey
from altnet.common.noise import wire
from altnet.common.noise.engine import Engine, NoiseprotocolEngine, Pattern
from altnet.common.noise.failures import full, refused, too_many, unknown_session, unknown_static
from altnet.common.noise.initiator import prologue
from altnet.common.noise.rates import Buckets, Rate
from altnet.common.noise.session import Session, SessionLimits

_UNUSED: Final = 2
"""Sessions that a peer has not used yet: its last handshake, and one whose welcome may have been lost."""


class ResponderLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one replica bears. Times in seconds."""

    session: SessionLimits = SessionLimits()
    handshakes: Rate = Rate(burst=10, per_second=0.2)
    """A peer needs one in a quarter of an hour, and a few while its host is being set up."""
    records: Rate = Rate(burst=200, per_second=50)
    """A peer's own; far above what an agent sends."""
    unused_after: Annotated[float, msgspec.Meta(gt=0)] = 60.0
    """A session that was never used is dropped: a welcome that arrived is followed at once."""
    most_peers: Annotated[int, msgspec.Meta(ge=1)] = 100_000
    """About 3 KiB each."""


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """A hello that passed everything that is cheap."""

    peer: str
    hello: wire.Hello
    digest: bytes = field(repr=False)

    @property
    def first_contact(self) -> bool:
        """Whether it needs the psk."""
        return self.hello.pattern is Pattern.IKPSK2


class Request(NamedTuple):
    """An authentic plaintext, and what its answer must be bound to."""

    peer: str
    session: Session
    plain: bytes
    context: bytes
    remote: PublicKey
    """The peer's static key, proven by the handshake."""
    first_contact: bool
    """Whether the handshake proved the psk too."""

    def __repr__(self) -> str:
        return f"Request({self.peer}, {self.session}, <hidden>)"


@dataclass(kw_only=True, slots=True, eq=False)
class _Held:
    session: Session
    remote: PublicKey
    digest: bytes
    welcome: bytes
    first_contact: bool


@dataclass(slots=True)
class _Peer:
    used: _Held | None = None
    before: _Held | None = None
    unused: list[_Held] = field(default_factory=list)

    def all(self) -> Iterator[_Held]:
        yield from (held for held in (self.used, self.before, *self.unused) if held is not None)

    def of(self, session: bytes) -> _Held | None:
        if self.used is not None and self.used.session.id == session:
            return self.used
        return next((held for held in self.all() if held.session.id == session), None)


class Responder:
    """`replica` is eight random bytes, made at the start: peers learn from them where their session is."""

    def __init__(
        self,
        *,
        replica: bytes,
        limits: ResponderLimits | None = None,
        engine: Engine | None = None,
        randomness: Randomness = secrets.token_bytes,
    ) -> None:
        self.replica = replica
        self._limits = limits or ResponderLimits()
        self._engine = engine or NoiseprotocolEngine()
        self._randomness = randomness
        self._statics: dict[bytes, PrivateKey] = {}
        self._peers: dict[str, _Peer] = {}
        self._handshakes = Buckets(self._limits.handshakes, most=self._limits.most_peers)
        self._records = Buckets(self._limits.records, most=self._limits.most_peers)

    @property
    def sessions(self) -> int:
        """How many are held."""
        return sum(1 for peer in self._peers.values() for _ in peer.all())

    def answer_for(self, statics: Mapping[PublicKey, PrivateKey]) -> None:
        """From now on these static keys answer, and no other."""
        self._statics = {wire.static_id(public): private for public, private in statics.items()}

    def arrive(self, frame: bytes, *, peer: str, now: float) -> Arrival | bytes:
        """Look at a hello without any Diffie-Hellman; a repeated one gets its welcome again (bytes).

        Raises `Invalid` (`noise_bad_frame`), `TooMany`, `Unauthenticated` (`noise_unknown_static`).
        """
        hello = wire.read_hello(frame)
        if wait := self._handshakes.take(peer, now):
            raise too_many(wait)
        if hello.static not in self._statics:
            raise unknown_static()
        digest = hashlib.sha256(frame).digest()
        for held in self._peers.get(peer, _Peer()).all():
            if held.digest == digest and not held.session.over(now):
                return held.welcome
        return Arrival(peer=peer, hello=hello, digest=digest)

    def welcome(self, arrival: Arrival, *, expected: PublicKey, psk: bytes | None = None, now: float) -> bytes:
        """Answer a hello of the peer whose key is `expected`. `psk` with a first contact, and only then.

        Raises `Unauthenticated` (`noise_refused`, `noise_unknown_static`), `Exhausted`.
        """
        static = self._statics.get(arrival.hello.static)
        if static is None:
            raise unknown_static()
        handshake = self._engine.respond(
            arrival.hello.pattern,
            prologue=prologue(arrival.peer),
            static=static,
            ephemeral=PrivateKey.generate(self._randomness),
            psk=psk,
        )
        handshake.read(arrival.hello.message)
        if handshake.remote != expected:  # public values: no secret hangs on the time that this takes
            raise refused("handshake")
        peer = self._place(arrival.peer, now)
        id = self._randomness(wire.ID_BYTES)
        welcome = wire.pack_welcome(handshake.write(id + self.replica))
        session = Session(id, handshake.keys(), limits=self._limits.session, now=now)
        peer.unused.append(
            _Held(
                session=session,
                remote=expected,
                digest=arrival.digest,
                welcome=welcome,
                first_contact=arrival.first_contact,
            )
        )
        del peer.unused[:-_UNUSED]
        return welcome

    def open(self, frame: bytes, *, peer: str, now: float) -> Request:
        """Read a record of a peer.

        Raises `Invalid` (`noise_bad_frame`), `TooMany`, `Unauthenticated` (`noise_unknown_session`, `noise_expired`,
        `noise_replayed`, `noise_refused`).
        """
        record = wire.read_record(frame)
        if wait := self._records.take(peer, now):
            raise too_many(wait)
        slot = self._peers.get(peer)
        held = slot.of(record.session) if slot is not None else None
        if slot is None or held is None:
            raise unknown_session()
        plain = held.session.open(record, now=now)
        if held is not slot.used and held is not slot.before:
            slot.before, slot.used = slot.used, held
            slot.unused = []
        return Request(peer, held.session, plain, record.header, held.remote, held.first_contact)

    def answer(self, request: Request, plain: bytes, *, now: float) -> bytes:
        """Seal the answer to a request, so that it fits no other. Raises `Unauthenticated` (`noise_expired`)."""
        return request.session.seal(plain, now=now, context=request.context)

    def forget(self, peer: str) -> None:
        """End a peer's sessions: it is revoked, or its key is not the one any more."""
        self._peers.pop(peer, None)

    def sweep(self, now: float) -> list[str]:
        """Drop what is over. Returns the peers of handshakes that were answered and never used, once for each."""
        unfinished: list[str] = []
        for name, peer in list(self._peers.items()):
            late = [held for held in peer.unused if now - held.session.began >= self._limits.unused_after]
            if late:
                peer.unused = [held for held in peer.unused if held not in late]
                unfinished += [name] * len(late)
            if peer.before is not None and peer.before.session.over(now):
                peer.before = None
            if peer.used is not None and peer.used.session.over(now):
                peer.used = None
            if not any(peer.all()):
                del self._peers[name]
        return unfinished

    def _place(self, name: str, now: float) -> _Peer:
        peer = self._peers.get(name)
        if peer is None:
            if len(self._peers) >= self._limits.most_peers:
                self.sweep(now)
            if len(self._peers) >= self._limits.most_peers:
                raise full()
            peer = self._peers[name] = _Peer()
        return peer
