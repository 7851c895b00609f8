"""The lab's pure parts: rulesets, wg-quick files, limits of the host, what a process on a host sees."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from altnet.common.errors import Forbidden, Invalid, Unavailable
from altnet.common.keys import PrivateKey
from altnet.host.lab import commands, launcher, render, tuning, tunnel
from altnet.host.lab.delay import Held, Line, decode, encode
from altnet.host.lab.delay import commands as delay_commands
from altnet.host.lab.enrol import with_private_key
from altnet.host.lab.faults import NONE, Cut, Faults, Impairment, Shape, impair, parse_seconds, parse_share, unreached
from altnet.host.lab.topology import Kind, Spec, plan
from hypothesis import given
from hypothesis import strategies as st

KEY = base64.b64encode(b"k" * 32).decode()
FILE = f"""\
# Altnet client laptop through relay relay1
[Interface]
PrivateKey = {KEY}
Address = fd42:1337:beef:1001::1234/128
DNS = fd42:1337:beef:1001::1, alt
MTU = 1280

[Peer]
PublicKey = {KEY}
Endpoint = [2001:db8:100:2::2]:51830
AllowedIPs = fd42:1337:beef::/48, 10.1.0.0/16
PersistentKeepalive = 25
"""


def test_a_cut_drops_both_families_from_the_first_to_the_second_only() -> None:
    topology = plan(Spec())

    cut = Faults(cuts=(Cut(sources=("relay1", "relay4", "relay2"), targets=("client1",)),))
    text = render.fault_ruleset(topology, "router1", cut)

    assert 'iifname { "to-relay1", "to-relay4" } ip6 daddr { 2001:db8:101:1::/64 } counter drop' in text
    assert 'iifname { "to-relay1", "to-relay4" } ip daddr { 198.18.8.4/30 } counter drop' in text
    assert text.count("drop") == 2
    assert "drop" not in render.fault_ruleset(topology, "router3", cut)


def test_loss_is_judged_once_in_the_router_of_the_source() -> None:
    topology = plan(Spec())
    faults = Faults(impairments=(Impairment(source="relay1", target="relay2", loss=0.3, delay=0.02),))

    texts = {router: render.fault_ruleset(topology, router, faults) for router in ("router1", "router2", "router3")}

    assert texts["router1"].count("numgen random mod 10000 < 3000 counter drop") == 2
    assert "drop" not in texts["router2"] + texts["router3"]


@pytest.mark.parametrize(
    ("shape", "first", "third"),
    [(Shape.FULL, (), ()), (Shape.CHAIN, ("relay3", "relay4"), ("relay1",)), (Shape.RING, ("relay3",), ("relay1",))],
)
def test_in_a_chain_or_ring_a_relay_reaches_only_its_neighbours(
    shape: Shape, first: tuple[str, ...], third: tuple[str, ...]
) -> None:
    found = unreached(plan(Spec()), shape)

    assert found.get("relay1", ()) == first
    assert found.get("relay3", ()) == third
    assert all(one in found[other] for one, others in found.items() for other in others)


@pytest.mark.parametrize("shape", list(Shape))
@pytest.mark.parametrize("relays", [0, 1, 2, 3])
def test_three_relays_and_fewer_are_neighbours_in_a_ring(shape: Shape, relays: int) -> None:
    found = unreached(plan(Spec(relays=relays)), shape)

    assert found == ({"relay1": ("relay3",), "relay3": ("relay1",)} if (shape, relays) == (Shape.CHAIN, 3) else {})


def test_a_path_has_one_impairment_and_one_that_does_nothing_takes_it_away() -> None:
    slow = Impairment(source="relay1", target="relay2", delay=0.02)
    other = Impairment(source="relay2", target="relay1", loss=0.5)

    both = impair(impair((), [slow]), [other])

    assert both == (slow, other)
    assert impair(both, [Impairment(source="relay1", target="relay2", cut=True)])[1].cut
    assert impair(both, [Impairment(source="relay1", target="relay2")]) == (other,)


@pytest.mark.parametrize(
    ("code", "attempt"),
    [
        ("bad_loss", lambda: parse_share("30")),
        ("bad_loss", lambda: parse_share("-3%")),
        ("bad_loss", lambda: Impairment(source="a", target="b", loss=parse_share("101%"))),
        ("bad_delay", lambda: parse_seconds("20")),
        ("bad_delay", lambda: parse_seconds("1h")),
        ("bad_delay", lambda: Impairment(source="a", target="b", delay=11)),
        ("cut_and_more", lambda: Impairment(source="a", target="b", cut=True, delay=1)),
    ],
)
def test_an_impairment_that_cannot_be_is_refused_with_its_field(code: str, attempt: Callable[[], object]) -> None:
    with pytest.raises(Invalid) as refused:
        attempt()

    assert (refused.value.code, bool(refused.value.field), bool(refused.value.mend)) == (code, True, True)


def test_shares_and_times_are_read_as_people_write_them() -> None:
    assert (parse_share("30%"), parse_share("0.5 %"), parse_seconds("20ms"), parse_seconds("1.5s")) == (
        0.3,
        0.005,
        0.02,
        1.5,
    )


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=4), st.floats(0, 1))), st.integers(1, 8))
def test_a_delay_line_gives_back_in_order_not_before_their_time_and_never_holds_more_than_its_bound(
    arrivals: list[tuple[bytes, float]], most: int
) -> None:
    held, now, taken, given_back = Held(0.5, most=most), 0.0, [], []
    for packet, pause in arrivals:
        now += pause
        given_back += held.give(now)
        before = held.lost
        held.take(packet, now)
        if held.lost == before:
            taken.append((now, packet))
        assert len(taken) - len(given_back) <= most
        assert all(at + 0.5 <= now for at, _ in taken[: len(given_back)])
    given_back += held.give(now + 0.5)

    assert given_back == [packet for _, packet in taken]
    assert held.due() is None


def test_a_delay_lines_command_line_reads_back_as_it_was_written() -> None:
    lines = [Line(arrives="to-relay1", targets=("2001:db8::/64", "198.18.0.0/30"), delay=0.02)]

    assert decode(encode(lines)) == lines
    assert "rule add pref 1000 iif to-relay1 to 198.18.0.0/30 lookup 1000" in delay_commands(lines, 4)


def test_a_ruleset_replaces_the_one_before_as_a_whole() -> None:
    text = render.fault_ruleset(plan(Spec()), "router1", NONE)

    assert text.startswith("table inet altnet_lab {}\ndelete table inet altnet_lab\ntable inet altnet_lab {")
    assert "drop" not in text


def test_only_what_does_not_exist_yet_is_made_with_add() -> None:
    topology = plan(Spec(clients=3, clients_per_nat=2))

    lines = [line for host in topology.hosts.values()
             for line in (*render.up_lines(topology, host), *render.address_lines(topology, host))]  # fmt: skip

    assert not [line for line in lines if " add " in line]
    assert len([line for line in lines if "master lan" in line]) == 3


def test_clients_and_the_control_host_do_not_forward() -> None:
    forwarding = {host.kind: "net/ipv4/ip_forward" in render.sysctls(host) for host in plan(Spec()).hosts.values()}

    assert forwarding == {Kind.ROUTER: True, Kind.CONTROL: False, Kind.RELAY: True, Kind.NAT: True, Kind.CLIENT: False}


def test_a_wg_quick_file_is_taken_apart() -> None:
    config = tunnel.parse(FILE)

    assert [str(one) for one in config.addresses] == ["fd42:1337:beef:1001::1234/128"]
    assert [str(one) for one in config.allowed] == ["fd42:1337:beef::/48", "10.1.0.0/16"]
    assert config.mtu == 1280
    assert "Endpoint = [2001:db8:100:2::2]:51830" in config.setconf
    assert not [word for word in ("Address", "DNS", "MTU") if word in config.setconf]
    assert KEY not in repr(config)


@pytest.mark.parametrize(
    ("broken", "line"),
    [("[Interface]\nAddress = nonsense\n", 2), ("Address = fd00::1\n", 1), ("[Interface]\nMTU = big\n", 2)],
)
def test_a_broken_wg_quick_file_is_refused_with_its_line(broken: str, line: int) -> None:
    with pytest.raises(Invalid, match=f"line {line} "):
        tunnel.parse(broken)


def test_the_private_key_goes_into_the_place_that_the_registry_left() -> None:
    key = PrivateKey.generate(lambda count: b"\1" * count)

    text = with_private_key(FILE.replace(KEY, "REPLACE-WITH-YOUR-PRIVATE-KEY", 1), key)

    assert f"PrivateKey = {base64.b64encode(key.reveal()).decode()}\n" in text
    assert f"PublicKey = {KEY}\n" in text


def test_a_small_lab_needs_no_change_of_the_host() -> None:
    debian = {tuning.INOTIFY: 128, tuning.NEIGHBOURS: 1024}

    assert tuning.too_low(Spec(), debian.__getitem__) == ()
    assert tuning.too_low(Spec(relays=20, clients=10), debian.__getitem__) == ()


def test_a_large_lab_names_the_line_that_makes_room_for_it() -> None:
    debian = {tuning.INOTIFY: 128, tuning.NEIGHBOURS: 1024}

    limits = tuning.too_low(Spec(relays=100, clients=10), debian.__getitem__)

    expected = "sysctl -w fs.inotify.max_user_instances=512 net.ipv6.neigh.default.gc_thresh3=16384"
    assert tuning.command(limits) == expected


def test_a_process_on_a_host_does_not_see_what_was_meant_for_the_caller() -> None:
    ours = {"PATH": "/bin", "ALTNET_LAB_PREFIX": "x", "LISTEN_FDS": "1", "NOTIFY_SOCKET": "/s", "HOME": "/root"}

    seen = launcher.environment(ours, {"ALTNET_AGENT_JOIN_TOKEN_FILE": "/t"})

    assert seen == {"PATH": "/bin", "HOME": "/root", "PYTHONUNBUFFERED": "1", "ALTNET_AGENT_JOIN_TOKEN_FILE": "/t"}


def test_without_root_one_line_says_what_it_needs() -> None:
    with pytest.raises(Forbidden) as refused:
        commands.require_root(1000)

    assert "needs root" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_program_is_named_with_its_package() -> None:
    with pytest.raises(Unavailable, match=r"`no-such-thing`.*apt install no-such-thing"):
        commands.require(["sh", "no-such-thing"])


def test_a_command_that_fails_says_what_it_said() -> None:
    with pytest.raises(Unavailable, match="failed: a reason; another") as failed:
        commands.run(["sh", "-c", "echo a reason >&2; echo another >&2; exit 3"], timeout=5)

    assert failed.value.code == "command_failed"


def test_a_command_that_hangs_is_ended() -> None:
    with pytest.raises(Unavailable) as hung:
        commands.run(["sleep", "60"], timeout=0.05)

    assert hung.value.code == "command_hangs"
