"""Our handshakes are Noise: the published vectors, and a second implementation, say so.

The vectors (cacophony's format) are not part of the project: ALTNET_NOISE_VECTORS names their folder, or they lie
beside the project in `../shared/vectors` or `../../shared/vectors`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from altnet.common.errors import Unauthenticated
from altnet.common.keys import PrivateKey, PublicKey
from altnet.common.noise.engine import Engine, Handshake, Keys, NoiseprotocolEngine, Pattern
from altnet.common.noise.failures import refused
from altnet.common.noise.initiator import Initiator
from altnet.common.noise.responder import Arrival, Responder
from altnet.common.noise.session import _nonce
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from dissononce.cipher.chachapoly import ChaChaPolyCipher
from dissononce.dh.x25519.private import PrivateKey as TheirPrivate
from dissononce.dh.x25519.public import PublicKey as TheirPublic
from dissononce.dh.x25519.x25519 import X25519DH
from dissononce.exceptions.decrypt import DecryptFailedException
from dissononce.extras.dh.dangerous.dh_nogen import NoGenDH
from dissononce.hash.blake2s import Blake2sHash
from dissononce.processing.handshakepatterns.interactive.IK import IKHandshakePattern
from dissononce.processing.impl.cipherstate import CipherState
from dissononce.processing.impl.handshakestate import HandshakeState
from dissononce.processing.impl.symmetricstate import SymmetricState
from dissononce.processing.modifiers.psk import PSKPatternModifier
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).parents[3]
ENGINE = NoiseprotocolEngine()
SECRET = st.binary(min_size=32, max_size=32)


def _vectors() -> Path | None:
    named = os.environ.get("ALTNET_NOISE_VECTORS")
    places = [Path(named)] if named else [ROOT.parent / "shared/vectors", ROOT.parents[1] / "shared/vectors"]
    return next((place for place in places if (place / "noise-cacophony.json").exists()), None)


def _key(text: str) -> PrivateKey:
    return PrivateKey(bytes.fromhex(text))


@pytest.mark.parametrize("pattern", Pattern)
def test_the_published_vectors_come_out(pattern: Pattern) -> None:
    folder = _vectors()
    if folder is None:
        pytest.skip(
            "NOT TESTED: the published Noise vectors are not here. Set ALTNET_NOISE_VECTORS to a folder with"
            " noise-cacophony.json; the second implementation still vouches below."
        )
    known = json.loads((folder / "noise-cacophony.json").read_text())["vectors"]
    [vector] = [one for one in known if one["protocol_name"] == pattern.value]
    prologue = bytes.fromhex(vector["init_prologue"])
    psk = bytes.fromhex(vector["init_psks"][0]) if vector.get("init_psks") else None
    initiator = ENGINE.initiate(
        pattern,
        prologue=prologue,
        static=_key(vector["init_static"]),
        remote=PublicKey(bytes.fromhex(vector["init_remote_static"])),
        ephemeral=_key(vector["init_ephemeral"]),
        psk=psk,
    )
    responder = ENGINE.respond(
        pattern,
        prologue=prologue,
        static=_key(vector["resp_static"]),
        ephemeral=_key(vector["resp_ephemeral"]),
        psk=psk,
    )
    messages = [(bytes.fromhex(one["payload"]), bytes.fromhex(one["ciphertext"])) for one in vector["messages"]]

    assert initiator.write(messages[0][0]) == messages[0][1]
    assert responder.read(messages[0][1]) == messages[0][0]
    assert responder.remote == _key(vector["init_static"]).public()
    assert responder.write(messages[1][0]) == messages[1][1]
    assert initiator.read(messages[1][1]) == messages[1][0]
    ours, theirs = initiator.keys(), responder.keys()
    assert ours.binding == theirs.binding == bytes.fromhex(vector["handshake_hash"])
    assert (ours.send, ours.receive) == (theirs.receive, theirs.send)
    for number, (payload, ciphertext) in enumerate(messages[2:]):
        key = ours.send if number % 2 == 0 else ours.receive
        assert ChaCha20Poly1305(key).encrypt(_nonce(number // 2), payload, b"") == ciphertext


class Other:
    """The second implementation, dissononce, in the shape of our seam's `Handshake`."""

    def __init__(
        self,
        pattern: Pattern,
        *,
        initiator: bool,
        prologue: bytes,
        static: PrivateKey,
        remote: PublicKey | None,
        psk: bytes | None,
        ephemeral: PrivateKey | None = None,
    ) -> None:
        self.initiator = initiator
        dh: Any = X25519DH()
        if ephemeral is not None:
            dh = NoGenDH(dh, TheirPrivate(ephemeral.reveal()))
        shape: Any = IKHandshakePattern()
        if pattern is Pattern.IKPSK2:
            shape = PSKPatternModifier(2).modify(shape)
        self.state = HandshakeState(SymmetricState(CipherState(ChaChaPolyCipher()), Blake2sHash()), dh)
        self.state.initialize(
            shape,
            initiator,
            prologue,
            s=X25519DH().generate_keypair(TheirPrivate(static.reveal())),
            rs=None if remote is None else TheirPublic(remote.raw),
            psks=None if psk is None else [psk],
        )
        self.ends: Any = None

    def write(self, payload: bytes) -> bytes:
        out = bytearray()
        self.ends = self.state.write_message(payload, out)
        return bytes(out)

    def read(self, message: bytes) -> bytes:
        out = bytearray()
        try:
            self.ends = self.state.read_message(message, out)
        except (DecryptFailedException, ValueError, AssertionError):
            raise refused("handshake") from None
        return bytes(out)

    @property
    def remote(self) -> PublicKey:
        return PublicKey(bytes(self.state.rs.data))

    def keys(self) -> Keys:
        first, second = (bytes(end._key) for end in self.ends)
        send, receive = (first, second) if self.initiator else (second, first)
        return Keys(send=send, receive=receive, binding=bytes(self.state.symmetricstate.get_handshake_hash()))


class OtherEngine:
    """Another engine in the place of ours."""

    def initiate(self, pattern: Pattern, *, remote: PublicKey, **given: Any) -> Handshake:
        given.setdefault("psk", None)
        return Other(pattern, initiator=True, remote=remote, **given)

    def respond(self, pattern: Pattern, **given: Any) -> Handshake:
        given.setdefault("psk", None)
        return Other(pattern, initiator=False, remote=None, **given)


@pytest.mark.parametrize("psk", [None, b"p" * 32], ids=["IK", "IKpsk2"])
@pytest.mark.parametrize("engines", [(OtherEngine(), ENGINE), (ENGINE, OtherEngine()), (OtherEngine(), OtherEngine())])
def test_another_engine_can_take_either_ends_place(engines: tuple[Engine, Engine], psk: bytes | None) -> None:
    host, service = PrivateKey.generate(), PrivateKey.generate()
    initiator = Initiator("rly_1", host, engine=engines[0])
    responder = Responder(replica=b"replica0", engine=engines[1])
    responder.answer_for({service.public(): service})
    attempt = initiator.attempt(service.public(), psk=psk)
    arrival = responder.arrive(attempt.frame, peer="rly_1", now=0.0)
    assert isinstance(arrival, Arrival)
    held = attempt.finish(responder.welcome(arrival, expected=host.public(), psk=psk, now=0.0), now=0.0)

    request = responder.open(held.session.seal(b"word", now=0.0), peer="rly_1", now=0.0)

    assert request.plain == b"word"
    assert request.session.binding == held.session.binding


@settings(max_examples=20)
@given(
    pattern=st.sampled_from(Pattern),
    ours_begins=st.booleans(),
    secrets=st.tuples(SECRET, SECRET, SECRET, SECRET),
    prologue=st.binary(max_size=60),
    payloads=st.lists(st.binary(max_size=100), min_size=4, max_size=4),
)
def test_a_second_implementation_understands_us_and_we_understand_it(
    pattern: Pattern,
    ours_begins: bool,
    secrets: tuple[bytes, bytes, bytes, bytes],
    prologue: bytes,
    payloads: list[bytes],
) -> None:
    host, service, ephemeral = (PrivateKey(secret) for secret in secrets[:3])
    psk = secrets[3] if pattern is Pattern.IKPSK2 else None
    ours: Handshake
    if ours_begins:
        ours = ENGINE.initiate(
            pattern, prologue=prologue, static=host, remote=service.public(), ephemeral=ephemeral, psk=psk
        )
        other = Other(pattern, initiator=False, prologue=prologue, static=service, remote=None, psk=psk)
        assert other.read(ours.write(payloads[0])) == payloads[0]
        assert ours.read(other.write(payloads[1])) == payloads[1]
        receive, send = other.ends
    else:
        ours = ENGINE.respond(pattern, prologue=prologue, static=service, ephemeral=ephemeral, psk=psk)
        other = Other(pattern, initiator=True, prologue=prologue, static=host, remote=service.public(), psk=psk)
        assert ours.read(other.write(payloads[0])) == payloads[0]
        assert ours.remote == host.public()
        assert other.read(ours.write(payloads[1])) == payloads[1]
        send, receive = other.ends
    keys = ours.keys()

    assert keys.binding == other.state.symmetricstate.get_handshake_hash()
    assert ChaCha20Poly1305(keys.receive).decrypt(_nonce(0), send.encrypt_with_ad(b"", payloads[2]), b"") == payloads[2]
    assert receive.decrypt_with_ad(b"", ChaCha20Poly1305(keys.send).encrypt(_nonce(0), payloads[3], b"")) == payloads[3]


@given(st.binary(max_size=300), st.sampled_from(Pattern))
def test_no_bytes_make_an_engine_do_anything_but_refuse(message: bytes, pattern: Pattern) -> None:
    psk = bytes(32) if pattern is Pattern.IKPSK2 else None
    responder = ENGINE.respond(
        pattern, prologue=b"", static=PrivateKey.generate(), ephemeral=PrivateKey.generate(), psk=psk
    )

    with pytest.raises(Unauthenticated, match="does not authenticate"):
        responder.read(message)
    with pytest.raises(Unauthenticated):
        responder.read(message)  # and it stays of no use
    with pytest.raises(Unauthenticated):
        responder.keys()


def test_a_static_key_of_small_order_is_refused() -> None:
    with pytest.raises(Unauthenticated):
        ENGINE.initiate(
            Pattern.IK,
            prologue=b"",
            static=PrivateKey.generate(),
            remote=PublicKey(b"\x01" + bytes(31)),
            ephemeral=PrivateKey.generate(),
        ).write(b"")
