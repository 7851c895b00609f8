"""Words of a pair as bytes on the bus: signed by the sender's identity, bound to sender and receiver.

Leaves out what a word means (pair.py). Invariant: nothing is decoded that is too large, and nothing is believed whose
signature is not the named sender's, for this receiver.
"""

from __future__ import annotations

import msgspec
from altnet.common.contracts.preshared import LARGEST_MESSAGE, PURPOSE, PairMessage, PairWord
from altnet.common.errors import UNREADABLE, Broken, Unauthenticated
from altnet.common.signing import SigningKey, VerifyKey

_MESSAGES = msgspec.json.Decoder(PairMessage)
_WORDS: msgspec.json.Decoder[PairWord] = msgspec.json.Decoder(PairWord)


def encoded(word: PairWord) -> bytes:
    """As it is signed, and as it enters a transcript."""
    return msgspec.json.encode(word)


def sealed(word: bytes, *, sender: str, receiver: str, network: str, key: SigningKey) -> bytes:
    """The message that carries a word."""
    signature = key.sign(_content(word, sender, receiver, network), purpose=PURPOSE)
    return msgspec.json.encode(PairMessage(word=word.decode(), signature=signature))


def read(data: bytes, *, sender: str, receiver: str, network: str, key: VerifyKey) -> tuple[PairWord, bytes]:
    """The word and its bytes. Raises `Broken`, `Unauthenticated` (`bad_signature`)."""
    if len(data) > LARGEST_MESSAGE:
        raise Broken(f"a word of {len(data)} bytes")
    try:
        message = _MESSAGES.decode(data)
        word = message.word.encode()
        if not key.verifies(message.signature, purpose=PURPOSE, content=_content(word, sender, receiver, network)):
            raise Unauthenticated("bad_signature", f"{sender} did not sign this word.")
        return _WORDS.decode(word), word
    except UNREADABLE as error:
        raise Broken(f"no word of a pair: {error}") from None


def _content(word: bytes, sender: str, receiver: str, network: str) -> bytes:
    return b"\0".join((network.encode(), sender.encode(), receiver.encode(), word))
