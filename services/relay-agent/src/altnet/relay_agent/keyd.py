"""Contact with keyd: prove who we are, show the signing key, hear how we stand, follow keyd's own keys.

First contact uses the secret of the join token (IKpsk2), which proves each side to the other, so keyd's keys need no
other introduction; the secret is then forgotten and the keys are pinned. A host without that secret (enrolled before
there was a keyd) takes the keys that the bus shows and waits for an owner, who compares both fingerprints. With the
secret there is no way back to that: a contact that is refused stays refused until an operator acts.

Leaves out what keyd decides. Invariant: nothing here touches the data plane, and no failure here ends the agent.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Final

import msgspec
from altnet.common import log
from altnet.common.bus import rpc
from altnet.common.bus.channel import Channel, Remote
from altnet.common.bus.connect import Bus
from altnet.common.clock import Clock
from altnet.common.contracts.keyd import (
    KEYS,
    REGISTER,
    SERVICE,
    KeyReport,
    KeysQuery,
    Look,
    PairReport,
    Register,
    ServiceKeys,
    Standing,
    Tell,
    registration,
)
from altnet.common.contracts.lock import LockReport
from altnet.common.errors import AltnetError, Invalid, Unauthenticated, Unavailable
from altnet.common.keys import PublicKey
from altnet.common.noise.failures import REFUSED, UNKNOWN_STATIC
from altnet.common.noise.first_contact import psk_of, token_digest
from altnet.common.noise.initiator import Initiator
from altnet.common.noise.pins import Pins, current, follow
from altnet.common.settings import Secret
from altnet.common.signing import VerifyKey, fingerprint
from altnet.relay_agent.membership import Membership
from altnet.relay_agent.settings import Timers
from altnet.relay_agent.state import Identity, Keyd, State

_log = log.get(__name__)

STRANGER: Final = "keyd_unproven"
FIRST_REFUSED: Final = "first_contact_refused"


async def remember_token(state: State, token: Secret, *, keep_pins: bool = True) -> None:
    """Keep the secret that the join token gives, for the first contact; `keep_pins` off where a new life begins."""
    if not token:
        return
    identity = state.identity()
    psk = psk_of(token_digest(token.reveal()), nkey=identity.nkey, identity=identity.sealed_for.public())
    kept = state.keyd() if keep_pins else Keyd()
    await state.save_keyd(msgspec.structs.replace(kept, psk=base64.b64encode(psk).decode()))


class KeydContact:
    """`run` until cancelled; `status` for the operator of this host. Without a bus there is no contact."""

    def __init__(
        self,
        state: State,
        membership: Membership,
        *,
        bus: Bus | None,
        clock: Clock,
        random: Callable[[], float],
        timers: Timers,
        alarm: Callable[[str, str], None] = lambda _code, _text: None,
    ) -> None:
        """`alarm` is told of what looks like somebody between."""
        self._alarm = alarm
        self._state = state
        self._relay = membership.enrolment.relay.id
        self._identity: Identity = membership.identity
        self._bus = bus
        self._random = random
        self._timers = timers
        self._remote: Remote | None = None
        self._registered = b""
        self.standing: Standing | None = None
        self.on_met: Callable[[], None] = lambda: None
        """Called after each contact."""
        self.problem = ""
        self._channel: Channel | None = None
        if bus is not None:
            self._channel = Channel(
                bus,
                Initiator(self._relay, self._identity.sealed_for),
                service=SERVICE,
                peer=self._relay,
                remote=self._whom,
                clock=clock,
                timeout=timers.keyd_timeout,
            )

    async def run(self) -> None:
        """Keep in contact."""
        if self._bus is None:
            return
        timers, failures = self._timers, 0
        await asyncio.sleep(timers.keyd_spread * self._random())
        while True:
            try:
                await self._bus.wait_connected(None)
                await self.meet()
                failures, wait = 0, timers.keyd_every
            except Exception as error:  # noqa: BLE001 - whatever it is, the agent and its data plane go on
                after = rpc.back_after(error, patience=timers.keyd_timeout)
                if after is not None:  # keyd is there and says when: no failure that makes us wait longer
                    wait = min(max(after, timers.keyd_retry_first), timers.keyd_retry_most)
                else:
                    failures += 1
                    wait = min(timers.keyd_retry_most, timers.keyd_retry_first * 2 ** min(failures - 1, 16))
                self._failed(error)
            await asyncio.sleep(wait * (0.8 + 0.4 * self._random()))

    async def meet(self) -> Standing:
        """Make contact once and keep what it proves. Raises what keyd says, `Unavailable`, `Unauthenticated`."""
        kept = self._state.keyd()
        if kept.psk or not kept.static:
            try:
                return await self._first(kept)
            except Unauthenticated as error:
                # A host that was let in before, and enrolled again: its old token counts, and so do its pins.
                if error.code != FIRST_REFUSED or not kept.static:
                    raise
        pins = Pins(static=kept.static, signing=kept.signing)
        self._remote = Remote(key=PublicKey.parse(pins.static))
        try:
            standing = await self._ask()
        except Unauthenticated as error:
            if error.code not in (UNKNOWN_STATIC, REFUSED):
                raise
            pins = await self._follow(pins, await self._keys())
            self._remote = Remote(key=PublicKey.parse(pins.static))
            standing = await self._ask()
        await self._follow(pins, standing)
        if kept.psk:
            await self._state.save_keyd(msgspec.structs.replace(self._state.keyd(), psk=""))
        return self._met(standing)

    async def tell(self, report: KeyReport | LockReport | PairReport | Tell) -> Standing:
        """Say something in the channel. Raises like `meet`."""
        if self._channel is None or self._bus is None:
            raise Unavailable("no_bus", "there is no bus, so no way to keyd.")
        if not self._bus.connected:
            raise Unavailable("no_bus", "the bus is away; links go on by the keys that they have.")
        if self._remote is None or self.standing is None:
            await self.meet()
        return await self._channel.call(report, Standing)

    def status(self) -> dict[str, str]:
        """Fields of `AgentStatus`."""
        kept = self._pins()
        return {
            "keyd": self._words(),
            "fingerprint": fingerprint(self._identity.sealed_for.public(), self._signing_key()),
            "keyd_fingerprint": fingerprint(PublicKey.parse(kept.static), VerifyKey.parse(kept.signing))
            if kept
            else "",
        }

    async def _first(self, kept: Keyd) -> Standing:
        shown = current((await self._keys()).keys)
        psk = base64.b64decode(kept.psk) if kept.psk else None
        remote = Remote(key=PublicKey.parse(shown.static), psk=psk)
        if self._channel is not None and remote != self._remote:
            self._channel.close()  # whatever it holds was made with another idea of whom we speak to
        self._remote = remote
        try:
            standing = await self._ask()
        except Unauthenticated as error:
            if psk is None or error.code != REFUSED:
                raise
            raise Unauthenticated(
                FIRST_REFUSED,
                "this host and keyd do not hold the secret of the same join token.",
                mend="Was the host known already, or is somebody between? To go on without the secret, stop the agent,"
                " remove keyd.json from its state, and have an owner compare both fingerprints.",
            ) from None
        proven = current(standing.keys)
        if shown.static not in {key.key for key in standing.keys}:
            raise Unauthenticated(STRANGER, "keyd does not know the key that it answered with.", mend="Try again.")
        await self._state.save_keyd(Keyd(static=proven.static, signing=proven.signing))
        return self._met(standing)

    async def _ask(self) -> Standing:
        assert self._channel is not None  # there is a bus
        binding = await self._channel.binding()
        if binding == self._registered:
            return await self._channel.call(Look(), Standing)
        key = self._identity.signing
        content = registration(binding, self._relay, key.public())
        ask = Register(
            signing_key=key.public().base64,
            signature=base64.b64encode(key.sign(content, purpose=REGISTER)).decode(),
        )
        standing = await self._channel.call(ask, Standing, binding=binding)
        self._registered = binding
        return standing

    async def _keys(self) -> ServiceKeys:
        assert self._bus is not None
        return await rpc.call(
            self._bus,
            SERVICE,
            KEYS,
            KeysQuery(),
            ServiceKeys,
            relay=self._relay,
            timeout=self._timers.keyd_timeout,
        )

    async def _follow(self, pins: Pins, said: ServiceKeys | Standing) -> Pins:
        now = follow(pins, said.keys)
        if now != pins:
            await self._state.save_keyd(Keyd(static=now.static, signing=now.signing))
            _log.warning("keyd has new keys, vouched for by the pinned one", static=now.static, signing=now.signing)
        return now

    def _met(self, standing: Standing) -> Standing:
        if self.standing is None or (self.standing.state, self.standing.reason) != (standing.state, standing.reason):
            _log.info("keyd", state=str(standing.state), reason=standing.reason, fingerprint=standing.fingerprint)
        self.standing, self.problem = standing, ""
        self.on_met()
        return standing

    def _failed(self, error: Exception) -> None:
        known = isinstance(error, AltnetError)
        text = str(error) if known else type(error).__name__
        if isinstance(error, Unauthenticated) and text != self.problem:
            self._alarm(f"keyd_{error.code}", text)
        if text != self.problem:
            _log.warning("no contact with keyd", reason=text, exc_info=None if known else error)
        self.problem = text

    def _words(self) -> str:
        if self.problem:
            return f"no contact: {self.problem}"[:500]
        if self.standing is None:
            return "not yet"
        state = str(self.standing.state)
        return f"{state}: {self.standing.reason}" if self.standing.reason else state

    def _whom(self) -> Remote:
        if self._remote is None:
            raise Invalid("keyd_unknown", "keyd's key is not known yet.")
        return self._remote

    def _pins(self) -> Keyd | None:
        try:
            kept = self._state.keyd()
        except AltnetError:
            return None
        return kept if kept.static else None

    def _signing_key(self) -> VerifyKey | None:
        return self._identity.signing.public() if self._identity.signing_key else None
