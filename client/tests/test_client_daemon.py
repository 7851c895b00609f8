"""altnetd on a host in memory, with relays that answer when told to: what it does to the tunnel and what it says."""

from __future__ import annotations

from ipaddress import IPv6Interface

import msgspec
import pytest
from altnet.client.plan import plan_of
from altnet.client.settings import ClientSettings
from altnet.client.tunnel import Tunnel
from altnet.common.contracts.client import ClientConfig
from altnet.common.errors import Invalid, Unavailable
from altnet.common.kernel.links import ROUTE_PROTOCOL
from support.altnetd import GUESTS, HOME, KEY, NETWORK, Net, access_key, config, point
from support.relays import PLAN


async def test_the_tunnel_has_both_relays_and_one_of_them_carries_everything() -> None:
    net = Net()
    await net.client.start()
    peers = net.memory.devices["altnet0"].peers
    assert {str(prefix) for prefix in peers[access_key("a")].allowed} == {
        NETWORK,
        "10.8.0.0/16",
        f"{PLAN.attach_address(1)}/128",
    }
    assert [str(prefix) for prefix in peers[access_key("b")].allowed] == [f"{PLAN.attach_address(2)}/128"]
    assert {peer.keepalive for peer in peers.values()} == {25}
    assert net.memory.addresses["altnet0"] == {IPv6Interface(f"{it}/128") for it in (HOME, *GUESTS.values())}
    assert {(str(route.prefix), route.device) for route in net.memory.routes.values()} == {
        (NETWORK, "altnet0"),
        ("10.8.0.0/16", "altnet0"),
    }
    assert net.memory.link_states["altnet0"].mtu == 1280
    await net.run(1)
    assert net.attached() == ["a"]
    assert (net.client.health, net.opened) == ("ok", ["altnet0"])


async def test_when_its_relay_dies_the_client_is_attached_to_the_other_and_keeps_its_address() -> None:
    net = Net()
    await net.client.start()
    await net.run(3)
    net.up["a"] = False
    await net.run(1)
    assert (net.carries(), net.client.paths.current) == ("b", "rly_b")
    assert "b" in net.attached()
    assert net.memory.addresses["altnet0"] == {IPv6Interface(f"{it}/128") for it in (HOME, *GUESTS.values())}
    assert [(name, hello.attached) for name, hello in net.farewells][:1] == [("a", False)]
    await net.run(4)
    assert net.attached() == ["b"], "the dead one lets go by itself"
    view = await net.client.view()
    assert (view.relay, view.attached, view.moves, view.last_move) == ("rly_b", True, 1, "from a to b")

    net.up["a"] = True
    await net.run(5)
    assert net.carries() == "b", "not back in haste"
    await net.run(20)
    assert (net.carries(), net.attached()) == ("a", ["a"])


async def test_a_silent_relay_is_woken_with_its_next_endpoint_again_and_again_but_not_often() -> None:
    net = Net()
    await net.client.start()
    await net.run(3)
    net.up["b"] = False
    seen = set()
    made = 0
    for _ in range(600):
        before = net.memory.devices["altnet0"].peers[access_key("b")]
        await net.run(0.1)
        after = net.memory.devices["altnet0"].peers[access_key("b")]
        made += before is not after
        seen.add(str(after.endpoint))
    assert seen == {"192.0.2.2:51830", "[2001:db8::2]:51830"}
    assert 4 <= made <= 9
    assert net.carries() == "a"


async def test_a_client_that_restarts_finds_its_tunnel_and_changes_nothing() -> None:
    net = Net()
    await net.client.start()
    await net.run(3)
    net.up["a"] = False
    await net.run(3)
    peers = dict(net.memory.devices["altnet0"].peers)
    again = Net(memory=net.memory)
    await again.client.start()
    assert again.client.paths.current == "rly_b", "the relay that is in use, not the preferred one"
    assert net.memory.devices["altnet0"].peers == peers


async def test_an_interface_that_somebody_deletes_comes_back() -> None:
    net = Net()
    await net.client.start()
    await net.run(2)
    net.up["a"] = False
    net.memory.remove_interface("altnet0")
    await net.run(3)
    assert net.carries() == "b"
    assert net.client.health == "ok"
    assert len(net.opened) == 2, "sockets are bound to the interface"


async def test_a_new_configuration_is_followed_and_one_that_cannot_be_had_is_not() -> None:
    net = Net()
    await net.client.start()
    await net.run(3)
    with pytest.raises(Invalid) as error:
        net.client.follow(config(addresses=("fd99::1/128",)))
    assert error.value.field == "/addresses/0"
    net.client.follow(config(point("b", 2, 0), routes=(NETWORK,)))
    await net.run(1)
    assert net.carries() == "b"
    assert set(net.memory.devices["altnet0"].peers) == {access_key("b")}
    assert {str(route.prefix) for route in net.memory.routes.values()} == {NETWORK}
    assert net.attached() == ["a", "b"], "a is not ours to speak with any more"
    await net.run(5)
    assert net.attached() == ["b"]


async def test_a_host_that_refuses_is_tried_again_and_said() -> None:
    net = Net()
    await net.client.start()
    await net.run(3)
    net.memory.fail_next("apply", Unavailable("wireguard_unavailable", "WireGuard does not answer."), times=3)
    net.up["a"] = False
    await net.run(0.6)
    assert "does not answer" in net.client.health
    await net.run(2)
    assert (net.carries(), net.client.health) == ("b", "ok")


async def test_a_client_that_cannot_move_says_nothing_to_relays() -> None:
    net = Net(config(point("a", 1, 0), movable=False))
    await net.client.start()
    await net.run(3)
    assert net.attached() == []
    assert net.client.health == "ok"


async def test_without_any_relay_the_client_waits_for_one() -> None:
    net = Net(msgspec.structs.replace(config(), relays=()))
    await net.client.start()
    await net.run(1)
    assert net.client.health == "the registry gives us no relay"
    net.client.follow(config())
    await net.run(1)
    assert (net.carries(), net.client.health) == ("a", "ok")


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (config(prefix="fd42::/32"), "/prefix"),
        (config(prefix="10.0.0.0/8"), "/prefix"),
        (config(addresses=("fd42:1337:beef:1001::/64",)), "/addresses/0"),
        (config(routes=("x",)), "/routes/0"),
        (config(msgspec.structs.replace(point("a", 1, 0), key="AAAA")), "/relays/0/key"),
        (config(msgspec.structs.replace(point("a", 1, 0), address="fd42:1337:beef::1")), "/relays/0/address"),
        (config(point("a", 1, 0), point("a", 1, 1)), "/relays"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused_with_the_field(wrong: ClientConfig, field: str) -> None:
    with pytest.raises(Invalid) as error:
        plan_of(wrong)
    assert error.value.field == field


def test_routes_that_would_carry_the_tunnel_into_itself_are_left_out_and_named() -> None:
    plan = plan_of(config(routes=(NETWORK, "::/0", "192.0.2.0/24")))
    assert [str(prefix) for prefix in plan.routes] == [NETWORK]
    default, covering = plan.refused
    assert default.startswith("::/0: it would take the host's default route")
    assert "where relay a is reached" in covering


async def test_down_takes_away_our_interface_and_routes_and_nothing_else() -> None:
    net = Net()
    net.memory.add_interface("eth0", "veth", up=True)
    await net.client.start()
    tunnel = Tunnel(net.memory.wireguard, net.memory.links, name="altnet0", key=KEY, timers=net.settings.timers)
    assert await tunnel.take_down()
    assert set(net.memory.link_states) == {"lo", "eth0"}
    assert not net.memory.routes
    assert not await tunnel.take_down(), "twice is once"


def test_our_routes_are_not_the_relay_agents() -> None:
    assert ClientSettings().route_protocol != ROUTE_PROTOCOL
