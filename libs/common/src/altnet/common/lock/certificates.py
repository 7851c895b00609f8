"""A host says which WireGuard keys are its own, by its identity key, which an authority has vouched for.

So a key that was rotated is believed without an authority. Invariant: a certificate is for one key, in one epoch, for
one use, of one relay in one network.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from altnet.common.lock.encoding import Id, KeyText, Signature, SignatureText, canonical, sign, signed
from altnet.common.signing import SigningKey

PURPOSE: Final = b"altnet-lock-key-v1"
MOST_CERTIFICATES: Final = 8
"""Of one host: present and next mesh key, access key, and those that neighbours may still have."""


class WgUse(StrEnum):
    MESH = "mesh"
    ACCESS = "access"


class _Content(msgspec.Struct, frozen=True, kw_only=True):
    network: Id
    relay: Id
    use: WgUse
    epoch: int
    key: KeyText


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """Base64. What is signed also names the network and the relay, which a reader knows."""

    use: WgUse
    epoch: Annotated[int, msgspec.Meta(ge=0, le=2**31)]
    key: KeyText
    signature: SignatureText


def certify(*, network: str, relay: str, use: WgUse, epoch: int, key: str, by: SigningKey) -> Certificate:
    content = _Content(network=network, relay=relay, use=use, epoch=epoch, key=key)
    return Certificate(
        use=use, epoch=epoch, key=key, signature=sign(canonical(content), by=by, purpose=PURPOSE).signature
    )


def is_certified(certificate: Certificate, *, network: str, relay: str, identity: str) -> bool:
    """Whether the identity key (base64) signed it for this relay."""
    one = certificate
    content = _Content(network=network, relay=relay, use=one.use, epoch=one.epoch, key=one.key)
    return signed(canonical(content), Signature(key=identity, signature=one.signature), purpose=PURPOSE)


def merged(known: Iterable[Certificate], told: Iterable[Certificate]) -> tuple[Certificate, ...]:
    """What was told, and of the rest the newest: a neighbour that is behind still needs the key of before. Sorted."""
    told = tuple(dict.fromkeys(told))[:MOST_CERTIFICATES]
    names = {(one.use, one.epoch, one.key) for one in told}
    rest = [one for one in dict.fromkeys(known) if (one.use, one.epoch, one.key) not in names]
    rest.sort(key=lambda one: (one.epoch, one.key), reverse=True)
    kept = (*told, *rest[: MOST_CERTIFICATES - len(told)])
    return tuple(sorted(kept, key=lambda one: (one.use, one.epoch, one.key)))
