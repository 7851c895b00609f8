"""Keys change under altnetd's tunnel, on a host in memory: what is beside what, and when the routes move."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from altnet.client.daemon import Client
from altnet.client.tunnel import Tunnel
from altnet.common.contracts.client import AccessPoint, ClientConfig, NextPoint
from altnet.common.kernel.memory import MemoryHost
from altnet.common.keys import PrivateKey, PublicKey
from support.altnetd import KEY, Net, access_key, config, point
from support.relays import PREFIX, key_of

FOLLOWING = PrivateKey.generate(lambda size: bytes(range(1, size + 1)))


def renewed(name: str) -> PublicKey:
    """The key that a relay changes to."""
    return key_of(name, "next access").public()


def changing(slot: int, *, key: PublicKey | None = None, port: int = 51831) -> AccessPoint:
    """A relay whose session is to move."""
    name = "ab"[slot - 1]
    following = NextPoint(key=(key or renewed(name)).base64, endpoints=(f"192.0.2.{slot}:{port}",))
    return msgspec.structs.replace(point(name, slot, slot - 1), next=following)


def moved(slot: int) -> AccessPoint:
    """The same when the relay has kept its next key."""
    one = changing(slot)
    assert one.next is not None
    return msgspec.structs.replace(one, key=one.next.key, endpoints=one.next.endpoints, next=None)


class Changing(Net):
    """As `Net`; handshakes happen when the test says so. `keys` are ours."""

    def __init__(self, wanted: ClientConfig | None = None, *, memory: MemoryHost | None = None) -> None:
        self.keys: Sequence[PrivateKey] = (KEY, FOLLOWING)
        super().__init__(wanted, memory=memory)

    def make(self, wanted: ClientConfig) -> Client:
        tunnel = Tunnel(
            self.memory.wireguard,
            self.memory.links,
            name=self.settings.interface,
            key=KEY,
            timers=self.settings.timers,
            held=lambda: self.keys,
        )
        return Client(self.settings, wanted, tunnel=tunnel, edge=lambda client: self, clock=self.clock)

    def shake(self, device: str, key: PublicKey) -> None:
        self.memory.handshake(device, key, at=self.clock.now().timestamp())

    def lanes(self) -> dict[str, set[PublicKey]]:
        """The interfaces, and the relays' keys on each."""
        return {name: set(device.peers) for name, device in self.memory.devices.items()}

    def routed(self) -> set[str]:
        """The interfaces that our routes lead to."""
        return {str(route.device) for route in self.memory.routes.values()}


async def started(wanted: ClientConfig | None = None) -> Changing:
    net = Changing(wanted)
    await net.client.start()
    await net.run(1)
    return net


async def test_the_relay_in_use_changes_its_key_and_the_routes_move_when_its_handshake_is_seen() -> None:
    net = await started()
    net.client.follow(config(changing(1), point("b", 2, 1)))
    await net.run(1)
    assert net.lanes() == {"altnet0": {access_key("a"), access_key("b")}, "altnet0n": {renewed("a")}}
    assert net.routed() == {"altnet0"}
    assert net.memory.addresses["altnet0n"] == net.memory.addresses["altnet0"]

    net.shake("altnet0n", renewed("a"))
    await net.run(0.2)
    assert net.routed() == {"altnet0n"}
    assert net.opened[-1] == "altnet0n"
    assert net.lanes() == {"altnet0": {access_key("a")}, "altnet0n": {renewed("a"), access_key("b")}}
    await net.run(3)
    assert net.lanes() == {"altnet0n": {renewed("a"), access_key("b")}}
    assert net.attached() == ["a"]

    net.client.follow(config(moved(1), point("b", 2, 1)))
    await net.run(1)
    assert net.lanes() == {"altnet0n": {renewed("a"), access_key("b")}}, "it is there already"


async def test_a_relay_that_stands_by_changes_its_key_and_nothing_moves() -> None:
    net = await started()
    net.client.follow(config(point("a", 1, 0), changing(2)))
    await net.run(1)
    assert net.lanes() == {"altnet0": {access_key("a"), renewed("b")}}
    assert net.routed() == {"altnet0"}


async def test_our_own_key_changes_with_all_sessions_at_once() -> None:
    net = await started(config(key=KEY.public().base64))
    a, b = (changing(slot, key=access_key(name), port=51832) for slot, name in ((1, "a"), (2, "b")))
    wanted = config(a, b, key=KEY.public().base64, next_key=FOLLOWING.public().base64)
    net.client.follow(wanted)
    await net.run(1)
    assert net.memory.devices["altnet0n"].public_key == FOLLOWING.public()
    assert net.lanes()["altnet0n"] == {access_key("a"), access_key("b")}
    assert not net.client.settled_on(FOLLOWING.public())
    net.shake("altnet0n", access_key("a"))
    await net.run(3)
    assert (net.routed(), set(net.lanes())) == ({"altnet0n"}, {"altnet0n"})
    assert net.client.settled_on(FOLLOWING.public())


async def test_a_key_that_we_do_not_hold_is_not_moved_to() -> None:
    net = await started(config(key=KEY.public().base64))
    net.keys = (KEY,)
    a = changing(1, key=access_key("a"), port=51832)
    net.client.follow(config(a, key=KEY.public().base64, next_key=FOLLOWING.public().base64))
    await net.run(1)
    assert set(net.lanes()) == {"altnet0"}


async def test_what_was_prepared_is_given_up_when_the_change_is_called_off_and_nothing_has_moved() -> None:
    net = await started()
    net.client.follow(config(changing(1), point("b", 2, 1)))
    await net.run(1)
    net.client.follow(config())
    await net.run(1)
    assert net.lanes() == {"altnet0": {access_key("a"), access_key("b")}}
    assert net.routed() == {"altnet0"}


async def test_a_change_that_is_called_off_after_it_moved_moves_back() -> None:
    net = await started()
    net.client.follow(config(changing(1), changing(2)))
    await net.run(1)
    net.shake("altnet0n", renewed("a"))
    await net.run(3)
    assert net.lanes() == {"altnet0n": {renewed("a"), renewed("b")}}

    net.client.follow(config())
    await net.run(1)
    assert net.lanes()["altnet0"] == {access_key("a"), access_key("b")}
    net.shake("altnet0", access_key("a"))
    await net.run(3)
    assert net.lanes() == {"altnet0": {access_key("a"), access_key("b")}}
    assert net.routed() == {"altnet0"}


async def test_altnetd_that_is_killed_at_any_step_goes_on_where_it_was_and_takes_no_session_away() -> None:
    wanted = config(changing(1), point("b", 2, 1))
    net = await started()
    net.client.follow(wanted)
    await net.run(1)

    async def again() -> None:
        net.client = net.make(wanted)
        await net.client.start()

    await again()
    assert net.routed() == {"altnet0"}
    assert access_key("a") in net.lanes()["altnet0"]
    await net.run(5)
    net.shake("altnet0n", renewed("a"))
    await net.run(0.1)
    assert net.routed() == {"altnet0n"}
    before = net.lanes()
    await again()
    assert net.routed() == {"altnet0n"}
    assert net.lanes()["altnet0n"] >= before["altnet0n"]
    assert access_key("a") in net.lanes()["altnet0"], "packets may still come by it"
    await net.run(4)
    assert net.lanes() == {"altnet0n": {renewed("a"), access_key("b")}}


async def test_the_relay_in_use_dies_while_its_next_session_is_awaited_and_the_other_one_takes_over() -> None:
    net = await started()
    net.client.follow(config(changing(1), point("b", 2, 1)))
    await net.run(1)
    net.up["a"] = False
    await net.run(3)
    assert net.client.paths.current == "rly_b"
    assert PREFIX in net.memory.devices["altnet0"].peers[access_key("b")].allowed
    assert net.lanes() == {"altnet0": {renewed("a"), access_key("b")}}, "it stands by, so it is replaced in place"


async def test_when_no_relay_answers_any_more_we_ask_once_whether_we_belong_elsewhere() -> None:
    net = await started()
    net.client.wants.clear()
    net.up["a"] = False
    await net.run(3)
    assert not net.client.alone
    assert not net.client.wants.is_set(), "the other one would tell us"
    net.up["b"] = False
    await net.run(3)
    assert net.client.alone
    assert net.client.wants.is_set()
    net.client.wants.clear()
    await net.run(3)
    assert not net.client.wants.is_set(), "from then on it is a matter of time"
    net.up["a"] = True
    await net.run(20)
    assert not net.client.alone


async def test_a_relays_news_make_us_ask_once() -> None:
    net = await started()
    net.client.wants.clear()
    for news, asks in ((7, True), (7, False), (8, True), (0, False)):
        hello = net.client.word.hello("rly_a")
        net.client.answered(
            net.client._plan.relays["rly_a"].address,
            msgspec.structs.replace(net.agents["a"].hear("cli_x", hello, now=net.clock.monotonic()), news=news),
        )
        assert net.client.wants.is_set() is asks
        net.client.wants.clear()
