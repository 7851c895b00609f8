"""The pair's state machine, step by step: what each side does when words are lost, repeated, late or false."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from altnet.common.contracts.desired import PresharedPolicy
from altnet.common.contracts.preshared import (
    LARGEST_MESSAGE,
    Answer,
    Confirm,
    Done,
    Installed,
    Offer,
    PairWord,
    Refused,
)
from altnet.common.errors import Broken, Unauthenticated
from altnet.common.signing import SigningKey
from altnet.relay_agent.psk import wire
from altnet.relay_agent.psk.keys import Context, Ephemeral, Side, answer_to, opened
from altnet.relay_agent.psk.pair import NOTHING, Outcome, Pace, Pair, Record, Step, Trouble, Wish

PACE = Pace()


def side(name: str, *, epoch: int = 0) -> Side:
    raw = name.encode().ljust(32, b"-")
    return Side(relay=name, static=raw, signing=raw[::-1], mesh_key=b"m" + raw[1:], epoch=epoch)


def wish(policy: PresharedPolicy = PresharedPolicy.ON, *, epoch: int = 0, refresh: float = 3600) -> Wish:
    context = Context(network="net", initiator=side("rly_a", epoch=epoch), responder=side("rly_b", epoch=epoch))
    return Wish(context=context, policy=policy, refresh=refresh)


class Both:
    """A pair's two ends on a network where every word waits to be carried."""

    def __init__(self, told: Wish | None = None) -> None:
        self.now = 1_000_000.0
        self.wish = told or wish()
        self.records: dict[str, Record | None] = {"a": None, "b": None}
        self.ends: dict[str, Pair] = {}
        self.way: list[tuple[str, bytes]] = []
        self.troubles: list[tuple[str, Trouble]] = []
        self.devices = {"a": NOTHING, "b": NOTHING}
        for name in "ab":
            self.start(name)

    def start(self, name: str) -> None:
        """The agent of one end starts, from its disk."""
        self.ends[name] = Pair(
            self.records[name],
            self.wish,
            initiator=name == "a",
            now=self.now,
            pace=PACE,
            random=lambda: 0.0,
            randomness=secrets.token_bytes,
        )
        self.devices[name] = self.ends[name].present
        self.do(name, self.ends[name].begin(self.now))
        self.do(name, self.ends[name].on_device(self.now))

    def do(self, name: str, out: Outcome) -> None:
        end = self.ends[name]
        if out.keep:
            self.records[name] = end.record
        self.way += [("b" if name == "a" else "a", raw) for raw in out.words]
        self.troubles += [(name, trouble) for trouble in out.troubles]
        if out.install:
            self.devices[name] = end.present
            self.do(name, end.on_device(self.now))

    def tick(self, seconds: float = 0.0) -> None:
        self.now += seconds
        for name in "ab":
            self.do(name, self.ends[name].tick(self.now))

    def hear(self, name: str, raw: bytes) -> None:
        self.do(name, self.ends[name].hear(word(raw), raw, self.now))

    def carry(self, *, until: type | None = None) -> None:
        """Deliver what is under way; stop before a word of the class `until`."""
        while self.way and not (until is not None and isinstance(word(self.way[0][1]), until)):
            to, raw = self.way.pop(0)
            self.hear(to, raw)

    def lose(self) -> list[bytes]:
        lost, self.way = [raw for _, raw in self.way], []
        return lost

    @property
    def same(self) -> bool:
        return self.devices["a"].id == self.devices["b"].id

    @property
    def steps(self) -> tuple[Step, Step]:
        return self.ends["a"].record.step, self.ends["b"].record.step


def word(raw: bytes) -> PairWord:
    return wire._WORDS.decode(raw)


@pytest.fixture
def agreed() -> Both:
    both = Both()
    both.tick()
    both.carry()
    assert both.same
    assert both.devices["a"].psk
    return both


def test_two_ends_agree_on_a_key_and_forget_the_one_before(agreed: Both) -> None:
    first = agreed.devices["a"]
    agreed.tick(3600)
    agreed.carry()
    assert agreed.same
    assert agreed.devices["a"].psk not in (b"", first.psk)
    assert agreed.steps == (Step.SETTLED, Step.SETTLED)
    assert [agreed.ends[name].record.spare for name in "ab"] == [None, None]
    assert agreed.troubles == []


def test_a_key_is_refreshed_by_the_interval_and_with_jitter() -> None:
    dues = set()
    for chance in (0.0, 0.5, 0.999):
        both = Both(wish(refresh=1000))
        both.tick()
        both.carry()
        both.ends["a"]._random = lambda chance=chance: chance  # type: ignore[misc]  # the test knows better
        both.ends["a"].want(wish(refresh=2000), both.now)
        dues.add(round(both.ends["a"].next_at() - both.now))
    assert sorted(dues) == [1800, 2000, 2200]


def test_who_holds_the_key_is_known_before_either_installs(agreed: Both) -> None:
    agreed.tick(3600)
    agreed.carry(until=Confirm)
    assert agreed.devices["b"].id == agreed.devices["a"].id  # both hold it, nobody has installed it
    agreed.carry(until=Installed)
    assert agreed.devices["b"].id != agreed.devices["a"].id
    agreed.carry(until=Done)
    assert agreed.same


@pytest.mark.parametrize("lost", [Offer, Answer, Confirm, Installed, Done])
def test_a_lost_word_is_said_again(agreed: Both, lost: type) -> None:
    before = agreed.devices["a"].id
    agreed.tick(3600)
    agreed.carry(until=lost)
    assert agreed.lose()
    for _ in range(4):
        agreed.tick(1)
        agreed.carry()
    assert agreed.same
    assert agreed.devices["a"].id != before
    assert agreed.steps == (Step.SETTLED, Step.SETTLED)
    assert agreed.troubles == []


def test_who_is_not_acknowledged_is_rolled_back_and_says_so(agreed: Both) -> None:
    before = agreed.devices["a"].id
    agreed.tick(3600)
    agreed.carry(until=Installed)  # the initiator's agent is gone from here on
    agreed.lose()
    for _ in range(20):
        agreed.now += 1
        agreed.do("b", agreed.ends["b"].tick(agreed.now))
    assert agreed.same
    assert agreed.devices["b"].id == before
    assert ("b", Trouble.ROLLED_BACK) in agreed.troubles


def test_without_the_others_word_the_initiator_stays_on_the_key_of_before(agreed: Both) -> None:
    before = agreed.devices["a"].id
    agreed.tick(3600)
    agreed.carry(until=Confirm)
    for _ in range(40):
        agreed.lose()
        agreed.now += 1
        agreed.do("a", agreed.ends["a"].tick(agreed.now))
    assert agreed.devices["a"].id == before
    assert ("a", Trouble.NOT_INSTALLED) in agreed.troubles


def test_a_done_that_comes_after_the_trial_leads_both_back(agreed: Both) -> None:
    before = agreed.devices["a"].id
    agreed.tick(3600)
    agreed.carry(until=Done)
    late = agreed.lose()
    for _ in range(20):
        agreed.now += 1
        agreed.do("b", agreed.ends["b"].tick(agreed.now))
    agreed.lose()
    agreed.hear("b", late[0])
    agreed.carry()
    assert agreed.same
    assert agreed.devices["a"].id == before


def test_where_no_word_comes_through_handshakes_that_fail_lead_the_initiator_back(agreed: Both) -> None:
    before, shaken = agreed.devices["a"].id, agreed.now + 3600
    agreed.tick(3600)
    agreed.carry(until=Done)
    agreed.lose()
    for _ in range(130):
        agreed.now += 1
        for name in "ab":
            agreed.do(name, agreed.ends[name].tick(agreed.now))
            agreed.do(name, agreed.ends[name].observe(shaken, agreed.now))
        agreed.lose()
    assert agreed.same
    assert agreed.devices["a"].id == before
    assert ("a", Trouble.TRIED_OTHER) in agreed.troubles


@pytest.mark.parametrize("until", [Offer, Answer, Confirm, Installed, Done, None])
@pytest.mark.parametrize("who", ["a", "b", "ab"])
def test_a_restart_at_any_step_ends_on_one_key(agreed: Both, until: type | None, who: str) -> None:
    agreed.tick(3600)
    agreed.carry(until=until)
    agreed.lose()
    for name in who:
        agreed.start(name)
    for _ in range(60):
        agreed.tick(1)
        agreed.carry()
    assert agreed.same
    assert agreed.devices["a"].psk
    assert not agreed.ends["a"].open


def test_repeated_words_change_nothing(agreed: Both) -> None:
    said: list[tuple[str, bytes]] = []
    agreed.tick(3600)
    while agreed.way:
        to, raw = agreed.way.pop(0)
        said.append((to, raw))
        agreed.hear(to, raw)
    now = agreed.devices["a"].id
    for to, raw in said:
        agreed.hear(to, raw)
    agreed.carry()
    assert agreed.same
    assert agreed.devices["a"].id == now


@pytest.mark.parametrize("kind", [Answer, Confirm, Installed, Done])
def test_a_word_that_does_not_show_the_key_is_refused_and_changes_nothing(
    agreed: Both, kind: type[Answer] | type[Confirm] | type[Installed] | type[Done]
) -> None:
    before = agreed.devices["a"].id
    agreed.tick(3600)
    agreed.carry(until=kind)
    to, raw = agreed.way.pop(0)
    said = json.loads(raw)
    said["mac"] = base64.b64encode(bytes(32)).decode()
    had = agreed.devices[to].id
    agreed.hear(to, json.dumps(said).encode())
    assert (to, Trouble.BAD_PROOF) in agreed.troubles
    assert agreed.devices[to].id == had
    for _ in range(60):
        agreed.tick(1)
        agreed.carry()
    assert agreed.same
    assert before


def test_an_offer_for_another_epoch_or_another_policy_is_refused_until_both_know_the_same() -> None:
    both = Both()
    both.ends["b"].want(wish(epoch=1), both.now)
    both.tick()
    both.carry()
    assert both.devices == {"a": NOTHING, "b": NOTHING}
    assert both.troubles == []  # the two are not at the same mesh yet: everyday
    for _ in range(60):
        both.tick(1)
        both.carry()
    assert ("a", Trouble.REFUSED) in both.troubles
    both.ends["a"].want(wish(epoch=1), both.now)
    both.tick(2)
    both.carry()
    assert both.same
    assert both.devices["a"].psk
    both.ends["a"].want(wish(PresharedPolicy.OFF, epoch=1), both.now)
    both.tick(30)
    both.carry()
    assert both.devices["b"].psk  # who has not heard of it lays nothing down
    both.ends["b"].want(wish(PresharedPolicy.OFF, epoch=1), both.now)
    both.tick(20)
    both.carry()
    assert (both.devices["a"].psk, both.devices["b"].psk) == (b"", b"")


def test_a_clock_that_was_ahead_stops_nothing(agreed: Both) -> None:
    agreed.tick(3600)
    agreed.carry(until=Installed)
    agreed.lose()
    agreed.now -= 3000
    agreed.start("b")
    for _ in range(25):
        agreed.now += 1
        agreed.do("b", agreed.ends["b"].tick(agreed.now))
    assert agreed.ends["b"].record.step is Step.ROLLED_BACK
    assert agreed.same


def test_a_new_epoch_brings_a_new_key(agreed: Both) -> None:
    before = agreed.devices["a"].id
    for end in agreed.ends.values():
        end.want(wish(epoch=1), agreed.now)
    agreed.tick(2)
    agreed.carry()
    assert agreed.same
    assert agreed.devices["a"].id != before


def test_who_lost_its_keys_says_so_and_both_get_a_new_one(agreed: Both) -> None:
    agreed.records["b"] = None
    agreed.start("b")
    agreed.carry()
    agreed.tick(1)
    agreed.carry()
    assert agreed.same
    assert agreed.devices["a"].psk


def test_two_that_take_themselves_for_the_initiator_agree_on_nothing() -> None:
    both = Both()
    both.ends["b"].initiator = True
    both.tick()
    both.carry()
    assert both.devices == {"a": NOTHING, "b": NOTHING}


def exchange(told: Context, *, offered_context: bytes | None = None) -> tuple[bytes, bytes, bytes]:
    """The pre-shared keys of both sides of an exchange, and its name."""
    ephemeral = Ephemeral.make(secrets.token_bytes)
    x25519, kem = ephemeral.public
    offer = Offer(exchange=ephemeral.exchange, context=told.digest, ephemeral=x25519, kem=kem)
    raw = wire.encoded(offer)
    answer, theirs = answer_to(offer, raw, randomness=secrets.token_bytes)
    ours = opened(answer, raw, ephemeral, context=offered_context or told.digest)
    return (ours.psk if ours else b""), theirs.psk, theirs.id


def test_the_key_is_bound_to_whom_and_what_it_is_for() -> None:
    told = wish().context
    ours, theirs, name = exchange(told)
    assert ours == theirs != b""
    assert name not in ours
    others = [
        replace(told, network="other"),
        *(
            replace(told, initiator=replace(told.initiator, **{field: value}))
            for field, value in {
                "relay": "rly_x",
                "static": bytes(32),
                "signing": bytes(32),
                "mesh_key": bytes(32),
                "epoch": 7,
            }.items()
        ),
        replace(told, responder=told.initiator, initiator=told.responder),
    ]
    digests = [told.digest, *(other.digest for other in others)]
    assert len(set(digests)) == len(digests)
    for other in others:
        assert exchange(told, offered_context=other.digest)[0] == b""


@pytest.mark.parametrize("at", range(0, 3000, 97))
def test_a_byte_that_was_changed_on_the_way_is_no_agreement(at: int) -> None:
    ephemeral = Ephemeral.make(secrets.token_bytes)
    x25519, kem = ephemeral.public
    told = wish().context
    offer = Offer(exchange=ephemeral.exchange, context=told.digest, ephemeral=x25519, kem=kem)
    raw = wire.encoded(offer)
    answer, _ = answer_to(offer, raw, randomness=secrets.token_bytes)
    parts = [raw, answer.ephemeral, answer.ciphertext, answer.mac]
    edges = [0, *(sum(map(len, parts[: n + 1])) for n in range(4))]
    place = at % edges[-1]
    for number, (low, high) in enumerate(pairwise(edges)):
        if low <= place < high:
            changed = bytearray(parts[number])
            changed[place - low] ^= 1
            parts[number] = bytes(changed)
    false = Answer(exchange=offer.exchange, ephemeral=parts[1], ciphertext=parts[2], mac=parts[3])
    assert opened(false, parts[0], ephemeral, context=told.digest) is None


def test_a_word_is_believed_from_its_sender_for_its_receiver_alone() -> None:
    key, other = SigningKey.generate(), SigningKey.generate()
    raw = wire.encoded(Refused(exchange=bytes(16), why="unknown"))  # type: ignore[arg-type]  # the test knows better
    data = wire.sealed(raw, sender="a", receiver="b", network="n", key=key)
    read: Callable[..., object] = wire.read
    assert read(data, sender="a", receiver="b", network="n", key=key.public()) == (word(raw), raw)
    for wrong in (
        {"sender": "x"},
        {"receiver": "x"},
        {"network": "x"},
        {"key": other.public()},
    ):
        with pytest.raises(Unauthenticated):
            read(data, **{"sender": "a", "receiver": "b", "network": "n", "key": key.public(), **wrong})
    with pytest.raises(Broken):
        read(bytes(LARGEST_MESSAGE + 1), sender="a", receiver="b", network="n", key=key.public())


def test_no_secret_shows_in_a_repr(agreed: Both) -> None:
    shown = repr(agreed.ends["a"].record) + repr(agreed.ends["b"].record) + repr(agreed.devices)
    for secret in (agreed.devices["a"].psk, agreed.ends["b"].record.proof.responder_mac):  # type: ignore[union-attr]
        for text in (repr(secret), secret.hex(), base64.b64encode(secret).decode()):
            assert text not in shown
