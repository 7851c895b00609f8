"""Which WireGuard is chosen, and what is said where there is none."""

from __future__ import annotations

import asyncio
import sys

import pytest
from altnet.common.errors import Unavailable
from altnet.common.kernel.detect import detect_wireguard
from altnet.common.kernel.host import HostLinks
from support.netns import Namespace, kernel_has_wireguard

pytestmark = pytest.mark.netns

WITHOUT_RIGHTS = """
import asyncio
from altnet.common.errors import Unavailable
from altnet.common.kernel.detect import detect_wireguard

try:
    asyncio.run(detect_wireguard(prefix="alt"))
except Unavailable as error:
    print(error.code, error)
"""


async def test_the_kernel_is_preferred_and_trying_it_leaves_nothing_behind(inside_netns: Namespace) -> None:
    wireguard = await detect_wireguard(prefix="alt")
    links = HostLinks(prefix="alt")
    assert wireguard.backend == ("kernel" if kernel_has_wireguard() else "wireguard-go")
    assert set(await links.read_links("alt")) == set()
    await wireguard.create("alt-mesh")
    assert await wireguard.list() == ("alt-mesh",)
    await wireguard.remove("alt-mesh")
    await wireguard.close()
    await links.close()


async def test_without_both_it_is_said_what_to_install(inside_netns: Namespace) -> None:
    if kernel_has_wireguard():
        pytest.skip("this kernel has WireGuard, so nothing is missing")
    with pytest.raises(Unavailable) as caught:
        await detect_wireguard(prefix="alt", program="no-such-program")
    assert caught.value.code == "no_wireguard"
    assert "apt-get install wireguard-go" in str(caught.value)


async def test_without_the_right_to_make_interfaces_it_is_said_so(inside_netns: Namespace) -> None:
    process = await asyncio.create_subprocess_exec(
        "setpriv", "--bounding-set", "-net_admin", sys.executable, "-c", WITHOUT_RIGHTS, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await asyncio.wait_for(process.communicate(), 30)
    assert said.decode().startswith("no_wireguard making interfaces is not allowed here")
    assert "CAP_NET_ADMIN" in said.decode()
