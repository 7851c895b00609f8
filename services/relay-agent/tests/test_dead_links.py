"""When a link is dead, and what BIRD still has from it goes."""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv6Address

import pytest
from altnet.common.net import link_local
from altnet.relay_agent.bird.control import Line
from altnet.relay_agent.bird.leftovers import forget
from altnet.relay_agent.signs import Signs, refused_on

LOOPBACK = socket.if_nametoindex("lo")


def probed(*, heard: bool, silent_for: int) -> Signs:
    """A link with a probe a second, unanswered for so many of them."""
    signs = Signs()
    signs.asked(-1.0)
    if heard:
        signs.sign()
    for second in range(silent_for):
        signs.asked(float(second))
    return signs


def test_a_link_over_which_nothing_comes_back_for_five_seconds_is_dead() -> None:
    assert not probed(heard=True, silent_for=5).dead(4.9)
    assert probed(heard=True, silent_for=5).dead(5.0)


def test_two_lost_probes_make_no_dead_link_however_seldom_they_are() -> None:
    assert not probed(heard=True, silent_for=2).dead(600.0)


def test_a_sign_ends_it() -> None:
    signs = probed(heard=True, silent_for=30)
    signs.sign()
    assert not signs.dead(31.0)


def test_a_link_that_never_let_a_probe_through_is_not_called_dead_for_it() -> None:
    assert not probed(heard=False, silent_for=600).dead(600.0)


def error(
    *, code: int = 4, origin: int = 3, who: IPv6Address | None = None, interface: int = LOOPBACK
) -> list[tuple[int, int, bytes]]:
    """What the kernel says of a probe that came back (ipv6(7), `struct sock_extended_err`)."""
    offender = struct.pack("=HHI16sI", socket.AF_INET6, 0, 0, (who or link_local(2)).packed, interface)
    return [(socket.IPPROTO_IPV6, 25, struct.pack("=IBBBxII", 111, origin, 1, code, 0, 0) + offender)]


def test_a_kernel_that_refuses_a_probe_shows_that_its_link_lives() -> None:
    assert refused_on("lo", link_local(2), error())


@pytest.mark.parametrize(
    "control",
    [
        error(code=0),
        error(origin=1),
        error(who=link_local(3)),
        error(interface=LOOPBACK + 100_000),
        [(socket.IPPROTO_IPV6, 25, b"\0" * 8)],
        [],
    ],
    ids=["no route", "our own kernel", "another relay", "another link", "cut short", "nothing"],
)
def test_no_other_error_is_a_sign_of_life(control: list[tuple[int, int, bytes]]) -> None:
    assert not refused_on("lo", link_local(2), control)


class Bird:
    """Answers as BIRD 2.0.12 does, with so many routes in each session."""

    def __init__(self, **sessions: tuple[str, int]) -> None:
        self._sessions = sessions
        self.told: list[str] = []

    async def ask(self, command: str) -> list[Line]:
        if not command.startswith("show"):
            self.told.append(command)
            return [Line(21, "restarted")]
        said = []
        for name, (info, routes) in self._sessions.items():
            said.append(Line(1002, f"{name}         BGP        ---        start  2026-11-28 04:57:50.981  {info}"))
            said.append(Line(1006, "  Channel ipv6"))
            said.append(Line(1006, f"    Routes:         {routes} imported, 0 filtered, 4 exported, 0 preferred"))
        return said


async def test_routes_over_a_dead_link_go_while_another_session_stands() -> None:
    bird = Bird(m2=("Active        BFD session down", 3), m3=("Established", 5))
    assert await forget({2}, bird) == ["m2"]
    assert bird.told == ["restart m2"]


async def test_the_last_routes_that_a_relay_has_are_kept() -> None:
    bird = Bird(m2=("Active        BFD session down", 3), m3=("Connect", 5))
    assert await forget({2, 3}, bird) == []
    assert bird.told == []


async def test_a_session_that_stands_is_left_alone_although_probes_do_not_come_through() -> None:
    bird = Bird(m2=("Established", 3), m3=("Established", 5))
    assert await forget({2}, bird) == []
    assert bird.told == []


async def test_a_session_without_routes_is_not_started_anew_again_and_again() -> None:
    bird = Bird(m2=("Active        BFD session down", 0), m3=("Established", 5))
    assert await forget({2, 9}, bird) == []
    assert bird.told == []
