"""By what the kernel shares load over equal paths: ports count where nobody chose otherwise, and all is put back."""

from __future__ import annotations

from pathlib import Path

import pytest
from altnet.common.kernel.memory import MemoryHost
from altnet.relay_agent.diff import Delete, Update
from altnet.relay_agent.disk_state import DiskState
from altnet.relay_agent.journal import Journal
from altnet.relay_agent.pieces import FORWARDING, SPREAD_BY_PORTS, SPREADING, Names, Sysctl
from altnet.relay_agent.planes.forwarding import ForwardingPlane
from support.relays import identity_of

WANTED = {name: Sysctl(name=name, value=SPREAD_BY_PORTS) for name in SPREADING}
SIX, FOUR = SPREADING


class Rack:
    """A host with these settings, and its plane; `again` is a new agent on it."""

    def __init__(self, folder: Path, **values: str) -> None:
        self.host = MemoryHost()
        self.host.sysctls |= values
        self.state = DiskState(folder, make=lambda: identity_of("me"))
        self.state.open()
        self.plane = self.again()

    def again(self, *, trust: bool = False) -> ForwardingPlane:
        return ForwardingPlane(self.host.links, Names(prefix="alt"), Journal(self.state), trust=trust)

    @property
    def values(self) -> list[str | None]:
        return [self.host.sysctls.get(name) for name in SPREADING]


async def put(plane: ForwardingPlane) -> None:
    assert await plane.update([Update(FORWARDING, name, want) for name, want in WANTED.items()]) == {}


async def take(plane: ForwardingPlane) -> None:
    assert await plane.delete([Delete(FORWARDING, name, have) for name, have in WANTED.items()]) == {}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


async def test_the_kernels_default_becomes_ports_and_is_put_back_also_by_the_next_agent(folder: Path) -> None:
    rack = Rack(folder, **dict.fromkeys(SPREADING, "0"))

    await put(rack.plane)

    assert rack.values == ["1", "1"]
    assert await rack.again().read() == WANTED
    await take(rack.again())
    assert rack.values == ["0", "0"]


async def test_what_the_operator_chose_stays_and_is_nothing_to_be_done(folder: Path) -> None:
    rack = Rack(folder, **{SIX: "2", FOUR: "1"})
    assert await rack.plane.read() == {}, "nothing of ours, so nothing to take away"
    assert await rack.again(trust=True).read() == WANTED, "`plan` has nothing to say"

    await put(rack.plane)

    assert rack.values == ["2", "1"]
    assert await rack.plane.read() == WANTED
    await take(rack.plane)
    assert rack.values == ["2", "1"]
    assert await rack.plane.read() == {}


async def test_a_kernel_without_the_setting_fails_nothing(folder: Path) -> None:
    rack = Rack(folder)

    await put(rack.plane)

    assert rack.values == [None, None]
    assert await rack.plane.read() == WANTED


async def test_somebody_sets_it_back_and_it_is_missed(folder: Path) -> None:
    rack = Rack(folder, **dict.fromkeys(SPREADING, "0"))
    await put(rack.plane)

    rack.host.sysctls[SIX] = "0"

    assert await rack.plane.read() == {FOUR: WANTED[FOUR]}
