"""What an authority says of a relay or a client.

A relay: its slot (from which its addresses follow), its identity key, what it may originate and what it may bring in
from outside. A client: its WireGuard key and its addresses. A later statement about the same one has a higher serial;
`revoked` says that it is out.

Leaves out what changes by itself: a relay's WireGuard keys (certificates), which relay a client is at, endpoints.
Invariant: a statement counts by an authority's signature alone, and for the network and the subject that it names.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Final

import msgspec
from altnet.common.errors import AltnetError, Invalid, Unauthenticated
from altnet.common.keys import PublicKey
from altnet.common.lock.encoding import Id, KeyText, Name, Signature, SignatureText, Text, canonical, read, sign, signed
from altnet.common.net import Prefix, parse_prefix
from altnet.common.signing import SigningKey, VerifyKey

PURPOSE: Final = b"altnet-lock-statement-v1"
MOST_PREFIXES: Final = 256

Prefixes = Annotated[tuple[Annotated[str, msgspec.Meta(max_length=64)], ...], msgspec.Meta(max_length=MOST_PREFIXES)]
Serial = Annotated[int, msgspec.Meta(ge=1, le=2**53)]


class RelayStatement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="relay"):
    network: Id
    relay: Id
    name: Name
    """For people: nothing hangs on it."""
    slot: Annotated[int, msgspec.Meta(ge=1, le=4095)]
    identity: KeyText
    """Ed25519: signs the relay's WireGuard keys."""
    prefixes: Prefixes = ()
    """What it may originate beyond its own address and client /64, with all that is inside them."""
    outside: Prefixes = ()
    """What its peerings with the outside may bring in, with all that is inside them."""
    serial: Serial
    revoked: bool = False

    @property
    def subject(self) -> str:
        return self.relay


class ClientStatement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="client"):
    network: Id
    client: Id
    name: Name
    key: KeyText
    """X25519: WireGuard's."""
    addresses: Prefixes
    """Its own, and those of its services."""
    relays: Annotated[tuple[Id, ...], msgspec.Meta(max_length=64)] = ()
    """Where it may attach; empty: anywhere, so that the registry may move it."""
    serial: Serial
    revoked: bool = False

    @property
    def subject(self) -> str:
        return self.client


Statement = RelayStatement | ClientStatement


class SignedStatement(msgspec.Struct, frozen=True, kw_only=True):
    """A statement as it was signed. Key and signature in base64."""

    statement: Text
    authority: KeyText
    signature: SignatureText

    def opened(self) -> Statement:
        """The statement, if its authority signed it: whether that one counts is for the log to say.

        Raises `Invalid`, `Unauthenticated` (`lock_bad_signature`).
        """
        found: Statement = read(self.statement, Statement, what="a lock statement")
        if not signed(self.statement, Signature(key=self.authority, signature=self.signature), purpose=PURPOSE):
            raise Unauthenticated(
                "lock_bad_signature", f"the statement about {found.subject} is not signed by {self.authority}."
            )
        check(found)
        return found


def sign_statement(statement: Statement, *, by: SigningKey) -> SignedStatement:
    """Raises `Invalid` for a statement that nobody could use."""
    check(statement)
    text = canonical(statement)
    made = sign(text, by=by, purpose=PURPOSE)
    return SignedStatement(statement=text, authority=made.key, signature=made.signature)


def check(statement: Statement) -> None:
    """Keys and prefixes are what they should be. Raises `Invalid` (`lock_bad_statement`)."""
    where = f"the statement about {statement.subject}"
    try:
        if isinstance(statement, RelayStatement):
            VerifyKey.parse(statement.identity, field="/identity")
            texts = (*statement.prefixes, *statement.outside)
        else:
            PublicKey.parse(statement.key, field="/key")
            texts = statement.addresses
        for text in texts:
            parse_prefix(text)
    except AltnetError as error:
        raise Invalid("lock_bad_statement", f"{where}: {error.detail}", field=error.field) from None


def covers(prefixes: tuple[str, ...], wanted: str) -> bool:
    """Whether a prefix is one of these, or inside one. What is no prefix is not covered."""
    try:
        inner = _prefix(wanted)
        outer = _parsed(prefixes)
    except AltnetError:
        return False
    return any(_inside(inner, one) for one in outer)


def _inside(inner: Prefix, outer: Prefix) -> bool:
    if isinstance(inner, IPv6Network):
        return isinstance(outer, IPv6Network) and inner.subnet_of(outer)
    return isinstance(outer, IPv4Network) and inner.subnet_of(outer)


_prefix = lru_cache(maxsize=8192)(parse_prefix)


@lru_cache(maxsize=4096)
def _parsed(prefixes: tuple[str, ...]) -> tuple[Prefix, ...]:
    return tuple(_prefix(text) for text in prefixes)
