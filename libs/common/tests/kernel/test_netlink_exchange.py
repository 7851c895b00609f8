"""Netlink exchanges that meet each other, are cut short, or are asked of a kernel that says no."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from ipaddress import ip_address, ip_interface, ip_network

import pytest
from altnet.common.errors import Unavailable
from altnet.common.kernel import netlink
from altnet.common.kernel.host import HostLinks
from altnet.common.kernel.links import HostRefused, Link, Route, Vxlan
from altnet.common.kernel.netlink import Message, NetlinkError, NetlinkSocket
from support.netns import Namespace

pytestmark = pytest.mark.netns

TUNNEL = Vxlan(number=7, local=ip_address("fd00::1"), remote=ip_address("fd00::2"))


@pytest.fixture
async def host(inside_netns: Namespace) -> AsyncIterator[HostLinks]:
    links = HostLinks(prefix="alt")
    await links.put_link(Link(name="alt-a", form=TUNNEL))
    yield links
    await links.close()


async def test_verbs_at_the_same_time_do_not_take_each_others_answers(host: HostLinks) -> None:
    routes = [Route(prefix=ip_network(f"fd10:{n:x}::/32"), device="alt-a") for n in range(900)]
    async with asyncio.TaskGroup() as group:
        for start in range(0, 900, 90):
            group.create_task(host.put_routes(routes[start : start + 90]))
            group.create_task(host.read_links())
            group.create_task(host.read_routes())
            group.create_task(host.put_address("alt-a", ip_interface(f"fd20::{start + 1}/128")))
            group.create_task(host.read_addresses("alt-a"))
    assert set(await host.read_routes()) == set(routes)
    assert len(await host.read_addresses("alt-a")) == 10


async def test_an_exchange_that_is_cut_short_does_not_spoil_the_next(host: HostLinks) -> None:
    routes = [Route(prefix=ip_network(f"fd10:{n:x}::/32"), device="alt-a") for n in range(2000)]
    await host.put_routes(routes)
    for _ in range(20):
        task = asyncio.create_task(host.read_routes())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert set(await host.read_links("alt")) == {"alt-a"}
    assert len(await host.read_routes()) == 2000


async def test_a_kernel_that_does_not_answer_is_unavailable_and_the_socket_is_new_after(
    inside_netns: Namespace,
) -> None:
    sock = NetlinkSocket(netlink.ROUTE, deadline=0.5)  # the second question has to be answered in that, too
    # A message that asks for no acknowledgement gets none: batch waits for its last message's.
    silent = Message(18, bytes(16) + netlink.attribute(3, b"lo\0")).packed(sock.reserve(1), 0)
    with pytest.raises(Unavailable) as caught:
        await sock.batch([silent], 1)
    assert caught.value.code == "netlink_unavailable"
    assert len(await sock.dump(Message(18, bytes(16)))) >= 1
    sock.close()


async def test_the_kernels_own_words_are_in_the_error(inside_netns: Namespace) -> None:
    sock = NetlinkSocket(netlink.ROUTE)
    body = bytes(16) + netlink.attribute(3, b"x\0") + netlink.attribute(18, netlink.attribute(1, b"no-such-kind"))
    with pytest.raises(NetlinkError) as caught:
        await sock.request(Message(16, body, netlink.CREATE | netlink.EXCLUSIVE))
    assert caught.value.reason == "Unknown device type"
    sock.close()


async def test_a_refused_link_says_which_and_why(host: HostLinks) -> None:
    with pytest.raises(HostRefused) as caught:
        await host.put_link(Link(name="alt-b", form=TUNNEL))
    assert "link alt-b" in str(caught.value)
    assert caught.value.reason


async def test_routes_of_other_protocols_are_neither_read_nor_deleted(inside_netns: Namespace, host: HostLinks) -> None:
    inside_netns.run("ip", "route", "add", "fd30::/64", "dev", "alt-a", "metric", "512")
    inside_netns.run("ip", "route", "add", "fd31::/64", "dev", "alt-a", "metric", "512", "proto", "187")
    theirs = [Route(prefix=ip_network(f"fd3{n}::/64"), device="alt-a") for n in (0, 1)]
    assert await host.read_routes() == ()
    await host.delete_routes(theirs)
    other = HostLinks(prefix="alt", protocol=187)
    assert await other.read_routes() == (theirs[1],)
    await other.close()
    assert "fd30::/64" in inside_netns.run("ip", "-6", "route")
