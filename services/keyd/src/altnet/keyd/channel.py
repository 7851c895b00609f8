"""The channel's answering end on the bus: hellos to whichever replica, records to the one that holds the session.

The bus vouches for the relay that sends (its id is in the subject), the Noise handshake for the key of its identity,
the psk of a first contact for the join token. Nothing that arrives outside a session is believed.

Invariant: what happens inside a session happens for an identity that is not revoked and still has the session's key.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Final

import msgspec
from altnet.common import log
from altnet.common.bus import nkey, rpc
from altnet.common.bus.channel import Reply
from altnet.common.bus.connect import Bus
from altnet.common.bus.rpc import RpcContext
from altnet.common.clock import Clock
from altnet.common.contracts.keyd import (
    FIRST_CONTACT,
    HELLO,
    KEYS,
    SERVICE,
    Ask,
    FirstContact,
    FirstContactQuery,
    Frame,
    KeyReport,
    KeysQuery,
    PairReport,
    Register,
    ServiceKeys,
    Standing,
    Tell,
    records_of,
)
from altnet.common.contracts.lock import LockReport
from altnet.common.db.engine import Database
from altnet.common.db.refusals import Refusals
from altnet.common.errors import UNREADABLE, AltnetError, Broken, Invalid, NotFound, Unauthenticated, Unavailable
from altnet.common.keys import PublicKey
from altnet.common.noise import first_contact
from altnet.common.noise.failures import UNFINISHED, UNKNOWN_STATIC, too_many, unknown_session
from altnet.common.noise.rates import Buckets
from altnet.common.noise.responder import Request, Responder
from altnet.common.seal import unseal
from altnet.keyd.domain import identities as rules
from altnet.keyd.handlers.contact import register_signing_key
from altnet.keyd.handlers.hosts import hear_host
from altnet.keyd.handlers.lock import Heard, certify, heard_of_lock
from altnet.keyd.handlers.pairs import heard_of_troubles
from altnet.keyd.handlers.rotations import heard_of_keys
from altnet.keyd.keyring import Keyring
from altnet.keyd.settings import ChannelSettings
from altnet.keyd.store import identities
from altnet.keyd.tables import IdentityRow
from prometheus_client import Counter

_LOG: Final = log.get(__name__)


class FirstContacts:
    """Asks the registry for the secret of a relay's join token.

    The question is signed by keyd's nkey and the answer by the registry's, and the secret is sealed for keyd's static
    key: who carries them can neither read it nor put another one in its place.
    """

    def __init__(self, bus: Bus, *, seed: bytes, registry: str, keyring: Keyring, timeout: float) -> None:
        self._bus = bus
        self._seed = seed
        self._registry = registry
        self._keyring = keyring
        self._timeout = timeout

    async def psk_of(self, relay: str, *, identity: str) -> bytes:
        """Raises what the registry answers, `Unavailable`, `Unauthenticated` (`first_contact_forged`)."""
        public, private = self._keyring.static
        to = public.base64
        signature = nkey.sign(self._seed, first_contact.query_bytes(relay, to))
        query = FirstContactQuery(relay=relay, to=to, signature=base64.b64encode(signature).decode())
        answer = await rpc.call(self._bus, "registry", FIRST_CONTACT, query, FirstContact, timeout=self._timeout)
        said = first_contact.answer_bytes(relay, to, identity, answer.psk)
        try:
            signed = nkey.verify(self._registry, said, base64.b64decode(answer.signature, validate=True))
            if answer.identity != identity or not signed:
                raise ValueError
            return unseal(answer.psk, key=private, context=first_contact.seal_context(relay))
        except (ValueError, Broken):
            raise Unauthenticated(
                "first_contact_forged",
                "the registry's word on the join token does not verify for this identity.",
                mend="Is keyd behind the registry's events? It is tried again.",
            ) from None


class ChannelServer:
    """`run` is a job. `first_contacts` is None where keyd has no bus identity to ask with."""

    def __init__(
        self,
        *,
        db: Database,
        bus: Bus,
        clock: Clock,
        responder: Responder,
        keyring: Keyring,
        refusals: Refusals,
        first_contacts: FirstContacts | None,
        settings: ChannelSettings,
        rotating: Callable[[], None] = lambda: None,
        lock_heard: Callable[[Heard], None] = lambda _heard: None,
        pair_troubles: Counter | None = None,
    ) -> None:
        """`rotating` is called when a relay reported something new of a rotation, `lock_heard` with what is new of
        the network lock; `pair_troubles` has a label `why`."""
        self._rotating = rotating
        self._lock_heard = lock_heard
        self._pair_troubles = pair_troubles
        self._pair_reports = Buckets(settings.pair_reports, most=settings.limits.most_peers)
        self._db = db
        self._bus = bus
        self._clock = clock
        self._responder = responder
        self._keyring = keyring
        self._refusals = refusals
        self._first_contacts = first_contacts
        self._registrations = Buckets(settings.registrations, most=settings.limits.most_peers)
        self._asks = msgspec.json.Decoder(Ask)
        self.handshakes = 0
        self.records = 0

    async def run(self) -> None:
        """Answer, from when there are keys to answer with, until cancelled: a replica without keys is no replica."""
        await self._keyring.loaded.wait()
        heard = [
            await rpc.serve(self._bus, SERVICE, KEYS, KeysQuery, self._keys, callers="relays"),
            await rpc.serve(self._bus, SERVICE, HELLO, Frame, self._hello, callers="relays"),
            await rpc.serve(
                self._bus, SERVICE, records_of(self._responder.replica), Frame, self._record, callers="relays"
            ),
        ]
        try:
            await asyncio.Event().wait()
        finally:
            for subscription in heard:
                await subscription.stop()

    async def sweep(self) -> None:
        """Drop sessions that are over, and tell of handshakes that led to nothing."""
        for relay in self._responder.sweep(self._clock.monotonic()):
            self._refusals.count(relay, UNFINISHED)

    async def _keys(self, _: KeysQuery, __: RpcContext) -> ServiceKeys:
        return ServiceKeys(keys=tuple(self._keyring.public))

    async def _hello(self, frame: Frame, context: RpcContext) -> Frame:
        relay = _asker(context)
        try:
            return Frame(data=await self._welcome(relay, frame.data))
        except AltnetError as error:
            if error.code == UNKNOWN_STATIC:
                self._keyring.hurry()
            self._refusals.note(relay, error)
            raise

    async def _welcome(self, relay: str, frame: bytes) -> bytes:
        arrival = self._responder.arrive(frame, peer=relay, now=self._clock.monotonic())
        if isinstance(arrival, bytes):
            return arrival
        row = await identities.known(self._db, relay)
        if row is None or not row.static_key:
            raise NotFound(
                "identity_unknown",
                "keyd has not heard of this relay's identity yet.",
                mend="Try again in a moment; the registry's word is under way.",
            )
        if row.state == "revoked":
            raise rules.refused()
        psk = None
        if arrival.first_contact:
            if self._first_contacts is None:
                raise Unavailable("no_bus_identity", "this keyd cannot ask for the secrets of join tokens.")
            psk = await self._first_contacts.psk_of(relay, identity=row.static_key)
        welcome = self._responder.welcome(
            arrival, expected=PublicKey.parse(row.static_key), psk=psk, now=self._clock.monotonic()
        )
        self.handshakes += 1
        return welcome

    async def _record(self, frame: Frame, context: RpcContext) -> Frame:
        relay = _asker(context)
        try:
            request = self._responder.open(frame.data, peer=relay, now=self._clock.monotonic())
            self.records += 1
            reply = await self._reply(request)
            return Frame(data=self._responder.answer(request, msgspec.json.encode(reply), now=self._clock.monotonic()))
        except AltnetError as error:
            self._refusals.note(relay, error)
            raise

    async def _reply(self, request: Request) -> Reply:
        """The answer, or the refusal, for the inside of the channel."""
        try:
            try:
                ask = self._asks.decode(request.plain)
            except UNREADABLE as error:
                raise Invalid("bad_ask", f"{error}.", mend="The agent speaks another version.") from None
            answer = await self._handle(request, ask)
        except AltnetError as error:
            self._refusals.note(request.peer, error)
            return Reply(failure=rpc.failure_of(error))
        except Exception as error:  # noqa: BLE001 - the boundary: a fault of ours, told without its insides
            _LOG.error("ask_failed", relay=request.peer, error=repr(error), exc_info=error)
            return Reply(failure=rpc.failure_of(Unavailable("keyd_failed", "keyd failed; its log says why.")))
        return Reply(ok=msgspec.Raw(msgspec.json.encode(answer)))

    async def _handle(self, request: Request, ask: Ask) -> Standing:
        if isinstance(ask, Register):
            if wait := self._registrations.take(request.peer, self._clock.monotonic()):
                raise too_many(wait)
            async with self._db.transaction(actor=f"relay:{request.peer}") as uow:
                row = await register_signing_key(
                    uow,
                    request.peer,
                    ask,
                    static_key=request.remote.base64,
                    binding=request.session.binding,
                    by_token=request.first_contact,
                )
        elif isinstance(ask, KeyReport):
            heard = Heard()
            async with self._db.transaction(actor=f"relay:{request.peer}") as uow:
                row = await identities.get(uow.session, request.peer)
                if row.static_key == request.remote.base64:
                    if ask.certificate is not None:
                        heard = Heard(certified=await certify(uow, row, [ask.certificate]))
                    if await heard_of_keys(uow, row, ask):
                        self._rotating()
            self._lock_heard(heard)
        elif isinstance(ask, LockReport):
            async with self._db.transaction(actor=f"relay:{request.peer}") as uow:
                row = await identities.get(uow.session, request.peer)
                fits = row.state != "revoked" and row.static_key == request.remote.base64
                heard = await heard_of_lock(uow, row, ask) if fits else Heard()
            self._lock_heard(heard)
        elif isinstance(ask, Tell):
            async with self._db.transaction(actor=f"relay:{request.peer}") as uow:
                row = await identities.get(uow.session, request.peer)
                if row.static_key == request.remote.base64:
                    await hear_host(uow, row, ask)
        elif isinstance(ask, PairReport):
            if wait := self._pair_reports.take(request.peer, self._clock.monotonic()):
                raise too_many(wait)
            async with self._db.transaction(actor=f"relay:{request.peer}") as uow:
                row = await identities.get(uow.session, request.peer)
                if row.static_key == request.remote.base64 and row.state != "revoked":
                    await heard_of_troubles(uow, request.peer, ask, counter=self._pair_troubles)
        else:
            async with self._db.read() as session:
                row = await identities.get(session, request.peer)
        if row.state == "revoked" or row.static_key != request.remote.base64:
            self._responder.forget(request.peer)
            raise rules.refused() if row.state == "revoked" else unknown_session()
        return self._standing(row)

    def _standing(self, row: IdentityRow) -> Standing:
        identity = row.snapshot()
        return Standing(
            state=identity.state,
            reason=identity.reason,
            fingerprint=rules.fingerprint_text(identity),
            keys=tuple(self._keyring.public),
        )


def _asker(context: RpcContext) -> str:
    assert context.relay is not None  # served to relays only
    return context.relay
