"""A relay's access key, or a client's key, changes at an agent over a host in memory: devices, peers, routes."""

from __future__ import annotations

import msgspec
from altnet.common.contracts.attach import Hello
from altnet.common.contracts.desired import AccessClient, AccessKeys, KeyStage, NextKey
from altnet.common.contracts.mesh_keys import KeyKind
from altnet.common.keys import PublicKey
from support.relays import Paper, Rig, client, document, entry, identity_of, key_of

HOME = "fd42:1337:beef:1001::500/128"
GUEST = "fd42:1337:beef:1001:8000::500/128"
PRESENT = identity_of("me").access.public()
CLIENT = key_of("x", "client").public()
FOLLOWING = key_of("x", "next client").public()


def movable(**changes: object) -> AccessClient:
    return msgspec.structs.replace(client("x", HOME), movable=True, **changes)


def plain(**changes: object) -> AccessClient:
    return msgspec.structs.replace(client("x", HOME), **changes)


class Place:
    """An agent with one client."""

    def __init__(self, one: AccessClient) -> None:
        self.rig, self.paper, self.one = Rig(), Paper(), one
        self.access = AccessKeys(key=PRESENT.base64)
        self.generation = 1
        self.said = 0

    async def start(self) -> None:
        self.paper.put(entry("me", 1), entry("a", 2))
        self.rig.shelf.put_mesh(self.paper)
        self._put()
        await self.rig.start()
        await self.rig.fetch()
        await self.settle()

    async def wish(self, *, one: AccessClient | None = None, **access: object) -> None:
        """Another document comes."""
        self.one = one or self.one
        self.access = msgspec.structs.replace(self.access, **access)
        self.generation += 1
        self._put()
        await self.rig.fetch()
        await self.settle()

    async def stage(self, stage: KeyStage) -> None:
        following = NextKey(epoch=1, stage=stage, key=self.next_key() if stage is not KeyStage.ASKED else "")
        await self.wish(next=following)

    def next_key(self) -> str:
        key = self.rig.agent.access_rotation.keys().next_key
        return key.base64 if key is not None else ""

    def _put(self) -> None:
        made = document("me", generation=self.generation, clients=(self.one,))
        self.rig.shelf.put_document(msgspec.structs.replace(made, access=self.access))

    async def settle(self) -> None:
        for _ in range(3):
            await self.rig.agent.access_rotation.step()
            await self.rig.agent.carriers.look()
            await self.rig.settle()

    async def hello(self, device: str) -> None:
        self.said += 1
        self.rig.agent.carriers.heard("cli_x", device, Hello(number=self.said, counter=1, attached=True))
        await self.settle()

    async def shake(self, device: str, key: PublicKey = CLIENT, *, rx: int | None = None) -> None:
        self.rig.memory.handshake(device, key, at=self.rig.clock.now().timestamp(), rx=rx)
        await self.settle()

    def peers(self) -> dict[str, set[PublicKey]]:
        """The access devices and who may come by them."""
        return {name: set(device.peers) for name, device in self.rig.memory.devices.items() if name.startswith("alta")}

    def way(self, prefix: str = HOME) -> str:
        """The device that packets to the client leave by."""
        routes = [route for route in self.rig.memory.routes.values() if str(route.prefix) == prefix]
        covering = "fd42:1337:beef:1001::/64"
        found = routes or [it for it in self.rig.memory.routes.values() if str(it.prefix) == covering]
        return str(min(found, key=lambda route: route.metric).device)


async def started(one: AccessClient) -> Place:
    place = Place(one)
    await place.start()
    assert place.peers() == {"alta0": {CLIENT}}
    return place


async def test_a_client_is_let_in_by_both_keys_and_answered_by_the_one_that_it_speaks_by() -> None:
    place = await started(movable())
    await place.stage(KeyStage.ASKED)
    assert place.peers() == {"alta0": {CLIENT}, "alta1": set()}, "nobody knows the key yet"
    await place.stage(KeyStage.READY)
    assert place.peers() == {"alta0": {CLIENT}, "alta1": {CLIENT}}
    assert place.rig.memory.devices["alta1"].listen_port == 51831
    await place.stage(KeyStage.OPEN)
    assert place.way() == "alta0"
    await place.hello("alta1")
    assert (place.way(), place.way(GUEST)) == ("alta1", "alta1")
    await place.wish(key=place.next_key(), epoch=1, next=None)
    assert place.peers() == {"alta1": {CLIENT}}
    assert place.way() == "alta1"
    assert place.rig.agent.rotation.identity().access_device == 1
    assert not place.rig.agent.rotation.identity().next_access_key


async def test_an_overtaken_word_by_the_old_key_takes_nobody_back() -> None:
    place = await started(movable())
    await place.stage(KeyStage.ASKED)
    await place.stage(KeyStage.OPEN)
    await place.hello("alta1")
    place.rig.agent.carriers.heard("cli_x", "alta0", Hello(number=0, counter=1, attached=True))
    await place.settle()
    assert place.way() == "alta1"
    await place.hello("alta0")
    assert place.way() == "alta0", "a newer word does"


async def test_a_client_that_has_gone_silent_is_still_found_by_the_key_that_it_used() -> None:
    place = await started(movable())
    await place.stage(KeyStage.ASKED)
    await place.stage(KeyStage.OPEN)
    await place.hello("alta1")
    place.rig.clock.advance(10)
    place.rig.agent.attachments.expire(now=place.rig.clock.monotonic())
    await place.settle()
    assert "cli_x" not in place.rig.agent.attachments.attached
    assert place.way() == "alta1"


async def test_a_plain_client_is_followed_by_its_handshake_and_back_when_its_old_file_is_used_again() -> None:
    place = await started(plain())
    await place.shake("alta0")
    await place.stage(KeyStage.ASKED)
    await place.stage(KeyStage.OPEN)
    assert place.way() == "alta0"
    await place.shake("alta1", rx=100)
    assert place.way() == "alta1"
    for total in (100, 200, 300):
        place.rig.clock.advance(2)
        await place.shake("alta0", rx=total)
    assert place.way() == "alta0"


async def test_a_clients_next_key_comes_by_the_other_door_and_is_alone_when_it_is_kept() -> None:
    place = await started(movable())
    await place.wish(one=movable(next_key=FOLLOWING.base64))
    assert place.peers() == {"alta0": {CLIENT}, "alta2": {FOLLOWING}}
    assert place.rig.memory.devices["alta2"].public_key == PRESENT
    await place.hello("alta2")
    assert place.way() == "alta2"
    await place.wish(one=movable(key=FOLLOWING.base64, door=1))
    assert place.peers() == {"alta0": set(), "alta2": {FOLLOWING}}
    assert place.way() == "alta2"


async def test_both_change_at_once_and_each_pair_of_keys_has_a_device() -> None:
    place = await started(movable())
    await place.wish(one=movable(next_key=FOLLOWING.base64))
    await place.stage(KeyStage.ASKED)
    await place.stage(KeyStage.OPEN)
    assert place.peers() == {"alta0": {CLIENT}, "alta1": {CLIENT}, "alta2": {FOLLOWING}, "alta3": {FOLLOWING}}
    await place.hello("alta3")
    assert place.way() == "alta3"


async def test_the_report_names_who_has_changed_over_who_is_to_follow_and_who_has_until_the_date() -> None:
    place = await started(movable())
    await place.stage(KeyStage.ASKED)
    await place.stage(KeyStage.READY)
    report = place.rig.agent.access_rotation.report
    said = report()
    assert said is not None
    assert (said.of, said.key, said.port, said.behind) == (KeyKind.ACCESS, place.next_key(), 51831, ("cli_x",))
    assert said.generation == place.generation
    place.rig.agent.attachments.hear(
        "cli_x", Hello(number=1, counter=1, attached=True), now=place.rig.clock.monotonic()
    )
    await place.stage(KeyStage.OPEN)
    said = report()
    assert said is not None
    assert (said.switched, said.waiting, said.behind) == ((), ("cli_x",), ())
    await place.hello("alta1")
    said = report()
    assert said is not None
    assert (said.switched, said.waiting, said.behind) == (("cli_x",), (), ())


async def test_a_client_hears_of_news_when_its_other_relay_is_another_one_or_gone() -> None:
    place = await started(movable(other="rly_b"))
    heard = [place.rig.agent._news_for("cli_x")]
    await place.wish(one=movable(other="rly_c"))
    heard.append(place.rig.agent._news_for("cli_x"))
    await place.wish(one=movable())
    heard.append(place.rig.agent._news_for("cli_x"))
    assert len({*heard, 0}) == 4
    await place.wish(one=movable())
    assert place.rig.agent._news_for("cli_x") == heard[-1], "nothing is new"


async def test_a_client_hears_of_news_when_its_relay_or_its_own_key_is_to_change() -> None:
    place = await started(movable())
    heard = [place.rig.agent._news_for("cli_x")]
    await place.stage(KeyStage.ASKED)
    await place.stage(KeyStage.READY)
    assert place.rig.agent._news_for("cli_x") == heard[0], "it can do nothing yet"
    await place.stage(KeyStage.OPEN)
    heard.append(place.rig.agent._news_for("cli_x"))
    await place.wish(one=movable(wished=True))
    heard.append(place.rig.agent._news_for("cli_x"))
    assert len(set(heard)) == 3
    assert 0 not in heard
