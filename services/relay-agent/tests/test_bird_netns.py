"""Real BIRD over real WireGuard between real agents in network namespaces, with no control plane at all."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from altnet.common.contracts.desired import RelayDocument, RelayState
from altnet.common.contracts.routing import Engine
from altnet.relay_agent.bird.config import MOST_ROUTES
from altnet.relay_agent.settings import AgentSettings
from support.netns import Namespace, processes
from support.prober import IN_BETWEEN, Prober, Spot
from support.relays import PLAN, document, entry, relay_id
from support.sites import Relay, Site, empty, eventually

pytestmark = [pytest.mark.netns, pytest.mark.slow]

LONGEST_GAP = 2.0
"""Seconds, on a busy machine, of what an idle one does in 0.2 s. BGP alone would take 9 s, its hold time."""


def established(relay: Relay, count: int) -> bool:
    """Whether a relay has so many sessions, all of them established."""
    status = relay.status()
    if status is None or status.routing is None:
        return False
    sessions = status.routing.sessions
    return len(sessions) == count and all(one.state == "established" and one.bfd == "up" for one in sessions)


def triangle(
    site: Site, *, measured: bool = False, costs: Mapping[str, Mapping[str, int]] | None = None
) -> tuple[Relay, Relay, Relay]:
    """Three relays with sessions. Links cost the same unless `measured`: a busy machine's times would choose paths.

    `costs` of some links by relay and neighbour, microseconds.
    """
    relays = tuple(site.add(name, slot, routing=Engine.BIRD) for slot, name in enumerate("abc", 1))
    for relay in relays:
        if not measured:
            own = {**dict.fromkeys("abc", 1000), **(costs or {}).get(relay.name, {})}
            relay.settings["LINK_COSTS"] = json.dumps(own)
    site.start()
    for relay in relays:
        eventually(lambda one=relay: established(one, 2), f"{relay.name} has no sessions")  # type: ignore[misc]
    eventually(site.all_reach, "not everybody reaches everybody")
    return relays  # type: ignore[return-value]


def cut(one: Namespace, slot: int) -> None:
    """Lose every packet from the underlay address of a relay: nobody is told."""
    one.run("nft", "add table inet cut; add chain inet cut c { type filter hook prerouting priority -400; }")
    one.run("nft", f"add rule inet cut c ip6 saddr fd00:99::{slot} counter drop")


def heal(one: Namespace) -> None:
    one.run("nft", "delete table inet cut")


def bird_of(relay: Relay) -> int:
    return int((relay.state_dir / "bird" / "bird.pid").read_text())


def next_hop(relay: Relay, address: str) -> str:
    return str(json.loads(relay.namespace.run("ip", "-6", "-j", "route", "get", address))[0]["dev"])


def test_a_triangle_converges_and_a_path_that_dies_in_silence_is_replaced_and_comes_back(site: Site) -> None:
    a, b, c = triangle(site)
    assert next_hop(a, b.address) == "altl2"
    assert a.namespace.run("ip", "-6", "route", "show", "proto", "186", b.address).strip() == "", "BIRD alone decides"
    assert a.ask("plan") == (0, [])

    with Prober(Spot(a.namespace, a.address), Spot(b.namespace, b.address), interval=0.01) as prober:
        cut(a.namespace, 2)
        eventually(lambda: next_hop(a, b.address) == "altl3" and a.reaches(b.address), "a does not go over c to b")
        eventually(lambda: b.reaches(a.address), "b does not go over c to a")
        verdict = prober.finish()
    assert verdict.longest_gap < LONGEST_GAP, verdict
    heal(a.namespace)
    eventually(lambda: next_hop(a, b.address) == "altl2", "the short way is not taken again")
    assert a.reaches(b.address)
    assert c.reaches(b.address)


def test_the_agent_dies_and_comes_back_and_neither_a_packet_nor_a_session_is_lost(site: Site) -> None:
    a, b, _ = triangle(site)
    pid = bird_of(a)
    with Prober(Spot(a.namespace, a.address), Spot(b.namespace, b.address), interval=0.01) as prober:
        a.kill(signal.SIGKILL)
        time.sleep(0.3)
        a.start()
        eventually(lambda: established(a, 2), "a did not come back")
        verdict = prober.finish()
    assert verdict.lost == 0, verdict
    assert bird_of(a) == pid, "the same BIRD"
    status = b.status()
    assert status is not None
    assert status.routing is not None
    assert all((one.since or 0) > 0.3 for one in status.routing.sessions), "no session was made anew"


def test_bird_is_killed_and_is_back_while_packets_go_on(site: Site) -> None:
    a, b, c = triangle(site)
    pid = bird_of(b)
    with (
        Prober(Spot(a.namespace, a.address), Spot(b.namespace, b.address), interval=0.01) as to_it,
        Prober(Spot(c.namespace, c.address), Spot(a.namespace, a.address), interval=0.01, port=7778) as past_it,
    ):
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: established(b, 2) and established(a, 2) and established(c, 2), "BIRD did not come back")
        time.sleep(1.0)
        verdicts = to_it.finish(), past_it.finish()
    assert max(verdict.lost for verdict in verdicts) <= IN_BETWEEN, verdicts
    assert bird_of(b) != pid
    eventually(lambda: not stand_ins(b), "what stood in for BIRD's routes did not go")


def test_what_stood_in_for_routes_of_bird_goes_although_the_agent_died_meanwhile(site: Site) -> None:
    a, b, _ = triangle(site)
    b.kill()
    os.kill(bird_of(b), signal.SIGKILL)
    b.namespace.run("ip", "-6", "route", "add", f"{a.address}/128", "dev", "altl1", "metric", "1536", "proto", "213")
    b.start()
    eventually(lambda: established(b, 2) and not stand_ins(b), "what stood in did not go")
    assert b.reaches(a.address)


def test_what_is_left_of_a_dead_link_is_no_way_to_a_neighbour_whose_bird_starts_anew(site: Site) -> None:
    a, b, c = triangle(site, costs={"a": {"c": 50_000}, "c": {"a": 50_000}})
    eventually(lambda: next_hop(a, c.address) == "altl2" and next_hop(c, a.address) == "altl2", "b is the cheaper way")
    cut(a.namespace, 2)
    cut(b.namespace, 1)
    eventually(lambda: next_hop(a, c.address) == "altl3" and next_hop(c, a.address) == "altl1", "b is still in use")
    eventually(lambda: learned_from(a, 2) == learned_from(b, 1) == 0, "routes over the dead link are still there")

    with Prober(Spot(a.namespace, a.address), Spot(c.namespace, c.address), interval=0.01) as prober:
        os.kill(bird_of(c), signal.SIGKILL)
        eventually(lambda: established(c, 2), "BIRD did not come back")
        verdict = prober.finish()
    # By what b told before, the way to c is over b: that would be silence until BIRD is back, a second.
    assert verdict.lost <= IN_BETWEEN, verdict


def test_a_neighbour_whose_kernel_alone_is_left_keeps_its_routes(site: Site) -> None:
    a, b, c = triangle(site)
    b.kill(signal.SIGKILL)
    os.kill(bird_of(b), signal.SIGKILL)
    with Prober(Spot(a.namespace, a.address), Spot(b.namespace, b.address), interval=0.01) as prober:
        time.sleep(10)
        verdict = prober.finish()
    assert verdict.lost <= IN_BETWEEN, verdict
    assert learned_from(a, 2) > 0
    assert learned_from(c, 2) > 0


def learned_from(relay: Relay, slot: int) -> int:
    """How many routes its BIRD has from a neighbour, old ones included."""
    control = str(relay.state_dir / "bird" / "bird.ctl")
    said = relay.namespace.run("birdc", "-s", control, "show", "route", "protocol", f"m{slot}", "count")
    return sum(int(count) for count in re.findall(r"(\d+) of \d+ routes", said))


def stand_ins(relay: Relay) -> str:
    return relay.namespace.run("ip", "-6", "route", "show", "proto", "213").strip()


def test_the_host_is_rebooted_and_routes_come_from_the_cache(site: Site) -> None:
    a, b, _ = triangle(site)
    a.kill()
    empty(a.namespace)
    site.attach(a.namespace, "a", "fd00:99::1")
    a.start()
    eventually(lambda: established(a, 2) and a.reaches(b.address) and b.reaches(a.address), "a did not come back")


def test_a_relay_that_announces_anothers_prefix_is_refused_by_all(site: Site) -> None:
    a, b, c = triangle(site)
    other, mine = str(PLAN.client_prefix(3)), "fd77::/48"
    table = str(AgentSettings().origin_table)
    # b was taken over: it says that it has c's clients, c itself, a default route, locators, and a site of nobody's.
    b.kill()
    rogue = b.state_dir / "rogue.conf"
    text = (b.state_dir / "bird" / "bird.conf").read_text()
    rogue.write_text(re.sub(r"filter mesh_out6 {.*?\n}", "filter mesh_out6 { accept; }", text, flags=re.DOTALL))
    b.namespace.run("birdc", "-s", str(b.state_dir / "bird" / "bird.ctl"), f'configure "{rogue}"')
    stolen = [other, f"{c.address}/128", "::/0", f"{PLAN.locator(1)}/128", mine, f"{PLAN.client_prefix(3)[9]}/128"]
    for prefix in stolen:
        b.namespace.run("ip", "-6", "route", "add", "blackhole", prefix, "table", table, "proto", "186")
    eventually(lambda: refused(a, "b") >= 6 and refused(c, "b") >= 6, "nobody refused anything")
    assert next_hop(a, c.address) == "altl3"
    assert next_hop(a, str(PLAN.client_prefix(3)[9])) == "altl3"
    assert a.namespace.run("ip", "-6", "route", "show", mine).strip() == ""
    code, said = a.ask("show", "routes", "--to", str(PLAN.client_prefix(3)[9]))
    assert code == 0
    first = said["routes"][0]
    assert (first["used"], first["next_hops"][0]["relay"], first["why"]) == (True, relay_id("c"), "the only route")
    assert a.reaches(c.address)


def test_a_relay_that_announces_more_than_a_mesh_can_have_loses_its_sessions_and_nobody_else_does(site: Site) -> None:
    a, b, c = triangle(site)
    b.kill()
    rogue, honest = b.state_dir / "rogue.conf", b.state_dir / "bird" / "bird.conf"
    many = "".join(
        f"  route fd77:{number >> 16:x}:{number & 0xFFFF:x}::/48 blackhole;\n" for number in range(MOST_ROUTES)
    )
    flood = f"protocol static flood {{\n  ipv6 {{ table master6; }};\n{many}}}\n"
    rogue.write_text(honest.read_text().replace(f" export limit {MOST_ROUTES} action block;", "") + flood)

    configure(b, rogue)

    eventually(lambda: limited(a, "b") and limited(c, "b"), "nobody ends the session")
    assert standing(a, "c").startswith("established")
    assert a.reaches(c.address)
    assert len(a.namespace.run("ip", "-6", "route", "show", "proto", "bird").splitlines()) < 10, "none got in"

    configure(b, honest)
    eventually(lambda: established(a, 2) and established(c, 2), "the sessions do not come back")
    # Nobody wakes the BIRD of b, whose agent is dead: what it does next may take it a second.
    eventually(lambda: a.reaches(b.address), "the way to b does not come back")


def configure(relay: Relay, file: Path) -> None:
    relay.namespace.run("birdc", "-s", str(relay.state_dir / "bird" / "bird.ctl"), f'configure "{file}"')


def standing(relay: Relay, neighbour: str) -> str:
    """State of a session, and why it is in it."""
    status = relay.status()
    sessions = status.routing.sessions if status is not None and status.routing is not None else ()
    return " ".join(f"{one.state} {one.problem}" for one in sessions if one.neighbour == relay_id(neighbour))


def limited(relay: Relay, neighbour: str) -> bool:
    said = standing(relay, neighbour)
    return "established" not in said and "limit" in said.lower()


def refused(relay: Relay, neighbour: str) -> int:
    status = relay.status()
    if status is None or status.routing is None:
        return 0
    return sum(one.refused for one in status.routing.sessions if one.neighbour == relay_id(neighbour))


def test_a_drained_relay_carries_no_transit_and_no_packet_is_lost(site: Site) -> None:
    """a - b - d and a - c - d, with b the cheaper way until it is drained."""
    names = {name: site.add(name, slot, routing=Engine.BIRD) for slot, name in enumerate("abcd", 1)}
    a, b, _, d = names.values()
    cheap, dear = '{"b": 2000}', '{"c": 9000}'
    a.settings["LINK_COSTS"] = d.settings["LINK_COSTS"] = json.dumps(json.loads(cheap) | json.loads(dear))
    ring = {"a": ("b", "c"), "b": ("a", "d"), "c": ("a", "d"), "d": ("b", "c")}
    documents = {name: linked(name, 1, *ring[name]) for name in names}
    site.start(**documents)
    eventually(lambda: all(established(one, 2) for one in names.values()), "no sessions")
    eventually(lambda: next_hop(a, d.address) == "altl2" and next_hop(d, a.address) == "altl2", "not over b")
    eventually(site.all_reach, "not everybody reaches everybody")
    with Prober(Spot(a.namespace, a.address), Spot(d.namespace, d.address), interval=0.01) as prober:
        drained = entry("b", 2, endpoints=("[fd00:99::2]:51820",), routing=Engine.BIRD, state=RelayState.DRAINING)
        site.paper.put(drained)
        for relay in names.values():
            relay.kill(signal.SIGTERM)
            relay.write(site.paper, documents[relay.name])
            relay.start()
        eventually(lambda: next_hop(a, d.address) == "altl3" and next_hop(d, a.address) == "altl3", "not over c")
        time.sleep(0.5)
        verdict = prober.finish()
    assert verdict.lost == 0, verdict
    assert a.reaches(b.address), "what is its own is still reached"
    assert d.reaches(str(PLAN.access_address(2)))


def linked(name: str, generation: int, *others: str) -> RelayDocument:
    return document(name, generation, links=tuple(sorted(relay_id(other) for other in others)))


def test_two_cheap_hops_beat_one_dear_hop_and_load_is_shared_over_equal_paths(site: Site) -> None:
    """a and d: a direct link of 100 ms, and two ways of 10 + 10 ms, over b and over c."""
    names = {name: site.add(name, slot, routing=Engine.BIRD) for slot, name in enumerate("abcd", 1)}
    a, _, _, d = names.values()
    for relay in names.values():
        dear = {"a": "d", "d": "a"}.get(relay.name, "")
        costs = {other: 100_000 if other == dear else 10_000 for other in names if other != relay.name}
        relay.settings["LINK_COSTS"] = json.dumps(costs)
    site.start()
    eventually(lambda: all(established(one, 3) for one in names.values()), "no sessions")

    def over_both() -> bool:
        shown = a.namespace.run("ip", "-6", "route", "show", d.address)
        return "altl2" in shown and "altl3" in shown and "altl4" not in shown

    eventually(over_both, "a does not share load over b and c")
    _, said = a.ask("show", "routes", "--to", d.address)
    used = [view for view in said["routes"] if view["used"]]
    assert sorted(view["next_hops"][0]["relay"] for view in used) == [relay_id("b"), relay_id("c")]
    assert {view["cost"] for view in said["routes"]} > {100_000}
    eventually(lambda: a.reaches(d.address) and d.reaches(a.address), "a and d do not reach each other")

    count_flows(a, ("altl2", "altl3", "altl4"))
    send_from_many_ports(a, d.address)
    per_link = counted(a)
    assert sum(per_link) == FLOWS
    assert min(per_link[:2]) >= FLOWS // 8, f"flows are not shared over both links: {per_link}"


FLOWS = 64
"""By chance less than 8 of them take one of two links once in 10^10 times."""


def count_flows(relay: Relay, links: tuple[str, ...]) -> None:
    """Count packets to port 9999, link by link."""
    relay.namespace.run("nft", "add table inet count; add chain inet count c { type filter hook output priority 0; }")
    for link in links:
        relay.namespace.run("nft", f'add rule inet count c oifname "{link}" udp dport 9999 counter')


def counted(relay: Relay) -> list[int]:
    said = relay.namespace.run("nft", "list", "chain", "inet", "count", "c")
    return [int(packets) for packets in re.findall(r"counter packets (\d+)", said)]


def send_from_many_ports(relay: Relay, address: str) -> None:
    """One packet from each of many ports, none with a flow label, as of a host that sets none (IPV6_AUTOFLOWLABEL)."""
    for number in range(FLOWS):
        with relay.namespace.entered():
            sender = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        with sender:
            sender.setsockopt(socket.IPPROTO_IPV6, 70, 0)
            sender.bind((relay.address, 20_000 + number))
            sender.sendto(b"x", (address, 9999))


def test_what_a_relay_originates_comes_and_goes_without_a_new_configuration(site: Site) -> None:
    site_prefixes = ("10.7.0.0/16", "fd77::/48")
    a, b = (site.add(name, slot, routing=Engine.BIRD) for slot, name in enumerate("ab", 1))
    site.paper.put(
        entry("b", 2, endpoints=("[fd00:99::2]:51820",), routing=Engine.BIRD, origins=site_prefixes),
    )
    site.start()
    eventually(lambda: established(a, 1), "no session")

    def has(prefix: str) -> bool:
        family = "-4" if "." in prefix else "-6"
        return "altl2" in a.namespace.run("ip", family, "route", "show", prefix)

    eventually(lambda: all(has(prefix) for prefix in site_prefixes), "the site's prefixes are not there")
    b.namespace.run("ip", "addr", "add", "10.7.0.1/32", "dev", "lo")
    b.namespace.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    mark = configuration(b)
    table = str(AgentSettings().origin_table)
    b.namespace.run("ip", "-6", "route", "del", "blackhole", "fd77::/48", "table", table)
    eventually(lambda: not has("fd77::/48"), "a withdrawn prefix stays")
    b.namespace.run("ip", "-6", "route", "add", "blackhole", "fd77::/48", "table", table, "proto", "186")
    eventually(lambda: has("fd77::/48"), "a prefix that is back is not told")
    assert configuration(b) == mark


def configuration(relay: Relay) -> str:
    """What BIRD was told, without what links cost: that is measured, and may change at any time."""
    code, said = relay.ask("show", "bird")
    assert code == 0
    return re.sub(r"cost \d+;|ALTNET_MARK = .*", "", str(said["text"]))


def test_without_bird_static_routes_stand_in_and_it_is_said(site: Site) -> None:
    a, b = site.add("a", 1), site.add("b", 2, routing=Engine.BIRD)
    a.settings["BIRD_PROGRAM"] = "/nowhere/bird"
    site.start()
    eventually(site.all_reach, "a and b do not reach each other")
    status = a.status()
    assert status is not None
    assert status.routing is not None
    assert status.routing.engine is Engine.STATIC
    assert "not installed" in status.health
    assert not status.routing.healthy
    assert "metric 512" in a.namespace.run("ip", "-6", "route", "show", b.address)


def test_a_bird_that_cannot_be_started_any_more_gives_way_to_static_routes_and_comes_back(site: Site) -> None:
    broken = site.directory / "broken"
    program = site.directory / "bird"
    program.write_text(f'#!/bin/sh\n[ -e {broken} ] && [ "$1" != --version ] && exit 1\nexec /usr/sbin/bird "$@"\n')
    program.chmod(0o755)
    a, b, c = (site.add(name, slot, routing=Engine.BIRD) for slot, name in enumerate("abc", 1))
    a.settings |= {"BIRD_PROGRAM": str(program), "TIMERS__BIRD_RETRY_MOST": "1"}
    site.start()
    eventually(lambda: established(a, 2) and established(b, 2), "no sessions")
    eventually(site.all_reach, "not everybody reaches everybody")

    with Prober(Spot(a.namespace, a.address), Spot(b.namespace, b.address), interval=0.01) as prober:
        broken.touch()
        os.kill(bird_of(a), signal.SIGKILL)
        eventually(lambda: "metric 512" in a.namespace.run("ip", "-6", "route", "show", b.address), "no static routes")
        eventually(lambda: a.namespace.run("ip", "-6", "route", "show", "proto", "bird").strip() == "", "left-overs")
        status = a.status()
        assert status is not None
        assert status.routing is not None
        assert status.routing.engine is Engine.STATIC
        assert "cannot be kept running" in status.health
        assert a.reaches(c.address)
        broken.unlink()
        eventually(lambda: established(a, 2), "BIRD does not come back")
        time.sleep(0.5)
        verdict = prober.finish()
    assert verdict.lost <= IN_BETWEEN, verdict
    code, said = a.ask("status")
    assert (code, said["health"]) == (0, "ok")
    assert "metric 512" not in a.namespace.run("ip", "-6", "route", "show", b.address)


def test_a_configuration_that_bird_refuses_leaves_the_running_one_and_the_reason_is_told(site: Site) -> None:
    program, refusing = site.directory / "bird", site.directory / "refusing"
    script = (
        f'if [ "$1" = -p ] && [ -e {refusing} ]; then\n  echo "$3:7:1 something that BIRD does not know"; exit 1\nfi\n'
    )
    program.write_text(f'#!/bin/sh\n{script}exec /usr/sbin/bird "$@"\n')
    program.chmod(0o755)
    a, b = (site.add(name, slot, routing=Engine.BIRD) for slot, name in enumerate("ab", 1))
    a.settings["BIRD_PROGRAM"] = str(program)
    site.start()
    eventually(lambda: established(a, 1), "no session")
    before = configuration(a)
    a.kill(signal.SIGTERM)
    refusing.touch()
    site.paper.put(entry("z", 9, routing=Engine.BIRD))
    a.write(site.paper, document("a"))
    a.start()

    def told() -> bool:
        status = a.status()
        return status is not None and "something that BIRD does not know" in status.health

    eventually(told, "nobody says why")
    status = a.status()
    assert status is not None
    assert status.routing is not None
    assert "line 7" in status.routing.problem
    assert any(failed["plane"] == "routing" for failed in status.failed)
    assert configuration(a) == before
    assert a.reaches(b.address), "the running configuration goes on"
    refusing.unlink()
    eventually(lambda: a.settled() and configuration(a) != before, "it was not tried again")


def test_down_ends_bird_and_leaves_nothing_of_it(site: Site) -> None:
    a, _, _ = triangle(site)
    pid = bird_of(a)
    a.kill(signal.SIGTERM)
    assert Path(f"/proc/{pid}").exists()
    code, said = a.ask("down")
    assert (code, said["failed"]) == (0, [])
    eventually(lambda: pid not in processes(a.namespace.name), "BIRD goes on")
    assert a.namespace.run("ip", "-6", "route", "show", "proto", "bird").strip() == ""
    assert a.namespace.run("ip", "-6", "route", "show", "table", str(AgentSettings().origin_table), check=False) == ""
    assert a.ask("down") == (0, {"removed": [], "failed": []}), "twice is once"


def test_a_bird_that_somebody_told_something_else_is_told_again(site: Site) -> None:
    a, b = (site.add(name, slot, routing=Engine.BIRD) for slot, name in enumerate("ab", 1))
    a.settings["TIMERS__RESYNC"] = "1"
    site.start()
    eventually(lambda: established(a, 1), "no session")
    other = a.state_dir / "other.conf"
    other.write_text("router id 192.0.2.1;\nprotocol device {}\n")
    a.namespace.run("birdc", "-s", str(a.state_dir / "bird" / "bird.ctl"), f'configure "{other}"')
    eventually(lambda: marked(a), "nobody mended it")
    eventually(lambda: established(a, 1) and a.reaches(b.address), "no session after it")


def marked(relay: Relay) -> bool:
    """Whether the configuration that BIRD runs is one of the agent's."""
    control = str(relay.state_dir / "bird" / "bird.ctl")
    said = relay.namespace.run("birdc", "-s", control, "eval ALTNET_MARK", check=False)
    return re.search(r"^[0-9a-f]{32}$", said, re.MULTILINE) is not None


def test_a_lossy_link_is_left_for_a_longer_way(site: Site) -> None:
    a, b, _ = triangle(site, measured=True)
    # Every third packet from b, on its way into a: BFD holds on, the probes see it.
    a.namespace.run("nft", "add table inet cut; add chain inet cut c { type filter hook prerouting priority -400; }")
    rule = "ip6 saddr fd00:99::2 numgen random mod 100 < 35 counter drop"
    a.namespace.run("nft", f"add rule inet cut c {rule}")
    eventually(lambda: next_hop(a, b.address) == "altl3", "a goes on over the lossy link")
    eventually(lambda: next_hop(b, a.address) == "altl3", "b goes on over the lossy link")
