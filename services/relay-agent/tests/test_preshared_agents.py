"""Whole agents on hosts in memory that agree on pre-shared keys: what comes onto the devices and onto the disk."""

from __future__ import annotations

import base64
import contextlib
from pathlib import Path
from random import Random

import msgspec
import pytest
from altnet.common.bus import subjects
from altnet.common.bus.client import Message
from altnet.common.contracts.desired import IdentityKeys, KeyStage, MeshSettings, NextKey, PresharedPolicy, RelayEntry
from altnet.common.contracts.preshared import PairMessage
from altnet.common.errors import Unavailable
from altnet.common.kernel.wireguard import NO_PSK, Action, PeerChange
from altnet.relay_agent.disk_state import DiskState
from altnet.relay_agent.psk import wire
from altnet.relay_agent.psk.pair import Key, Record
from altnet.relay_agent.state import State
from support.relays import NETWORK, Paper, Rig, document, enrolment_of, entry, identity_of, key_of, relay_id

NAMES = "ab"


class Air:
    """What carries words between two agents; `connected` off loses them."""

    def __init__(self, to: Rig) -> None:
        self.to = to
        self.connected = True
        self.said: list[Message] = []

    async def publish(self, subject: str, payload: bytes) -> None:
        message = Message(subject=subject, reply="_INBOX_registry.x", data=payload, headers={})
        self.said.append(message)
        await self.to.agent.preshared.hear(message)


class Two:
    """Two relays, `a` and `b`, with everything but a bus."""

    def __init__(self, policy: PresharedPolicy = PresharedPolicy.ON, *, poke: bool = False) -> None:
        self.paper = Paper(settings=MeshSettings(preshared_keys=policy))
        self.rigs = {name: Rig(name, slot, poke=poke) for slot, name in enumerate(NAMES, 1)}
        self.changes: dict[str, list[PeerChange]] = {name: [] for name in NAMES}
        self.paper.put(*(proven(rig, slot) for slot, rig in enumerate(self.rigs.values(), 1)))
        for name, rig in self.rigs.items():
            rig.shelf.put_mesh(self.paper)
            rig.shelf.put_document(document(name))
            self._note(name, rig)
        self.connect()

    def _note(self, name: str, rig: Rig) -> None:
        original = rig.memory.wireguard.apply

        async def apply(device: str, changes: list[PeerChange]) -> None:
            self.changes[name] += changes
            await original(device, changes)

        rig.memory.wireguard.apply = apply  # type: ignore[method-assign, assignment]  # it is watched

    def connect(self) -> None:
        a, b = self.rigs.values()
        self.air = {"a": Air(b), "b": Air(a)}
        for name, rig in self.rigs.items():
            rig.agent.preshared._voice = self.air[name]

    async def start(self) -> None:
        for rig in self.rigs.values():
            await rig.start()
            await rig.fetch()

    async def talk(self, seconds: float = 3.0) -> None:
        """Let time pass, with words carried."""
        for _ in range(int(seconds / 0.25)):
            for rig in self.rigs.values():
                rig.clock.advance(0.25)
                await rig.agent.preshared.step()
                await rig.settle()
                await rig.agent.poker.poke()

    async def tell(self, *entries: RelayEntry, settings: MeshSettings | None = None) -> None:
        delta = self.paper.put(*entries, settings=settings)
        for rig in self.rigs.values():
            rig.shelf.put_mesh(self.paper)
            await rig.tell(delta)

    def psk(self, name: str, *, device: str = "altm0") -> bytes:
        """What the device of one has for the other; b"" for none."""
        peers = self.rigs[name].memory.devices[device].peers.values()
        return next((peer.psk.reveal() for peer in peers if peer.psk is not None), b"")

    @property
    def same(self) -> bool:
        return self.psk("a") == self.psk("b") != b""


def proven(rig: Rig, slot: int) -> RelayEntry:
    identity = rig.state.identity()
    keys = IdentityKeys(static=identity.sealed_for.public().base64, signing=identity.signing.public().base64)
    return entry(rig.name, slot, identity=keys)


async def test_two_agents_agree_and_their_devices_have_the_key() -> None:
    two = Two()
    await two.start()
    assert (two.psk("a"), two.psk("b")) == (b"", b"")
    await two.talk()
    assert two.same
    first = two.psk("a")
    await two.talk(2)
    assert two.psk("a") == first
    for rig in two.rigs.values():
        rig.clock.advance(4000)
    await two.talk(2)
    assert two.same
    assert two.psk("a") != first
    assert all(rig.as_planned(two.paper) for rig in two.rigs.values())


async def test_a_new_key_changes_nothing_else_of_a_live_peer() -> None:
    two = Two()
    await two.start()
    for changes in two.changes.values():
        changes.clear()
    await two.talk()
    assert two.same
    for changes in two.changes.values():
        assert [change.action for change in changes] == [Action.ADD]
        assert [(change.replace_allowed, change.endpoint) for change in changes] == [(False, None)]
    for name, other in ("ab", "ba"):
        peer = two.rigs[name].memory.devices["altm0"].peers[key_of(other).public()]
        assert len(peer.allowed) == 1


async def test_where_a_key_is_required_no_peer_is_ever_without_one() -> None:
    two = Two(PresharedPolicy.REQUIRED)
    for air in two.air.values():
        air.connected = False
    await two.start()
    await two.talk(20)
    assert b"" not in (two.psk("a"), two.psk("b"))
    assert two.psk("a") != two.psk("b")
    troubles = {why for _, why in two.rigs["a"].agent.preshared.troubles}
    assert "no_key" in troubles
    for air in two.air.values():
        air.connected = True
    await two.talk(60)
    assert two.same
    for changes in two.changes.values():
        assert all(change.psk not in (None, NO_PSK) for change in changes if change.action is not Action.REMOVE)


async def test_a_peer_that_is_poked_keeps_its_key() -> None:
    two = Two(PresharedPolicy.REQUIRED, poke=True)
    await two.start()
    await two.talk()
    assert two.same
    key = two.psk("a")
    for changes in two.changes.values():
        changes.clear()
    await two.talk(10)  # nobody shakes hands in memory, so the initiator starts afresh again and again
    assert any(change.action is Action.REMOVE for changes in two.changes.values() for change in changes)
    assert two.psk("a") == two.psk("b") == key


async def test_keys_are_laid_down_by_both_and_forgotten() -> None:
    two = Two()
    await two.start()
    await two.talk()
    assert two.same
    await two.tell(settings=MeshSettings())
    await two.talk(5)
    assert (two.psk("a"), two.psk("b")) == (b"", b"")
    for rig in two.rigs.values():
        assert [record.present.psk for record in rig.state.pairs().values()] == [b""]
        assert rig.agent.preshared.words() == ""


async def test_an_agent_that_comes_back_has_its_keys_and_changes_nothing() -> None:
    two = Two(PresharedPolicy.REQUIRED)
    await two.start()
    await two.talk()
    key = two.psk("a")
    await two.rigs["a"].crash()
    two.connect()
    for changes in two.changes.values():
        changes.clear()
    await two.rigs["a"].start()
    await two.talk()
    assert two.psk("a") == two.psk("b") == key
    assert two.changes == {"a": [], "b": []}


async def test_a_relay_that_enrols_anew_shares_no_key_with_the_one_before() -> None:
    two = Two()
    await two.start()
    await two.talk()
    old = two.psk("a")
    other = IdentityKeys(static=key_of("x").public().base64, signing=key_of("y").public().base64)
    await two.tell(msgspec.structs.replace(two.paper.relays[relay_id("b")], identity=other))
    await two.talk(1)
    assert two.psk("a") == b""
    await two.tell(settings=MeshSettings(preshared_keys=PresharedPolicy.REQUIRED))
    await two.talk(1)
    assert two.psk("a") not in (b"", old)


@pytest.mark.parametrize("stage", [KeyStage.READY, KeyStage.OPEN])
async def test_all_sessions_of_a_pair_have_its_key_while_mesh_keys_rotate(stage: KeyStage) -> None:
    two = Two()
    await two.start()
    await two.talk()
    asked = {name: NextKey(epoch=1, stage=KeyStage.ASKED) for name in NAMES}
    await two.tell(*(msgspec.structs.replace(two.paper.relays[relay_id(name)], next=asked[name]) for name in NAMES))
    for rig in two.rigs.values():
        await rig.agent.rotation.step()
    told = []
    for name, rig in two.rigs.items():
        made = rig.state.identity().next_mesh
        assert made is not None
        following = NextKey(epoch=1, stage=stage, key=made.public().base64, port=51821)
        told.append(msgspec.structs.replace(two.paper.relays[relay_id(name)], next=following))
    await two.tell(*told)
    await two.talk(1)
    for device in ("altm0", "altm1"):
        assert two.psk("a", device=device) == two.psk("b", device=device) != b""
    kept = [
        msgspec.structs.replace(one, key=one.next.key, epoch=1, port=one.next.port, next=None)
        for one in two.paper.relays.values()
        if one.next is not None
    ]
    before = two.psk("a")
    await two.tell(*kept)
    for rig in two.rigs.values():
        await rig.agent.rotation.step()
    await two.talk(5)
    assert two.psk("a", device="altm1") == two.psk("b", device="altm1") not in (b"", before)


async def test_two_ends_that_differ_for_a_reason_that_nobody_knows_agree_anew() -> None:
    two = Two()
    await two.start()
    await two.talk()
    keeper = two.rigs["b"].agent.preshared
    keeper._set("rly_a", b"x" * 32)  # as if by a fault
    await two.rigs["b"].settle()
    for record in two.rigs["b"].state.pairs().values():
        changed = msgspec.structs.replace(record, present=msgspec.structs.replace(record.present, psk=b"x" * 32))
        keeper._pairs["rly_a"].record = changed
    assert two.psk("a") != two.psk("b")
    await two.talk(250)  # nobody shakes hands in memory, so the session is dead
    assert two.same
    assert two.psk("a") != b"x" * 32


async def test_without_a_bus_nothing_is_begun_and_nothing_is_a_trouble() -> None:
    two = Two()
    await two.start()
    await two.talk()
    key = two.psk("a")
    for air in two.air.values():
        air.connected = False
    for rig in two.rigs.values():
        rig.clock.advance(5000)
    await two.talk(60)
    assert two.psk("a") == two.psk("b") == key
    assert not two.rigs["a"].agent.preshared.troubles
    for air in two.air.values():
        air.connected = True
    await two.talk(3)
    assert two.same
    assert two.psk("a") != key


async def test_nothing_that_a_neighbour_says_ends_an_agent_or_breaks_a_key(caplog: pytest.LogCaptureFixture) -> None:
    two, chance = Two(), Random(5)
    await two.start()
    await two.talk()
    key = two.psk("a")
    words = [
        msgspec.json.decode(message.data, type=PairMessage).word for air in two.air.values() for message in air.said
    ]
    signing = {name: rig.state.identity().signing for name, rig in two.rigs.items()}
    for _ in range(300):
        for rig in two.rigs.values():
            rig.clock.advance(3)
        sender, receiver = chance.choice((("a", "b"), ("b", "a")))
        said = {**msgspec.json.decode(chance.choice(words))}
        field = chance.choice(sorted(said))
        raw = chance.choice((bytes(32), b"", chance.randbytes(1184), chance.randbytes(1088), chance.randbytes(32)))
        said[field] = chance.choice((base64.b64encode(raw).decode(), 7, None, "offer", "done", [], {}))
        data = wire.sealed(
            msgspec.json.encode(said),
            sender=relay_id(sender),
            receiver=relay_id(receiver),
            network=NETWORK,
            key=signing[sender],
        )
        if chance.random() < 0.3:
            at = chance.randrange(len(data))
            data = data[:at] + chance.randbytes(1) + data[at + 1 :]
        subject = subjects.pair(NETWORK, relay_id(receiver), relay_id(sender))
        await two.rigs[receiver].agent.preshared.hear(Message(subject=subject, data=data))
        await two.rigs[receiver].agent.preshared.step()
        await two.rigs[receiver].settle()
    await two.talk(90)
    assert two.same
    assert key
    assert "a word of a pair failed" not in caplog.text


async def test_a_disk_that_takes_nothing_stops_what_would_be_said_and_not_the_agent() -> None:
    two = Two()
    await two.start()
    state = two.rigs["a"].state
    original = state.save_pair

    async def full(relay: str, record: Record | None) -> None:
        raise Unavailable("file_not_saved", "no space left.")

    state.save_pair = full  # type: ignore[method-assign]  # a full disk
    for _ in range(20):
        for rig in two.rigs.values():
            rig.clock.advance(0.25)
            with contextlib.suppress(Unavailable):
                await rig.agent.preshared.step()
            await rig.settle()
    assert (two.psk("a"), two.psk("b")) == (b"", b"")
    assert not [word for word in said(two.air["a"]) if word == "confirm"]
    state.save_pair = original  # type: ignore[method-assign]  # as above
    await two.talk(60)
    assert two.same


def said(air: Air) -> list[str]:
    """The kinds of words that were said."""
    words = [msgspec.json.decode(message.data, type=PairMessage).word for message in air.said]
    return [str(msgspec.json.decode(word)["type"]) for word in words]


async def test_a_record_is_a_private_file_and_a_torn_one_is_set_aside(tmp_path: Path) -> None:
    state: State
    state = kept = DiskState(tmp_path / "state", make=lambda: identity_of("me"))
    kept.open()
    record = Record(identities=b"i" * 32, present=Key(id=b"k" * 16, psk=b"p" * 32, at=1.0))
    await state.save_pair("rly_a", record)
    await state.save_pair("rly_b", record)
    await state.save_enrolment(enrolment_of("me", 1))
    folder = tmp_path / "state" / "pairs"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert state.pairs() == {"rly_a": record, "rly_b": record}
    (folder / "rly_a.json").write_bytes(b'{"identities":"cHBwcHBw')
    assert state.pairs() == {"rly_b": record}
    assert (folder / "rly_a.json.corrupt").exists()
    assert all("cHBw" not in warning for warning in kept.warnings)
    await state.save_pair("rly_b", None)
    assert state.pairs() == {}


def test_the_random_key_of_a_closed_pair_is_another_one_at_each_start() -> None:
    found = set()
    for _ in range(3):
        rig = Rig()
        key = rig.agent.preshared.secrets().of("rly_a", required=True)
        assert key is not None
        assert rig.agent.preshared.secrets().of("rly_a", required=False) is None
        found |= {key.reveal(), rig.agent.preshared.secrets().of("rly_b", required=True).reveal()}  # type: ignore[union-attr]
    assert len(found) == 6
