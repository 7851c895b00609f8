"""A host's part in a rotation of mesh keys: two devices, the route that moves, the key that is forgotten."""

from __future__ import annotations

import stat
from ipaddress import IPv6Network
from pathlib import Path

import msgspec
import pytest
from altnet.common.contracts.desired import KeyStage, NextKey, RelayEntry
from altnet.common.contracts.keyd import KeyReport
from altnet.common.keys import PrivateKey, PublicKey
from altnet.common.net import AddressPlan
from altnet.relay_agent.disk_state import DiskState
from altnet.relay_agent.rotation import NEWS, followed
from altnet.relay_agent.state import State
from support.relays import PREFIX, Paper, Rig, document, enrolment_of, entry, identity_of, relay_id

NEXT = PrivateKey.generate().public()
"""Of the neighbour."""
LOCATOR = IPv6Network(AddressPlan(PREFIX).locator(2))


class Rotating:
    """This relay and a neighbour, on paper; `order` gives both a stage."""

    def __init__(self, state: State | None = None) -> None:
        self.paper, self.rig = Paper(), Rig(state=state)
        self.paper.put(entry("me", 1), entry("a", 2))
        self.rig.shelf.put_mesh(self.paper)
        self.rig.shelf.put_document(document("me"))

    @property
    def own(self) -> RelayEntry:
        return self.paper.relays[relay_id("me")]

    async def start(self) -> None:
        await self.rig.start()
        await self.rig.fetch()
        await self.look()

    async def look(self) -> None:
        await self.rig.agent.rotation.step()
        await self.rig.settle()

    async def order(self, stage: KeyStage) -> None:
        identity = self.rig.state.identity()
        known = identity.next_mesh.public().base64 if identity.next_mesh else ""
        mine = NextKey(epoch=1, stage=stage, key=known if stage is not KeyStage.ASKED else "", port=51821)
        theirs = NextKey(epoch=1, stage=stage, key=NEXT.base64 if stage is not KeyStage.ASKED else "", port=51900)
        a = self.paper.relays[relay_id("a")]
        await self.tell(msgspec.structs.replace(self.own, next=mine), msgspec.structs.replace(a, next=theirs))

    async def keep(self) -> None:
        kept = [
            msgspec.structs.replace(one, key=one.next.key, epoch=1, port=one.next.port, next=None)
            for one in self.paper.relays.values()
            if one.next is not None
        ]
        await self.tell(*kept)

    async def tell(self, *entries: RelayEntry) -> None:
        await self.rig.tell(self.paper.put(*entries))
        await self.look()

    async def shake(self) -> None:
        self.rig.memory.handshake("altm1", NEXT, at=self.rig.clock.now().timestamp())
        await self.look()

    def peers(self, device: str) -> set[PublicKey]:
        found = self.rig.memory.devices.get(device)
        return set() if found is None else set(found.peers)

    @property
    def route(self) -> str | None:
        return next(one.device for one in self.rig.memory.routes.values() if one.prefix == LOCATOR)

    async def to(self, stage: KeyStage) -> None:
        for one in (KeyStage.ASKED, KeyStage.READY, KeyStage.OPEN):
            await self.order(one)
            if one is stage:
                return


async def test_the_route_moves_when_the_handshake_is_seen_and_not_before() -> None:
    it = Rotating()
    await it.start()
    await it.to(KeyStage.OPEN)
    assert (it.peers("altm1"), it.route) == ({NEXT}, "altm0")
    await it.shake()
    assert it.route == "altm1"
    assert len(it.peers("altm0")) == 1  # the way back


async def test_before_it_is_open_nobody_speaks_and_a_handshake_moves_nothing() -> None:
    it = Rotating()
    await it.start()
    await it.to(KeyStage.READY)
    peer = it.rig.memory.devices["altm1"].peers[NEXT]
    assert (peer.endpoint, peer.keepalive) == (None, 0)
    await it.shake()
    assert it.route == "altm0"


async def test_the_old_device_goes_with_its_key_when_the_next_one_is_kept() -> None:
    it = Rotating()
    await it.start()
    before = it.rig.state.identity()
    await it.to(KeyStage.OPEN)
    made = it.rig.state.identity().next_mesh_key
    await it.shake()
    await it.keep()
    after = it.rig.state.identity()
    assert (after.mesh_key, after.mesh_device, after.next_mesh_key) == (made, 1, "")
    assert before.mesh_key not in str(msgspec.json.encode(after))
    assert "altm0" not in it.rig.memory.devices
    assert (it.peers("altm1"), it.route) == ({NEXT}, "altm1")
    assert it.rig.as_planned(it.paper)


async def test_a_rotation_that_goes_back_moves_the_route_and_then_forgets_the_next_key() -> None:
    it = Rotating()
    await it.start()
    before = it.rig.state.identity()
    await it.to(KeyStage.OPEN)
    await it.shake()
    await it.order(KeyStage.BACK)
    assert (it.route, it.peers("altm1")) == ("altm0", {NEXT})
    await it.tell(*(msgspec.structs.replace(one, next=None) for one in it.paper.relays.values()))
    assert "altm1" not in it.rig.memory.devices
    assert it.rig.state.identity() == before


@pytest.mark.parametrize("stage", [KeyStage.ASKED, KeyStage.READY, KeyStage.OPEN])
async def test_an_agent_that_is_killed_at_any_stage_goes_on_with_the_key_that_it_made(stage: KeyStage) -> None:
    it = Rotating()
    await it.start()
    await it.to(stage)
    if stage is KeyStage.OPEN:
        await it.shake()
    made, route = it.rig.state.identity().next_mesh_key, it.route
    moves = it.rig.memory.routes.copy()
    await it.rig.crash()
    await it.start()
    assert made
    assert it.rig.state.identity().next_mesh_key == made
    assert (it.route, it.rig.memory.routes) == (route, moves)


async def test_a_neighbour_that_has_no_next_key_keeps_its_session_until_the_end() -> None:
    it = Rotating()
    await it.start()
    mine = NextKey(epoch=1, stage=KeyStage.ASKED)
    await it.tell(msgspec.structs.replace(it.own, next=mine))
    key = it.rig.state.identity().next_mesh
    assert key is not None
    opened = NextKey(epoch=1, stage=KeyStage.OPEN, key=key.public().base64, port=51821)
    await it.tell(msgspec.structs.replace(it.own, next=opened))
    assert (it.route, it.peers("altm1")) == ("altm0", set())
    await it.keep()
    assert (it.route, len(it.peers("altm1"))) == ("altm1", 1)


async def test_the_next_key_is_on_the_disk_for_the_owner_alone(tmp_path: Path) -> None:
    state = DiskState(tmp_path / "state", make=lambda: identity_of("me"))
    state.open()
    state.identity()
    await state.save_enrolment(enrolment_of("me", 1))
    it = Rotating(state)
    await it.start()
    await it.to(KeyStage.ASKED)
    again = DiskState(tmp_path / "state", make=lambda: identity_of("other")).identity()
    assert again.next_mesh_epoch == 1
    assert again.next_mesh is not None
    assert stat.S_IMODE((tmp_path / "state" / "identity.json").stat().st_mode) == 0o600
    assert again.next_mesh_key not in repr(again)


def test_keys_that_the_registry_does_not_know_are_left_alone() -> None:
    identity = identity_of("me")
    stranger = entry("a", 1, next=NextKey(epoch=1, stage=KeyStage.ASKED))
    assert followed(identity, stranger, PrivateKey.generate) == identity


class Reporting(Rotating):
    """Of so many relays that a report of each at once is too much for keyd; `told` is what keyd hears."""

    def __init__(self, relays: int) -> None:
        super().__init__()
        self.told: list[KeyReport] = []
        self.paper.put(*(entry(f"r{slot}", slot) for slot in range(3, relays + 1)))
        self.rig.shelf.put_mesh(self.paper)
        self.rig.agent.rotation._tell = self.hear

    async def hear(self, report: KeyReport) -> None:
        self.told.append(report)

    async def grow(self) -> None:
        """The mesh is a new one, and nothing in it concerns the rotation."""
        await self.tell(msgspec.structs.replace(self.paper.relays[relay_id("r3")], region=f"r{len(self.told)}"))

    async def report(self, seconds: float) -> list[KeyReport]:
        """What is told within the next seconds, by an agent that does nothing else."""
        before, end = len(self.told), self.rig.clock.monotonic() + seconds
        while (left := end - self.rig.clock.monotonic()) > 1e-9:
            due = await self.rig.agent.rotation._report()
            self.rig.clock.advance(min(left, max(due or left, 1e-6)))
        return self.told[before:]


async def test_a_new_mesh_is_reported_at_once_by_nobody_and_by_all_within_a_moment() -> None:
    it = Reporting(200)
    await it.start()
    await it.to(KeyStage.READY)
    assert [report.key for report in await it.report(0.001)] == [it.rig.agent.rotation.keys().next_key.base64]  # type: ignore[union-attr]  # it was made
    await it.grow()
    await it.grow()
    assert await it.report(0.001) == []
    (report,) = await it.report(200 / NEWS)
    assert report.generation == it.paper.generation


async def test_what_moves_a_rotation_on_is_told_at_once_however_many_relays_there_are() -> None:
    it = Reporting(200)
    await it.start()
    await it.to(KeyStage.OPEN)
    await it.report(1.0)
    await it.shake()
    (report,) = await it.report(0.001)
    assert report.switched == (relay_id("a"),)


@pytest.mark.parametrize(("relays", "seconds"), [(8, 5.0), (500, 10.0)])
async def test_what_was_told_is_repeated_the_less_often_the_more_relays_there_are(relays: int, seconds: float) -> None:
    it = Reporting(relays)
    await it.start()
    await it.to(KeyStage.READY)
    assert len(await it.report(0.001)) == 1
    assert len(await it.report(10 * seconds)) == 10
