"""The lab's pure parts: rulesets, wg-quick files, limits of the host, what a process on a host sees."""

from __future__ import annotations

import base64

import pytest
from altnet.common.errors import Forbidden, Invalid, Unavailable
from altnet.common.keys import PrivateKey
from altnet.host.lab import commands, launcher, render, tuning, tunnel
from altnet.host.lab.enrol import with_private_key
from altnet.host.lab.render import Cut
from altnet.host.lab.topology import Kind, Spec, plan

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

    text = render.cut_ruleset(topology, [Cut(sources=("relay1", "relay2"), targets=("client1",))])

    assert (
        "ip6 saddr { 2001:db8:100:2::/64, 2001:db8:101:2::/64 } ip6 daddr { 2001:db8:101:1::/64 } counter drop" in text
    )
    assert "ip saddr { 198.18.0.8/30, 198.18.8.8/30 } ip daddr { 198.18.8.4/30 } counter drop" in text
    assert text.count("drop") == 2


def test_a_ruleset_replaces_the_one_before_as_a_whole() -> None:
    text = render.cut_ruleset(plan(Spec()), [])

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
