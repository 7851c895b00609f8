"""What the registry answers other services: secrets of join tokens, orders of mesh keys and of proven identities for
keyd, whose an API token is.

Invariants: what a join token yields leaves only sealed for a key that keyd's own nkey signed for; an order that keyd
did not sign does nothing but be counted, and told as a security event.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import msgspec
from altnet.common.bus import nkey, rights, rpc
from altnet.common.bus.connect import Bus
from altnet.common.bus.identity import BusIdentity
from altnet.common.bus.rpc import RpcContext
from altnet.common.contracts.identity_keys import (
    IDENTITY_KEYS,
    IDENTITY_PURPOSE,
    IdentitiesOrder,
    IdentityKeysTaken,
)
from altnet.common.contracts.keyd import FIRST_CONTACT, FirstContact, FirstContactQuery
from altnet.common.contracts.mesh_keys import (
    CLIENT_KEYS,
    CLIENTS_PURPOSE,
    MESH_KEYS,
    PURPOSE,
    ClientKeysOrder,
    ClientKeysTaken,
    MeshKeysOrder,
    MeshKeysTaken,
    SignedOrder,
)
from altnet.common.contracts.registry import API_TOKEN_VERB, ApiTokenQuery, KnownApiToken
from altnet.common.db.engine import Database
from altnet.common.errors import UNREADABLE, AltnetError, Forbidden, Invalid, NotFound, Unauthenticated
from altnet.common.http.auth import LookUp
from altnet.common.ids import ApiTokenId
from altnet.common.keys import PublicKey
from altnet.common.noise import first_contact
from altnet.common.seal import seal
from altnet.registry.handlers.client_keys import Presence, order_client_keys
from altnet.registry.handlers.identity_keys import order_identity_keys
from altnet.registry.handlers.mesh_keys import order_mesh_keys
from altnet.registry.refusals import asker_of
from altnet.registry.store import relays

LARGEST_ORDER = 512 * 1024
"""Bytes of an order about a thousand relays, and as much again."""

Refused = Callable[[str, AltnetError], None]
"""Hears who was refused, and what he was told."""
Asked = TypeVar("Asked", bound=msgspec.Struct)
Told = TypeVar("Told", bound=msgspec.Struct)


async def serve_answers(
    bus: Bus, db: Database, identity: BusIdentity | None, look_up: LookUp, *, here: Presence, refused: Refused
) -> None:
    """Answer from now on; it holds across reconnects. Without a bus identity there are no first contacts.

    `here`: which clients are there. `refused` hears of what only keyd may ask and did not sign.
    """

    async def api_token(query: ApiTokenQuery, _: RpcContext) -> KnownApiToken:
        found = await look_up(ApiTokenId(query.token))
        if found is None:
            raise NotFound("no_such_token", "there is no such API token.")
        return KnownApiToken(
            digest=found.digest,
            principal=found.principal,
            role=found.role.value,
            scopes=tuple(sorted(found.scopes)),
            expires=found.expires,
            revoked=found.revoked,
        )

    await rpc.serve(bus, rights.REGISTRY, API_TOKEN_VERB, ApiTokenQuery, api_token)
    if identity is None:
        return
    keyd = nkey.public_of(identity.credentials(rights.KEYD).seed)
    seed = identity.credentials(rights.REGISTRY).seed

    async def contact(query: FirstContactQuery, _: RpcContext) -> FirstContact:
        return await answer_first_contact(db, query, keyd=keyd, seed=seed)

    async def mesh_keys(query: SignedOrder, _: RpcContext) -> MeshKeysTaken:
        return await answer_mesh_keys(db, query, keyd=keyd)

    async def identity_keys(query: SignedOrder, _: RpcContext) -> IdentityKeysTaken:
        return await answer_identity_keys(db, query, keyd=keyd)

    async def client_keys(query: SignedOrder, _: RpcContext) -> ClientKeysTaken:
        return await answer_client_keys(db, query, keyd=keyd, here=here)

    told = partial(_telling, refused)
    orders = told(IDENTITY_KEYS, identity_keys)
    await rpc.serve(bus, rights.REGISTRY, IDENTITY_KEYS, SignedOrder, orders, largest=LARGEST_ORDER)
    await rpc.serve(bus, rights.REGISTRY, CLIENT_KEYS, SignedOrder, told(CLIENT_KEYS, client_keys))
    await rpc.serve(bus, rights.REGISTRY, FIRST_CONTACT, FirstContactQuery, told(FIRST_CONTACT, contact))
    await rpc.serve(bus, rights.REGISTRY, MESH_KEYS, SignedOrder, told(MESH_KEYS, mesh_keys))


def _telling(
    refused: Refused, verb: str, answer: Callable[[Asked, RpcContext], Awaitable[Told]]
) -> Callable[[Asked, RpcContext], Awaitable[Told]]:
    """The answer, and `refused` hears when there is none because keyd did not ask."""

    async def telling(query: Asked, context: RpcContext) -> Told:
        try:
            return await answer(query, context)
        except Unauthenticated as error:
            refused(asker_of(verb), error)
            raise

    return telling


async def answer_first_contact(db: Database, query: FirstContactQuery, *, keyd: str, seed: bytes) -> FirstContact:
    """The psk of a relay's first contact with keyd, sealed for the key that keyd names and signs for.

    Raises `Unauthenticated` (`bad_signature`), `NotFound` (`no_such_relay`, `no_join_token`), `Forbidden`
    (`relay_revoked`), `Invalid`.
    """
    to = PublicKey.parse(query.to, field="/to")
    if not _signed(keyd, first_contact.query_bytes(query.relay, query.to), query.signature):
        raise Unauthenticated("bad_signature", "keyd did not sign this question.", mend="Only keyd asks for this.")
    known = await relays.first_contact(db, query.relay)
    if known.revoked:
        raise Forbidden("relay_revoked", "this relay has been revoked.")
    if known.secret_hash is None or not known.identity_key:
        raise NotFound("no_join_token", "no join token vouches for this relay's identity key.")
    psk = first_contact.psk_of(known.secret_hash, nkey=known.nkey, identity=PublicKey.parse(known.identity_key))
    sealed = seal(psk, to=to, context=first_contact.seal_context(query.relay))
    said = first_contact.answer_bytes(query.relay, query.to, known.identity_key, sealed)
    signature = base64.b64encode(nkey.sign(seed, said)).decode()
    return FirstContact(identity=known.identity_key, psk=sealed, signature=signature)


async def answer_mesh_keys(db: Database, query: SignedOrder, *, keyd: str) -> MeshKeysTaken:
    """Do as keyd ordered. Raises `Unauthenticated` (`bad_signature`), and what `order_mesh_keys` does."""
    if not _signed(keyd, PURPOSE + query.order.encode(), query.signature):
        raise Unauthenticated("bad_signature", "keyd did not sign this order.", mend="Only keyd orders mesh keys.")
    try:
        order = msgspec.json.decode(query.order, type=MeshKeysOrder)
    except UNREADABLE as error:
        raise Invalid("bad_key_order", f"{error}.", mend="keyd speaks another version.") from None
    async with db.transaction(actor=rights.KEYD) as uow:
        return MeshKeysTaken(change=await order_mesh_keys(uow, order))


async def answer_identity_keys(db: Database, query: SignedOrder, *, keyd: str) -> IdentityKeysTaken:
    """Do as keyd ordered. Raises `Unauthenticated` (`bad_signature`), and what `order_identity_keys` does."""
    if not _signed(keyd, IDENTITY_PURPOSE + query.order.encode(), query.signature):
        raise Unauthenticated("bad_signature", "keyd did not sign this order.", mend="Only keyd proves identities.")
    try:
        order = msgspec.json.decode(query.order, type=IdentitiesOrder)
    except UNREADABLE as error:
        raise Invalid("bad_identity_order", f"{error}.", mend="keyd speaks another version.") from None
    async with db.transaction(actor=rights.KEYD) as uow:
        return IdentityKeysTaken(changed=await order_identity_keys(uow, order))


async def answer_client_keys(db: Database, query: SignedOrder, *, keyd: str, here: Presence) -> ClientKeysTaken:
    """Ask clients for other keys, as keyd ordered. Raises `Unauthenticated` (`bad_signature`), `Invalid`."""
    if not _signed(keyd, CLIENTS_PURPOSE + query.order.encode(), query.signature):
        raise Unauthenticated("bad_signature", "keyd did not sign this order.", mend="Only keyd orders clients' keys.")
    try:
        order = msgspec.json.decode(query.order, type=ClientKeysOrder)
    except UNREADABLE as error:
        raise Invalid("bad_key_order", f"{error}.", mend="keyd speaks another version.") from None
    async with db.transaction(actor=rights.KEYD) as uow:
        return await order_client_keys(uow, order, here=here, randomness=secrets.token_bytes)


def _signed(public: str, content: bytes, signature: str) -> bool:
    try:
        return nkey.verify(public, content, base64.b64decode(signature, validate=True))
    except (binascii.Error, ValueError):
        return False
