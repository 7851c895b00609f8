"""One pair's pre-shared key as a state machine: words and time in, words and what to install out. Pure.

    initiator                                   responder
    offer      ──────────────────────────────>  holds the new key (prepared)
    holds it too   <──────────────────────────  answer + MAC
    confirm + MAC  ──────────────────────────>  installs it, on trial
    installs it    <──────────────────────────  installed + MAC
    done + MAC     ──────────────────────────>  settled: the key of before is forgotten
    settled        <──────────────────────────  acknowledged + MAC

Each side installs only when it knows that the other one holds the key. A key that is on trial goes back to the one of
before when `done` does not come in time, so the responder always ends in a definite state, whatever is lost. The
initiator is unsure of it from its `confirm` to the responder's last word: it asks on until it is told, and where no
word comes through it looks at WireGuard: when handshakes fail it tries the other one of the two keys, which succeeds
long before the session ends (180 s). Where the initiator's agent is dead, the responder does the same, later and
slower, so that two who try do not chase each other. All keys that are ever tried were agreed by both.

What must outlive a crash is in `Record`, kept before anything is said of it. The rest is forgotten on purpose: an
exchange that was cut off before anything was installed begins anew.

Times are Unix seconds: they outlive a restart, and handshakes have such. Leaves out the bus, the disk and the devices
(keeper.py). Invariant: neither is ever on a key that the other one does not hold, and at most two keys are possible at
any time, both of them in the record of whoever is unsure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal

import msgspec
from altnet.common.contracts.desired import PresharedPolicy
from altnet.common.contracts.preshared import (
    Acknowledged,
    Answer,
    Confirm,
    Done,
    Installed,
    Look,
    Offer,
    PairWord,
    Refusal,
    Refused,
)
from altnet.relay_agent.psk.keys import Context, Derived, Ephemeral, answer_to, opened
from altnet.relay_agent.psk.wire import encoded


class Step(StrEnum):
    """How far the exchange is that has touched the devices."""

    CONFIRMED = "confirmed"
    """The initiator's: it does not know yet whether the responder has installed the key."""
    INSTALLING = "installing"
    INSTALLED = "installed"
    """The responder's: on trial. The initiator's: it does not know yet whether the responder knows."""
    SETTLED = "settled"
    ROLLED_BACK = "rolled_back"


class Trouble(StrEnum):
    """What goes wrong with a pair's key, as it is told."""

    NO_ANSWER = "no_answer"
    NOT_INSTALLED = "not_installed"
    """The other side does not say that it has installed the key: the one of before stays."""
    ROLLED_BACK = "rolled_back"
    """The key was installed and taken back, because the other side did not follow."""
    NOT_ACKNOWLEDGED = "not_acknowledged"
    """The other side does not say whether it keeps the key."""
    TRIED_OTHER = "tried_other"
    """Handshakes failed, so the other one of two agreed keys was tried."""
    NOT_APPLIED = "not_applied"
    """This host's own devices did not take the key."""
    REFUSED = "refused"
    BAD_PROOF = "bad_proof"
    """A MAC that does not show the key, or keys that are none."""
    BAD_SIGNATURE = "bad_signature"
    BROKEN = "broken"
    """A word that cannot be read."""
    FLOOD = "flood"
    NO_IDENTITY = "no_identity"
    """The mesh knows no proven identity of the neighbour."""
    NO_KEY = "no_key"
    """The network requires a key and none is agreed: the pair is closed."""


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """What a pair goes by. Without `psk`: no pre-shared key."""

    id: bytes = b""
    psk: bytes = b""
    at: float = 0.0
    context: bytes = b""

    def __repr__(self) -> str:
        return f"Key(id={self.id.hex()!r}, at={self.at!r})"


NOTHING: Final = Key()

REFUSALS: Final = 2
"""Failures in a row after which a refusal is a trouble."""


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """Of the exchange that touched the devices: what its words are proved by."""

    exchange: bytes
    transcript: bytes
    initiator_mac: bytes
    responder_mac: bytes
    key: Key

    def __repr__(self) -> str:
        return f"Proof(exchange={self.exchange.hex()!r}, key={self.key!r})"

    @property
    def derived(self) -> Derived:
        return Derived(
            transcript=self.transcript,
            id=self.key.id,
            psk=self.key.psk,
            initiator_mac=self.initiator_mac,
            responder_mac=self.responder_mac,
        )


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept on the disk of one pair. Secret."""

    identities: bytes
    """`Context.identities`: a pair of other hosts begins with nothing."""
    present: Key = NOTHING
    spare: Key | None = None
    """The other key that the neighbour may go by, while that is not certain."""
    step: Step = Step.SETTLED
    proof: Proof | None = None
    since: float = 0.0
    """When `step` began."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Waits, in seconds."""

    resend: float = 1.0
    """Doubles up to `resend_most` while there is no answer."""
    resend_most: float = 5.0
    exchange: float = 10.0
    """For the offer's answer, and for what comes before anything is installed."""
    install: float = 10.0
    """For this host's own devices. Less than `trial`, so that the initiator gives up before the responder does."""
    trial: float = 20.0
    """How long the responder goes by a key whose installation the other side has not confirmed: with what messages
    take, the two are apart for far less than the 60 s that a session leaves (rekeyed at 120 s, dead at 180 s)."""
    certain: float = 15.0
    """A handshake that much after a change was made with the key of after it."""
    session: float = 180.0
    """WireGuard's REJECT_AFTER_TIME."""
    stale: tuple[float, float] = (127.0, 160.0)
    """Age of a handshake from which the other key is tried, by the initiator and by the responder: WireGuard makes a
    new one after 120 s, and tries every 5 s."""
    dwell: tuple[float, float] = (11.0, 33.0)
    """How long a tried key stays: two tries of WireGuard; and three times the initiator's, so that it goes through
    both keys while the responder stays on one."""
    doubt: float = 120.0
    """Between two exchanges because of a dead session: it may be the path that is dead."""
    retry: float = 5.0
    retry_most: float = 300.0
    spread: float = 2.0
    """Random wait at most before an exchange that is due at once."""
    jitter: float = 0.1
    """Share of the refresh interval by which it varies."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the mesh says of a pair now."""

    context: Context
    policy: PresharedPolicy
    refresh: float

    @property
    def drop(self) -> bool:
        return self.policy is PresharedPolicy.OFF


@dataclass
class Outcome:
    """What is to be done, in this order: keep, install, say."""

    words: list[bytes] = field(default_factory=list)
    keep: bool = False
    install: bool = False
    troubles: list[Trouble] = field(default_factory=list)
    settled: bool = False
    """An exchange has come to its end."""


@dataclass
class _Talk:
    """An exchange that nothing depends on yet; in memory only."""

    step: Literal["offered", "prepared"]
    exchange: bytes
    word: bytes
    """To be said again."""
    until: float
    drop: bool
    context: bytes
    ephemeral: Ephemeral | None = None
    offered: bytes = b""
    derived: Derived | None = None
    has: bytes = b""
    again: float = 0.0
    wait: float = 0.0


_UNSURE: Final = (Step.CONFIRMED, Step.INSTALLED, Step.ROLLED_BACK)


class Pair:
    """The key with one neighbour. Every method returns what is to be done."""

    def __init__(
        self,
        record: Record | None,
        wish: Wish,
        *,
        initiator: bool,
        now: float,
        pace: Pace,
        random: Callable[[], float],
        randomness: Callable[[int], bytes],
    ) -> None:
        identities = wish.context.identities
        same = record is not None and record.identities == identities
        kept = record if same and record is not None else Record(identities=identities)
        # A clock that was ahead when this was kept must not stop what waits for it.
        self.record = msgspec.structs.replace(kept, since=min(kept.since, now))
        self.wish = wish
        self.initiator = initiator
        self.failures = 0
        self._pace = pace
        self._random = random
        self._randomness = randomness
        self._talk: _Talk | None = None
        self._now = now
        self._swapped = now
        self._told_late = False
        self._doubted = 0.0
        self._again = now
        """When the word of `Step.INSTALLED` is to be said again."""
        self._wait = pace.resend
        self._due = self._next_refresh(now)

    # -- asked ---------------------------------------------------------------------------------------------------

    @property
    def present(self) -> Key:
        """What the devices are to have."""
        return self.record.present

    @property
    def open(self) -> bool:
        """Whether an exchange is under way."""
        return self._talk is not None or self.record.step in (Step.CONFIRMED, Step.INSTALLING, Step.INSTALLED)

    @property
    def unsure(self) -> bool:
        """Whether handshakes are to be looked at (`observe`)."""
        return self.record.spare is not None and self.record.step in _UNSURE

    def next_at(self) -> float:
        """When `tick` has something to do."""
        if self.record.step is Step.INSTALLING:
            return self.record.since + self._install_limit
        if self.record.step is Step.CONFIRMED:
            return self._again
        if self.record.step is Step.INSTALLED:
            if self.initiator:
                return self._again if self._on_new else float("inf")
            return min(self._again, self.record.since + self._pace.trial, self._talk_at())
        return self._talk_at() if self._talk is not None else self._due

    # -- told ----------------------------------------------------------------------------------------------------

    def begin(self, now: float) -> Outcome:
        """The agent has started: the initiator learns what the responder has, if that is lost."""
        out = self._turn(now)
        if not self.initiator and not self.open:
            out.words.append(encoded(Look(has=self.present.id)))
        return out

    def want(self, wish: Wish, now: float) -> None:
        """The mesh says something else. Of other identities: make another `Pair`."""
        if wish == self.wish:
            return
        self.wish, self._now = wish, max(now, self._now)
        self._due = self._next_refresh(self._now)

    def hear(self, word: PairWord, raw: bytes, now: float) -> Outcome:
        """A word whose signature is the neighbour's; `raw` as it was signed."""
        out = self._turn(now)
        if isinstance(word, Offer | Confirm | Done):
            if self.initiator:
                if isinstance(word, Offer):
                    out.words.append(encoded(Refused(exchange=word.exchange, why=Refusal.ROLE)))
            elif isinstance(word, Offer):
                self._offer(word, raw, out)
            elif isinstance(word, Confirm):
                self._confirm(word, out)
            else:
                self._done(word, out)
        elif self.initiator:
            if isinstance(word, Answer):
                self._answer(word, out)
            elif isinstance(word, Installed):
                self._installed(word, out)
            elif isinstance(word, Acknowledged):
                self._acknowledged(word, out)
            elif isinstance(word, Refused):
                self._refused(word, out)
            elif not self.open and word.has != self.present.id:
                self._due = min(self._due, self._soon())
        return out

    def on_device(self, now: float) -> Outcome:
        """The devices have `present`."""
        out = self._turn(now)
        if self.record.step is not Step.INSTALLING or self.record.proof is None:
            return out
        self._step(Step.INSTALLED, out)
        self._again, self._wait, self._told_late = self._now, self._pace.resend, False
        self._say_step(out)
        return out

    def observe(self, handshake: float | None, now: float) -> Outcome:
        """When WireGuard last shook hands with the neighbour: for who is `unsure`."""
        out = self._turn(now)
        spare = self.record.spare
        if not self.unsure or spare is None:
            return out
        tried = self.initiator and self.record.step is Step.INSTALLED and not self._on_new
        if tried and handshake is not None and handshake > self._swapped + self._pace.certain:
            self._back(out, keep_spare=False)  # the responder is back at the key of before
            return out
        role = 0 if self.initiator else 1
        age = float("inf") if handshake is None else self._now - handshake
        alive = age < self._pace.stale[role]
        if alive or self._now - self._swapped < self._pace.dwell[role]:
            return out
        self._change(out, present=spare, spare=self.present)
        out.install = True
        out.troubles.append(Trouble.TRIED_OTHER)
        self._swapped = self._now
        return out

    def doubt(self, now: float) -> None:
        """The session is dead although nothing is under way: whatever the reason, another key may mend it."""
        self._turn(now)
        if self.initiator and not self.open and now >= self._doubted + self._pace.doubt:
            self._doubted = now
            self._due = min(self._due, self._soon())

    def tick(self, now: float) -> Outcome:
        """Time has passed."""
        out = self._turn(now)
        if self.record.step is Step.INSTALLING:
            if self._now >= self.record.since + self._install_limit:
                out.troubles.append(Trouble.NOT_APPLIED)
                self._back(out, keep_spare=True, step=Step.CONFIRMED if self.initiator else Step.ROLLED_BACK)
        elif self.record.step is Step.INSTALLED and not self.initiator:
            if self._now >= self.record.since + self._pace.trial:
                out.troubles.append(Trouble.ROLLED_BACK)
                self._back(out, keep_spare=True)
            elif self._now >= self._again:
                self._say_step(out)
        elif self.record.step in (Step.CONFIRMED, Step.INSTALLED):
            self._ask_on(out)
        if self._talk is not None:
            self._talk_on(self._talk, out)
        elif self.initiator and not self.open and self._now >= self._due:
            self._start(out)
        return out

    # -- the initiator ----------------------------------------------------------------------------------------------

    def _start(self, out: Outcome) -> None:
        if self.wish.drop and not self.present.psk:
            self._due = float("inf")
            return
        ephemeral = Ephemeral.make(self._randomness)
        x25519, kem = ephemeral.public
        offer = Offer(
            exchange=ephemeral.exchange,
            context=self.wish.context.digest,
            ephemeral=x25519,
            kem=kem,
            drop=self.wish.drop,
            has=self.present.id,
        )
        raw = encoded(offer)
        self._talk = _Talk(
            step="offered",
            exchange=offer.exchange,
            word=raw,
            until=self._now + self._pace.exchange,
            drop=offer.drop,
            context=offer.context,
            ephemeral=ephemeral,
            offered=raw,
        )
        self._say(self._talk, out)

    def _answer(self, word: Answer, out: Outcome) -> None:
        talk = self._talk
        if talk is None or talk.exchange != word.exchange:
            return
        assert talk.ephemeral is not None
        try:
            derived = opened(word, talk.offered, talk.ephemeral, context=talk.context)
        except ValueError:
            derived = None
        if derived is None:
            self._give_up(out, Trouble.BAD_PROOF)
            return
        self._talk = None
        proof = _proof(talk, derived, self._now)
        # From the next word on the responder may install it, so both keys are kept.
        self._change(out, spare=proof.key, step=Step.CONFIRMED, proof=proof, since=self._now)
        self._swapped, self._wait, self._told_late = self._now, self._pace.resend, False
        self._say_step(out)

    def _installed(self, word: Installed, out: Outcome) -> None:
        record, proof = self.record, self.record.proof
        if proof is None or proof.exchange != word.exchange:
            return
        if record.step is Step.INSTALLED:
            self._again = self._now
            self._ask_on(out)
        elif record.step is Step.CONFIRMED:
            if not proof.derived.shows(word.mac, "installed", initiator=False):
                out.troubles.append(Trouble.BAD_PROOF)
                return
            former = record.spare if self._on_new else self.present
            self._change(out, present=proof.key, spare=former, step=Step.INSTALLING, since=self._now)
            self._swapped = self._now
            out.install = True

    def _acknowledged(self, word: Acknowledged, out: Outcome) -> None:
        proof = self.record.proof
        if proof is None or proof.exchange != word.exchange or self.record.step is not Step.INSTALLED:
            return
        if not proof.derived.shows(word.mac, "acknowledged", initiator=False):
            out.troubles.append(Trouble.BAD_PROOF)
            return
        out.install = self.present != proof.key
        self._change(out, present=proof.key, spare=None, step=Step.SETTLED, proof=None, since=self._now)
        self._succeed(out)

    def _refused(self, word: Refused, out: Outcome) -> None:
        talk, proof = self._talk, self.record.proof
        if talk is not None and talk.exchange == word.exchange:
            # One of the two is behind the mesh, most often, or the responder has begun anew: no trouble, if it ends.
            self._give_up(out, Trouble.REFUSED if self.failures >= REFUSALS else None)
        elif proof is None or proof.exchange != word.exchange or word.why is not Refusal.UNKNOWN:
            return
        elif self.record.step in (Step.CONFIRMED, Step.INSTALLED):
            out.troubles.append(Trouble.ROLLED_BACK)
            self._back(out, keep_spare=False)

    def _ask_on(self, out: Outcome) -> None:
        confirmed = self.record.step is Step.CONFIRMED
        if not confirmed and not self._on_new:
            return  # it would not be true
        if not self._told_late and self._now >= self.record.since + self._pace.exchange + self._pace.trial:
            self._told_late = True
            out.troubles.append(Trouble.NOT_INSTALLED if confirmed else Trouble.NOT_ACKNOWLEDGED)
        if self._now >= self._again:
            self._say_step(out)

    # -- the responder ----------------------------------------------------------------------------------------------

    def _offer(self, word: Offer, raw: bytes, out: Outcome) -> None:
        talk, proof = self._talk, self.record.proof
        if proof is not None and proof.exchange == word.exchange:
            return  # one of before, repeated
        if talk is not None and talk.exchange == word.exchange:
            self._say(talk, out)
            return
        why = None
        if word.context != self.wish.context.digest:
            why = Refusal.CONTEXT
        elif word.drop is not self.wish.drop:
            why = Refusal.POLICY
        if why is not None:
            out.words.append(encoded(Refused(exchange=word.exchange, why=why)))
            return
        try:
            answer, derived = answer_to(word, raw, randomness=self._randomness)
        except ValueError:
            out.troubles.append(Trouble.BAD_PROOF)
            return
        self._talk = _Talk(
            step="prepared",
            exchange=word.exchange,
            word=encoded(answer),
            until=self._now + self._pace.exchange + self._pace.trial,
            drop=word.drop,
            context=word.context,
            derived=derived,
            has=word.has,
        )
        out.words.append(self._talk.word)

    def _confirm(self, word: Confirm, out: Outcome) -> None:
        talk, record = self._talk, self.record
        if talk is not None and talk.exchange == word.exchange:
            assert talk.derived is not None
            if talk.derived.shows(word.mac, "confirm", initiator=True):
                self._talk = None
                former, proof = self._former(talk.has), _proof(talk, talk.derived, self._now)
                self._change(out, present=proof.key, spare=former, step=Step.INSTALLING, proof=proof, since=self._now)
                self._swapped = self._now
                out.install = True
                return
            out.troubles.append(Trouble.BAD_PROOF)
            self._talk = None
        elif record.proof is not None and record.proof.exchange == word.exchange:
            if record.step is Step.INSTALLED:
                self._say_step(out)
            if record.step is not Step.ROLLED_BACK:
                return
        out.words.append(encoded(Refused(exchange=word.exchange, why=Refusal.UNKNOWN)))

    def _done(self, word: Done, out: Outcome) -> None:
        record, proof = self.record, self.record.proof
        if proof is None or proof.exchange != word.exchange or not self._on_new or record.step is Step.INSTALLING:
            out.words.append(encoded(Refused(exchange=word.exchange, why=Refusal.UNKNOWN)))
            return
        if not proof.derived.shows(word.mac, "done", initiator=True):
            out.troubles.append(Trouble.BAD_PROOF)
            return
        if record.step is not Step.SETTLED:
            self._change(out, spare=None, step=Step.SETTLED, since=self._now)
            self._succeed(out)
        mac = proof.derived.mac("acknowledged", initiator=False)
        out.words.append(encoded(Acknowledged(exchange=word.exchange, mac=mac)))

    def _former(self, has: bytes) -> Key:
        """The key that the initiator goes by, as far as that can be known: it begins anew only off what was tried."""
        record = self.record
        if record.spare is None or has == self.present.id:
            return self.present
        return record.spare if has == record.spare.id or record.step is not Step.ROLLED_BACK else self.present

    # -- both -------------------------------------------------------------------------------------------------------

    @property
    def _on_new(self) -> bool:
        """Whether the devices are to have the key of the exchange that touched them last."""
        return self.record.proof is not None and self.present == self.record.proof.key

    @property
    def _install_limit(self) -> float:
        return self._pace.install if self.initiator else self._pace.trial

    def _back(self, out: Outcome, *, keep_spare: bool, step: Step = Step.ROLLED_BACK) -> None:
        """To the key of before. The responder keeps the new one at hand: the other side may have gone over to it."""
        record = self.record
        assert record.proof is not None
        new = record.proof.key
        former = self.present if not self._on_new else record.spare if record.spare is not None else NOTHING
        spare = new if keep_spare else None
        self._change(out, present=former, spare=spare, step=step, since=self._now)
        out.install = True
        self._swapped = self._now
        if self.initiator:
            self._failed()
        else:
            out.words.append(encoded(Look(has=former.id)))

    def _say_step(self, out: Outcome) -> None:
        proof = self.record.proof
        assert proof is not None
        word: PairWord
        if self.record.step is Step.CONFIRMED:
            word = Confirm(exchange=proof.exchange, mac=proof.derived.mac("confirm", initiator=True))
        elif self.initiator:
            word = Done(exchange=proof.exchange, mac=proof.derived.mac("done", initiator=True))
        else:
            word = Installed(exchange=proof.exchange, mac=proof.derived.mac("installed", initiator=False))
        out.words.append(encoded(word))
        self._again = self._now + self._wait
        self._wait = min(2 * self._wait, self._pace.resend_most)

    def _say(self, talk: _Talk, out: Outcome) -> None:
        out.words.append(talk.word)
        talk.wait = min(2 * talk.wait, self._pace.resend_most) if talk.wait else self._pace.resend
        talk.again = self._now + talk.wait

    def _talk_on(self, talk: _Talk, out: Outcome) -> None:
        if self._now >= talk.until:
            if talk.step == "prepared":
                self._talk = None
            else:
                self._give_up(out, Trouble.NO_ANSWER)
        elif talk.step != "prepared" and self._now >= talk.again:
            self._say(talk, out)

    def _talk_at(self) -> float:
        talk = self._talk
        if talk is None:
            return float("inf")
        return talk.until if talk.step == "prepared" else min(talk.again, talk.until)

    def _give_up(self, out: Outcome, trouble: Trouble | None) -> None:
        self._talk = None
        if trouble is not None:
            out.troubles.append(trouble)
        self._failed()

    def _failed(self) -> None:
        self.failures += 1
        wait = min(self._pace.retry_most, self._pace.retry * 2 ** min(self.failures - 1, 10))
        self._due = self._now + wait * (0.8 + 0.4 * self._random())

    def _succeed(self, out: Outcome) -> None:
        self.failures = 0
        out.settled = True
        self._due = self._next_refresh(self._now)

    def _next_refresh(self, now: float) -> float:
        if not self.initiator:
            return float("inf")
        present, wish = self.present, self.wish
        if wish.drop:
            return self._soon() if present.psk else float("inf")
        if not present.psk or present.context != wish.context.digest:
            return self._soon()
        spread = 1 + self._pace.jitter * (2 * self._random() - 1)
        return max(now, min(present.at, now) + wish.refresh * spread)

    def _soon(self) -> float:
        return self._now + self._pace.spread * self._random()

    def _turn(self, now: float) -> Outcome:
        # A clock that is set back must not stop what waits for it.
        if now < self._now - self._pace.session:
            gone = self._now - now
            self._swapped, self._again, self._due = self._swapped - gone, self._again - gone, self._due - gone
            if self._talk is not None:
                self._talk.until, self._talk.again = self._talk.until - gone, self._talk.again - gone
            self.record = msgspec.structs.replace(self.record, since=self.record.since - gone)
            self._now = now
        self._now = max(now, self._now)
        return Outcome()

    def _step(self, step: Step, out: Outcome) -> None:
        self._change(out, step=step, since=self._now)

    def _change(self, out: Outcome, **fields: object) -> None:
        self.record = msgspec.structs.replace(self.record, **fields)
        out.keep = True


def _proof(talk: _Talk, derived: Derived, now: float) -> Proof:
    made = Key(at=now, context=talk.context)
    if not talk.drop:
        made = msgspec.structs.replace(made, id=derived.id, psk=derived.psk)
    return Proof(
        exchange=talk.exchange,
        transcript=derived.transcript,
        initiator_mac=derived.initiator_mac,
        responder_mac=derived.responder_mac,
        key=made,
    )
