"""One fixture per seam, parametrised by backend: the same tests run on a dictionary and on real hosts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from ipaddress import ip_interface

import pytest
from altnet.common.kernel.wg_netlink import KernelWireGuard
from altnet.common.kernel.wireguard import WireGuard
from support.hosts import PREFIX, Host, RealHost, memory_host, real_host, userspace
from support.netns import Namespace, NamespaceFactory, connect


@pytest.fixture(
    params=[
        "memory",
        pytest.param("wireguard-go", marks=pytest.mark.netns),
        pytest.param("kernel", marks=[pytest.mark.netns, pytest.mark.kernel_wg]),
    ]
)
async def host(request: pytest.FixtureRequest) -> AsyncIterator[Host]:
    """A fresh host for each backend of WireGuard."""
    if request.param == "memory":
        yield memory_host()
        return
    namespace: Namespace = request.getfixturevalue("inside_netns")
    wireguard: WireGuard
    wireguard = KernelWireGuard(prefix=PREFIX) if request.param == "kernel" else userspace(namespace)
    async with real_host(namespace, wireguard) as real:
        yield real


@pytest.fixture(params=["memory", pytest.param("host", marks=pytest.mark.netns)])
async def links(request: pytest.FixtureRequest) -> AsyncIterator[Host]:
    """A fresh host for each implementation of `Links`, with the address 2001:db8::1 on lo."""
    if request.param == "memory":
        host = memory_host()
        await host.links.put_address("lo", ip_interface("2001:db8::1/128"))
        yield host
        return
    namespace: Namespace = request.getfixturevalue("inside_netns")
    wireguard = userspace(namespace)
    async with real_host(namespace, wireguard) as host:
        await host.links.put_address("lo", ip_interface("2001:db8::1/128"))
        yield host


@pytest.fixture(
    params=[
        pytest.param("wireguard-go", marks=pytest.mark.netns),
        pytest.param("kernel", marks=[pytest.mark.netns, pytest.mark.kernel_wg]),
    ]
)
async def pair(
    request: pytest.FixtureRequest, netns_factory: NamespaceFactory
) -> AsyncIterator[tuple[RealHost, RealHost]]:
    """Two real hosts on one wire: 2001:db8::1 and 2001:db8::2."""
    one, other = netns_factory("one"), netns_factory("other")
    connect(one, other, prefix="2001:db8::")
    async with AsyncExitStack() as stack:
        hosts = []
        for namespace in (one, other):
            wireguard = KernelWireGuard(prefix=PREFIX) if request.param == "kernel" else userspace(namespace)
            hosts.append(RealHost(namespace, await stack.enter_async_context(real_host(namespace, wireguard))))
        yield hosts[0], hosts[1]
