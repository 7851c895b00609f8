"""What every implementation of `Links` does alike: the dictionary and a real network namespace."""

from __future__ import annotations

import socket
from ipaddress import ip_address, ip_interface, ip_network

import msgspec
import pytest
from altnet.common.contracts.desired import Encapsulation
from altnet.common.errors import NotFound
from altnet.common.kernel.links import (
    HostRefused,
    Interface,
    Ip6Gre,
    Link,
    LinkState,
    Neighbour,
    Route,
    RouteKind,
    Vxlan,
)
from altnet.common.kernel.netlink import NetlinkSocket
from support.hosts import Host, real_host, userspace
from support.netns import Namespace

TUNNEL = Vxlan(number=77, local=ip_address("fd00::1"), remote=ip_address("fd00::2"), port=51899)
LINK = Link(name="alt-l2", form=TUNNEL, mtu=1350, mac="02:a1:7e:00:00:01")
HERE = Link(name="alt-here", form=msgspec.structs.replace(TUNNEL, number=1))
THERE = Link(name="alt-there", form=msgspec.structs.replace(TUNNEL, number=2))


async def the_link(host: Host, name: str = LINK.name) -> LinkState:
    return (await host.links.read_links())[name]


async def test_a_tunnel_reads_back_as_put(links: Host) -> None:
    await links.links.put_link(LINK)
    state = await the_link(links)
    assert (state.kind, state.form, state.mtu, state.mac, state.up) == ("vxlan", TUNNEL, 1350, LINK.mac, True)


async def test_a_tunnel_over_ipv4_bound_to_a_device_reads_back(links: Host) -> None:
    await links.links.put_link(HERE)
    form = Vxlan(number=9, local=ip_address("10.0.0.1"), remote=ip_address("10.0.0.2"), device="alt-here")
    await links.links.put_link(Link(name="alt-l4", form=form))
    assert (await the_link(links, "alt-l4")).form == form


async def test_a_new_link_has_no_address_by_itself(links: Host) -> None:
    await links.links.put_link(LINK)
    await links.links.put_link(HERE)
    assert await links.links.read_addresses(LINK.name) == frozenset()
    assert await links.links.read_addresses(HERE.name) == frozenset()


async def test_putting_the_same_link_again_keeps_it(links: Host) -> None:
    await links.links.put_link(LINK)
    await links.links.put_address(LINK.name, ip_interface("fe80::1/64"))
    before = await the_link(links)
    await links.links.put_link(LINK)
    assert await the_link(links) == before
    assert await links.links.read_addresses(LINK.name) == {ip_interface("fe80::1/64")}


async def test_mtu_mac_and_state_change_in_place(links: Host) -> None:
    await links.links.put_link(LINK)
    before = await the_link(links)
    changed = msgspec.structs.replace(LINK, mtu=1300, mac="02:a1:7e:00:00:09", up=False)
    await links.links.put_link(changed)
    state = await the_link(links)
    assert (state.index, state.mtu, state.mac, state.up) == (before.index, 1300, "02:a1:7e:00:00:09", False)


async def test_a_link_of_another_form_is_made_anew(links: Host) -> None:
    await links.links.put_link(LINK)
    before = await the_link(links)
    form = msgspec.structs.replace(TUNNEL, remote=ip_address("fd00::3"))
    await links.links.put_link(msgspec.structs.replace(LINK, form=form))
    state = await the_link(links)
    assert state.form == form
    assert state.index != before.index


async def test_an_interface_that_is_not_ours_is_neither_rebuilt_nor_deleted(links: Host) -> None:
    await links.add_foreign_link("alt-other")
    with pytest.raises(HostRefused, match="alt-other"):
        await links.links.put_link(msgspec.structs.replace(LINK, name="alt-other"))
    with pytest.raises(HostRefused, match="alt-other"):
        await links.links.delete_link("alt-other")
    assert (await the_link(links, "alt-other")).kind == "veth"


async def test_deleting_a_link_twice_is_fine(links: Host) -> None:
    await links.links.put_link(LINK)
    for _ in range(2):
        await links.links.delete_link(LINK.name)
    assert LINK.name not in await links.links.read_links()


async def test_links_are_read_by_the_beginning_of_their_names(links: Host) -> None:
    await links.links.put_link(LINK)
    await links.links.put_link(msgspec.structs.replace(THERE, name="other0"))
    assert set(await links.links.read_links("alt")) == {LINK.name}
    assert {LINK.name, "other0", "lo"} <= set(await links.links.read_links())


async def test_a_missing_link_is_named(links: Host) -> None:
    address = ip_interface("fd00::1/64")
    for verb in (
        links.links.set_link("alt-none", up=True),
        links.links.put_address("alt-none", address),
        links.links.read_addresses("alt-none"),
        links.links.put_neighbour(Neighbour(device="alt-none", address=address.ip, mac="02:00:00:00:00:01")),
        links.links.read_neighbours("alt-none"),
    ):
        with pytest.raises(NotFound) as caught:
            await verb
        assert caught.value.code == "no_link"
    await links.links.delete_address("alt-none", address)
    await links.links.delete_neighbour("alt-none", address.ip)


@pytest.mark.parametrize("text", ["fe80::7/64", "fd00:5::1/128", "10.1.2.3/24"])
async def test_addresses_come_and_go_and_doing_it_twice_is_fine(links: Host, text: str) -> None:
    await links.links.put_link(HERE)
    address: Interface = ip_interface(text)
    for _ in range(2):
        await links.links.put_address(HERE.name, address)
        assert await links.links.read_addresses(HERE.name) == {address}
    for _ in range(2):
        await links.links.delete_address(HERE.name, address)
        assert await links.links.read_addresses(HERE.name) == frozenset()


async def test_neighbours_are_replaced_and_deleted(links: Host) -> None:
    await links.links.put_link(LINK)
    six, four = ip_address("fe80::2"), ip_address("10.0.0.2")
    for mac in ("02:a1:7e:00:00:02", "02:a1:7e:00:00:03"):
        for address in (six, four):
            await links.links.put_neighbour(Neighbour(device=LINK.name, address=address, mac=mac))
    expected = {Neighbour(device=LINK.name, address=a, mac="02:a1:7e:00:00:03") for a in (six, four)}
    assert await links.links.read_neighbours(LINK.name) == expected
    for _ in range(2):
        await links.links.delete_neighbour(LINK.name, six)
    assert {entry.address for entry in await links.links.read_neighbours(LINK.name)} == {four}


ROUTES = (
    Route(prefix=ip_network("fd01::/64"), device="alt-here"),
    Route(prefix=ip_network("fd02::/64"), device="alt-here", via=ip_address("fe80::2")),
    Route(prefix=ip_network("fd03::/48"), device="alt-here", source=ip_address("2001:db8::1"), metric=7),
    Route(prefix=ip_network("fd04::/48"), kind=RouteKind.UNREACHABLE),
    Route(prefix=ip_network("fd05::1/128"), kind=RouteKind.BLACKHOLE),
    Route(prefix=ip_network("10.8.0.0/16"), device="alt-here"),
    Route(prefix=ip_network("10.9.0.0/16"), kind=RouteKind.UNREACHABLE),
    Route(prefix=ip_network("::/0"), device="alt-here", metric=9000),
)


async def test_routes_read_back_as_put_and_putting_them_again_is_fine(links: Host) -> None:
    await links.links.put_link(HERE)
    for _ in range(2):
        assert await links.links.put_routes(ROUTES) == ()
        assert set(await links.links.read_routes()) == set(ROUTES)


async def test_a_route_of_the_same_prefix_and_metric_is_replaced(links: Host) -> None:
    await links.links.put_link(HERE)
    await links.links.put_link(THERE)
    await links.links.put_routes(ROUTES)
    moved = [
        msgspec.structs.replace(ROUTES[0], device="alt-there"),
        Route(prefix=ROUTES[1].prefix, kind=RouteKind.UNREACHABLE),
        Route(prefix=ROUTES[3].prefix, device="alt-there", via=ip_address("fe80::9")),
        msgspec.structs.replace(ROUTES[5], device="alt-there"),
    ]
    assert await links.links.put_routes(moved) == ()
    read = set(await links.links.read_routes())
    assert read == {*moved, ROUTES[2], ROUTES[4], ROUTES[6], ROUTES[7]}


async def test_routes_of_two_metrics_stand_side_by_side(links: Host) -> None:
    await links.links.put_link(HERE)
    two = [msgspec.structs.replace(ROUTES[0], metric=metric) for metric in (100, 200)]
    await links.links.put_routes(two)
    assert set(await links.links.read_routes()) == set(two)
    await links.links.delete_routes(two[:1])
    assert await links.links.read_routes() == (two[1],)


async def test_deleting_routes_twice_is_fine(links: Host) -> None:
    await links.links.put_link(HERE)
    await links.links.put_routes(ROUTES)
    for _ in range(2):
        assert await links.links.delete_routes(ROUTES[:3]) == ()
        assert set(await links.links.read_routes()) == set(ROUTES[3:])


async def test_a_refused_route_is_told_and_the_others_are_in_place(links: Host) -> None:
    await links.links.put_link(HERE)
    no_device = Route(prefix=ip_network("fd09::/64"), device="alt-none")
    no_source = Route(prefix=ip_network("fd0a::/64"), device="alt-here", source=ip_address("fd99::9"))
    failures = await links.links.put_routes([ROUTES[0], no_device, ROUTES[1], no_source, ROUTES[3]])
    assert {failure.route for failure in failures} == {no_device, no_source}
    assert all(failure.reason for failure in failures)
    assert set(await links.links.read_routes()) == {ROUTES[0], ROUTES[1], ROUTES[3]}


async def test_a_route_over_a_link_that_is_down_is_refused(links: Host) -> None:
    await links.links.put_link(msgspec.structs.replace(HERE, up=False))
    (failure,) = await links.links.put_routes(ROUTES[:1])
    assert failure.route == ROUTES[0]


async def test_routes_go_with_their_link(links: Host) -> None:
    await links.links.put_link(HERE)
    await links.links.put_routes(ROUTES)
    await links.links.delete_link(HERE.name)
    assert all(route.device is None for route in await links.links.read_routes())


async def test_taking_a_link_down_drops_its_routes_and_ipv6_addresses(links: Host) -> None:
    await links.links.put_link(HERE)
    for text in ("fe80::1/64", "10.0.0.1/24"):
        await links.links.put_address(HERE.name, ip_interface(text))
    await links.links.put_routes(ROUTES)
    await links.links.set_link(HERE.name, up=False)
    assert {route.device for route in await links.links.read_routes()} == {None}
    assert await links.links.read_addresses(HERE.name) == {ip_interface("10.0.0.1/24")}


async def test_tables_are_kept_apart(links: Host) -> None:
    await links.links.put_link(HERE)
    far = [msgspec.structs.replace(route, table=70_000) for route in ROUTES[:2]]
    assert await links.links.read_routes(table=70_000) == ()
    await links.links.put_routes([*far, ROUTES[0]])
    assert set(await links.links.read_routes(table=70_000)) == set(far)
    assert await links.links.read_routes() == (ROUTES[0],)
    await links.links.delete_routes(far)
    assert await links.links.read_routes(table=70_000) == ()


async def test_thousands_of_routes_with_some_bad_ones_among_them(links: Host) -> None:
    await links.links.put_link(HERE)
    good = [Route(prefix=ip_network(f"fd10:{n:x}::/32"), device="alt-here") for n in range(1000)]
    bad = [msgspec.structs.replace(good[n], source=ip_address("fd99::9"), metric=1) for n in range(0, 1000, 7)]
    failures = await links.links.put_routes([*good[:500], *bad, *good[500:]])
    assert {failure.route for failure in failures} == set(bad)
    assert set(await links.links.read_routes()) == set(good)
    assert await links.links.delete_routes(good) == ()
    assert await links.links.read_routes() == ()


async def test_ip6gre_is_made_where_the_host_has_it_and_refused_where_not(links: Host) -> None:
    form = Ip6Gre(local=TUNNEL.local, remote=TUNNEL.remote, key=5)
    link = Link(name="alt-gre", form=form, mtu=1380, mac="02:a1:7e:00:00:01")
    supported = await links.links.encapsulations()
    assert Encapsulation.VXLAN in supported
    if Encapsulation.IP6GRE in supported:
        await links.links.put_link(link)
        await links.links.put_link(link)
        state = await the_link(links, "alt-gre")
        assert (state.form, state.mtu, state.mac) == (form, 1380, None)
    else:
        with pytest.raises(HostRefused):
            await links.links.put_link(link)


async def test_trying_the_host_out_leaves_nothing_behind(links: Host) -> None:
    before = set(await links.links.read_links("alt"))
    await links.links.encapsulations()
    assert set(await links.links.read_links("alt")) == before


async def test_kernel_settings_read_back(links: Host) -> None:
    await links.links.set_sysctl("net/ipv6/conf/all/forwarding", "1")
    assert await links.links.read_sysctl("net/ipv6/conf/all/forwarding") == "1"


@pytest.mark.parametrize("name", ["net/ipv6/no/such", "../../etc/hostname"])
async def test_a_kernel_setting_that_does_not_exist_is_named(links: Host, name: str) -> None:
    with pytest.raises(NotFound) as caught:
        await links.links.read_sysctl(name)
    assert caught.value.code == "no_sysctl"


async def test_all_interfaces_are_read_at_once_as_one_by_one(links: Host) -> None:
    here, there = ip_interface("10.0.0.1/24"), ip_interface("fe80::2/64")
    await links.links.put_link(HERE)
    await links.links.put_link(THERE)
    await links.links.put_link(LINK)
    await links.links.put_address(HERE.name, here)
    await links.links.put_address(THERE.name, there)
    entry = Neighbour(device=THERE.name, address=ip_address("fe80::1"), mac="02:00:00:00:00:01")
    await links.links.put_neighbour(entry)
    await links.links.put_neighbour(msgspec.structs.replace(entry, device=LINK.name))

    addresses = await links.links.read_all_addresses("alt-")

    assert addresses == {HERE.name: {here}, THERE.name: {there}}
    for name in addresses:
        assert addresses[name] == await links.links.read_addresses(name)
    assert ip_interface("2001:db8::1/128") in (await links.links.read_all_addresses())["lo"]
    assert await links.links.read_all_neighbours(THERE.name) == {entry}
    assert {one.device for one in await links.links.read_all_neighbours("alt-")} == {THERE.name, LINK.name}


@pytest.mark.netns
@pytest.mark.parametrize("count", [3, 30])
async def test_the_kernel_is_asked_as_often_for_many_interfaces_as_for_few(
    inside_netns: Namespace, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    async with real_host(inside_netns, userspace(inside_netns)) as host:
        for number in range(count):
            name = f"alt-l{number}"
            await host.links.put_link(Link(name=name, form=msgspec.structs.replace(TUNNEL, number=number + 1)))
            await host.links.put_address(name, ip_interface(f"fe80::{number + 1:x}/64"))
            await host.links.put_neighbour(
                Neighbour(device=name, address=ip_address("fe80::9999"), mac="02:00:00:00:00:01")
            )
        asked: list[int] = []
        send = NetlinkSocket._send

        async def counted(sock: socket.socket, data: bytes) -> None:
            asked.append(len(data))
            await send(sock, data)

        monkeypatch.setattr(NetlinkSocket, "_send", staticmethod(counted))
        addresses, neighbours = (
            await host.links.read_all_addresses("alt-"),
            await host.links.read_all_neighbours("alt-"),
        )
        assert (len(addresses), len(neighbours)) == (count, count)
        assert len(asked) == 6
