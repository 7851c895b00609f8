"""The seam behind which a Noise implementation works: handshakes only.

What follows a handshake (counters, replay, ages) is ours (`session`), from two keys and the handshake hash. The engine
of today is `noiseprotocol`; another one has to satisfy `Engine` and the published vectors.

Invariant: whatever a peer sends, an engine raises `Unauthenticated` (`noise_refused`) or gives an authentic payload.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol

from altnet.common.keys import PrivateKey, PublicKey
from altnet.common.noise.failures import refused
from cryptography.exceptions import InvalidTag
from noise.connection import Keypair, NoiseConnection
from noise.exceptions import NoiseHandshakeError, NoiseInvalidMessage, NoiseMaxNonceError, NoiseValueError

PSK_BYTES: Final = 32
_LARGEST: Final = 65_535
"""Bytes of a Noise message (Noise Protocol Framework, revision 34, section 3)."""


class Pattern(StrEnum):
    """The handshakes that are used, by their Noise names: Curve25519, ChaCha20-Poly1305, BLAKE2s, as WireGuard."""

    IK = "Noise_IK_25519_ChaChaPoly_BLAKE2s"
    """Both statics known beforehand."""
    IKPSK2 = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
    """The same, and a shared secret that the second message proves and needs: first contact."""


@dataclass(frozen=True, kw_only=True)
class Keys:
    """What a finished handshake yields."""

    send: bytes = field(repr=False)
    receive: bytes = field(repr=False)
    binding: bytes
    """The handshake hash, 32 bytes: equal at both ends, and of no other handshake (section 11.2)."""


class Handshake(Protocol):
    """One run of a pattern. Messages in turn; after a failure it is of no use any more."""

    def write(self, payload: bytes) -> bytes:
        """Our next message."""
        ...

    def read(self, message: bytes) -> bytes:
        """The payload of the peer's next message. Raises `Unauthenticated` (`noise_refused`)."""
        ...

    @property
    def remote(self) -> PublicKey:
        """The peer's static key: as given, or as the first message told."""
        ...

    def keys(self) -> Keys:
        """After the last message."""
        ...


class Engine(Protocol):
    """Starts handshakes. Ephemeral keys are parameters, so that vectors and replays can give theirs."""

    def initiate(
        self,
        pattern: Pattern,
        *,
        prologue: bytes,
        static: PrivateKey,
        remote: PublicKey,
        ephemeral: PrivateKey,
        psk: bytes | None = None,
    ) -> Handshake: ...

    def respond(
        self,
        pattern: Pattern,
        *,
        prologue: bytes,
        static: PrivateKey,
        ephemeral: PrivateKey,
        psk: bytes | None = None,
    ) -> Handshake: ...


class NoiseprotocolEngine:
    """`noiseprotocol` 0.3 (MIT) on the primitives of `cryptography`."""

    def initiate(
        self,
        pattern: Pattern,
        *,
        prologue: bytes,
        static: PrivateKey,
        remote: PublicKey,
        ephemeral: PrivateKey,
        psk: bytes | None = None,
    ) -> Handshake:
        connection = _connection(pattern, prologue=prologue, static=static, psk=psk)
        connection.set_as_initiator()
        connection.set_keypair_from_public_bytes(Keypair.REMOTE_STATIC, remote.raw)
        return _started(connection, ephemeral)

    def respond(
        self,
        pattern: Pattern,
        *,
        prologue: bytes,
        static: PrivateKey,
        ephemeral: PrivateKey,
        psk: bytes | None = None,
    ) -> Handshake:
        connection = _connection(pattern, prologue=prologue, static=static, psk=psk)
        connection.set_as_responder()
        return _started(connection, ephemeral)


class _Running:
    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._state = connection.noise_protocol.handshake_state
        self._broken = False

    def write(self, payload: bytes) -> bytes:
        try:
            return bytes(self._connection.write_message(payload))
        except ValueError:  # a point of small order, as the peer's static or ephemeral key
            self._broken = True
            raise refused("handshake") from None

    def read(self, message: bytes) -> bytes:
        if self._broken or len(message) > _LARGEST:
            raise refused("handshake")
        try:
            return bytes(self._connection.read_message(message))
        except (InvalidTag, ValueError, NoiseHandshakeError, NoiseInvalidMessage, NoiseMaxNonceError, NoiseValueError):
            self._broken = True
            raise refused("handshake") from None

    @property
    def remote(self) -> PublicKey:
        return PublicKey(bytes(self._state.rs.public_bytes))

    def keys(self) -> Keys:
        if self._broken or not self._connection.handshake_finished:
            raise refused("handshake")
        protocol = self._connection.noise_protocol
        return Keys(
            send=bytes(protocol.cipher_state_encrypt.k),
            receive=bytes(protocol.cipher_state_decrypt.k),
            binding=bytes(self._connection.get_handshake_hash()),
        )


def _started(connection: Any, ephemeral: PrivateKey) -> Handshake:
    """Given before the start, an ephemeral key makes the library warn that keys must not be reused; ours are fresh."""
    connection.start_handshake()
    pair = connection.noise_protocol.dh_fn.klass.from_private_bytes(ephemeral.reveal())
    connection.noise_protocol.handshake_state.e = pair
    return _Running(connection)


def _connection(pattern: Pattern, *, prologue: bytes, static: PrivateKey, psk: bytes | None) -> Any:
    if (psk is not None) != (pattern is Pattern.IKPSK2) or (psk is not None and len(psk) != PSK_BYTES):
        raise ValueError(f"{pattern.name} takes {'one key of 32 bytes' if pattern is Pattern.IKPSK2 else 'no'} psk")
    connection = NoiseConnection.from_name(pattern.value.encode())
    connection.set_prologue(prologue)
    connection.set_keypair_from_private_bytes(Keypair.STATIC, static.reveal())
    if psk is not None:
        connection.set_psks(psk=psk)
    return connection
