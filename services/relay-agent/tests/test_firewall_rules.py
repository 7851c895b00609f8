"""The firewall table: text that nft takes, replaced at once; drift is seen. Packets are in test_agents_netns."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address, ip_network

import pytest
from altnet.common.contracts.routing import Peering, PrefixRule
from altnet.common.errors import Invalid, NotFound
from altnet.common.net import Prefix, link_number
from altnet.relay_agent.diff import Delete, Update
from altnet.relay_agent.pieces import FIREWALL, Ruleset
from altnet.relay_agent.planes.firewall import FirewallPlane, NftTables, mark_of, render
from altnet.relay_agent.rights import outside_origins
from support.netns import Namespace
from support.relays import PLAN, Paper, Rig, document, entry

Pairs = tuple[tuple[IPv6Address, int], ...]
SITES: tuple[Prefix, ...] = tuple(map(ip_network, ["fd77::/48", "fd77:0:0:1::/64", "10.1.0.0/16", "10.1.2.0/24"]))


PAIRS: Pairs = ((PLAN.locator(2), link_number(1, 2)), (PLAN.locator(3), link_number(1, 3)))


async def ruleset(
    outside: tuple[Prefix, ...] = (),
    own: tuple[Prefix, ...] = (),
    pairs: Pairs = PAIRS,
    *,
    peerings: tuple[Peering, ...] = (),
    bird: bool = False,
) -> Ruleset:
    rig, paper = Rig(), Paper()
    paper.put(entry("me", 1))
    rig.shelf.put_mesh(paper)
    rig.shelf.put_document(document("me"))
    await rig.start()
    await rig.fetch()
    context = rig.agent.wanted.context
    assert context is not None
    context = replace(context, bird=bird)
    return render(
        context, probe_port=51898, attach_port=51897, outside=outside, own=own, pairs=pairs, peerings=peerings
    )


async def test_the_same_wish_is_the_same_text_and_another_is_another() -> None:
    assert mark_of(await ruleset()) == mark_of(await ruleset())
    assert mark_of(await ruleset(SITES)) != mark_of(await ruleset())


async def test_prefixes_that_overlap_are_written_once() -> None:
    text = (await ruleset(SITES, SITES)).text
    assert "elements = { fd77::/48 }" in text
    assert "elements = { 10.1.0.0/16 }" in text


PEERINGS = (
    Peering(id="prg_1", name="one", address="fd00:bb::2", asn=65_010, bfd=True),
    Peering(id="prg_2", name="two", address="fe80::2", interface="eth1.7", asn=65_010),
    Peering(id="prg_3", name="three", address="192.0.2.7", source="192.0.2.1", asn=65_010, bfd=True, multihop=3),
    Peering(id="prg_4", name="four", address="fd00:bb::4", asn=65_010, enabled=False),
    Peering(id="prg_5", name="five", address='fe80::2%"; drop', interface="eth1", asn=65_010),
)


async def test_exactly_the_neighbours_speak_bgp_and_bfd() -> None:
    text = (await ruleset(peerings=PEERINGS, bird=True)).text

    local = text[text.index("chain local") :].splitlines()
    accepted = [line.strip() for line in local if "saddr" in line and "dport" in line]
    assert accepted == [
        "ip6 saddr fd00:bb::2 tcp dport 179 accept",
        "ip6 saddr fd00:bb::2 udp dport { 3784, 3785 } accept",
        'iifname "eth1.7" ip6 saddr fe80::2 tcp dport 179 accept',
        "ip saddr 192.0.2.7 ip daddr 192.0.2.1 tcp dport 179 accept",
        "ip saddr 192.0.2.7 ip daddr 192.0.2.1 udp dport 4784 accept",
    ]
    assert text.index("fd00:bb::2") < text.index("tcp dport 179 iifname"), "before everybody else is dropped"
    assert "dport 179" not in (await ruleset(peerings=PEERINGS)).text, "without BIRD these ports are not ours"


@pytest.mark.netns
async def test_nft_takes_the_rules_of_peerings(inside_netns: Namespace) -> None:
    tables = NftTables(timeout=10)

    await tables.replace("altnet", await ruleset(peerings=PEERINGS, bird=True))

    assert "192.0.2.7" in inside_netns.run("nft", "list", "table", "inet", "altnet")


@pytest.mark.netns
async def test_nft_takes_the_table_shows_it_with_its_mark_and_replaces_it(inside_netns: Namespace) -> None:
    tables, plane = NftTables(timeout=10), None
    inside_netns.run("nft", "add table inet other")
    plane = FirewallPlane(tables, "altnet")
    assert await plane.read() == {}
    for wanted in (await ruleset(pairs=()), await ruleset(), await ruleset(SITES, SITES)):
        assert await plane.update([Update(FIREWALL, "ruleset", wanted)]) == {}
        (seen,) = (await plane.read()).values()
        assert plane.same(seen, wanted)
    assert inside_netns.run("nft", "list", "tables").split("\n")[:2] == ["table inet other", "table inet altnet"]

    inside_netns.run("nft", "flush chain inet altnet local")
    (seen,) = (await plane.read()).values()
    assert not plane.same(seen, wanted), "a rule that somebody took out is missed"
    assert await plane.update([Update(FIREWALL, "ruleset", wanted)]) == {}

    (seen,) = (await FirewallPlane(tables, "altnet").read()).values()
    assert not plane.same(seen, wanted), "an agent sets the table anew at its start"
    (seen,) = (await FirewallPlane(tables, "altnet", trust=True).read()).values()
    assert plane.same(seen, wanted), "`plan` believes the mark"

    assert await plane.delete([Delete(FIREWALL, "ruleset", None)]) == {}
    assert await plane.delete([Delete(FIREWALL, "ruleset", None)]) == {}
    assert inside_netns.run("nft", "list", "tables").strip() == "table inet other"


@pytest.mark.netns
async def test_a_text_that_nft_refuses_leaves_the_old_table(inside_netns: Namespace) -> None:
    tables = NftTables(timeout=10)
    await tables.replace("altnet", await ruleset())
    before = await tables.read("altnet")
    with pytest.raises(Invalid, match="nft refused"):
        await tables.replace("altnet", Ruleset(text="\tnonsense\n"))
    assert await tables.read("altnet") == before


@pytest.mark.netns
async def test_errors_leave_from_the_dummy_address_alone_and_nothing_else_comes_in_from_it(
    inside_netns: Namespace,
) -> None:
    await NftTables(timeout=10).replace("altnet", await ruleset(SITES, SITES))

    leave = inside_netns.run("nft", "-n", "list", "chain", "inet", "altnet", "leave")
    assert 'oifname "altl*" icmp type { 3, 11, 12 } ip saddr != @sites4 ip saddr set 192.0.0.8' in leave
    arrive = inside_netns.run("nft", "-n", "list", "chain", "inet", "altnet", "from_link")
    assert [line.strip() for line in arrive.splitlines() if "192.0.0.8" in line] == [
        "ip saddr 192.0.0.8 icmp type { 3, 11, 12 } accept"
    ]


async def test_without_nft_setting_says_so_and_reading_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    tables = NftTables(timeout=1)
    with pytest.raises(NotFound, match="Install nftables"):
        await tables.replace("altnet", Ruleset(text=""))
    assert await tables.read("altnet") is None
    await tables.delete("altnet")


async def test_bgp_and_bfd_are_for_links_alone_where_bird_runs_and_the_operators_elsewhere() -> None:
    rig, paper = Rig(), Paper()
    paper.put(entry("me", 1))
    rig.shelf.put_mesh(paper)
    rig.shelf.put_document(document("me"))
    await rig.start()
    await rig.fetch()
    context = rig.agent.wanted.context
    assert context is not None
    without = render(context, probe_port=51898, attach_port=51897, outside=(), own=(), pairs=()).text
    with_bird = render(
        replace(context, bird=True), probe_port=51898, attach_port=51897, outside=(), own=(), pairs=()
    ).text
    assert "179" not in without
    assert 'tcp dport 179 iifname != { "lo" } iifname != "altl*" counter drop' in with_bird
    assert 'udp dport { 3784, 3785, 4784 } iifname != "altl*" counter drop' in with_bird


def test_what_a_relay_may_learn_outside_is_let_in_from_links_too() -> None:
    rule = PrefixRule(prefix="10.0.0.0/8", shortest=16, longest=24)
    bad = PrefixRule(prefix="10.0.0.0/8", shortest=4, longest=2)
    found = outside_origins(PLAN, entry("a", 2, origins=("fd77::/48",), learned=(rule, bad)))
    assert [str(prefix) for prefix in found] == ["fd77::/48", "10.0.0.0/8"]


@pytest.mark.netns
async def test_nft_takes_the_rules_for_bird(inside_netns: Namespace) -> None:
    rig, paper = Rig(), Paper()
    paper.put(entry("me", 1))
    rig.shelf.put_mesh(paper)
    rig.shelf.put_document(document("me"))
    await rig.start()
    await rig.fetch()
    context = rig.agent.wanted.context
    assert context is not None
    text = render(replace(context, bird=True), probe_port=51898, attach_port=51897, outside=SITES, own=(), pairs=())
    await NftTables(timeout=10).replace("altnet", text)
    assert "179" in inside_netns.run("nft", "-n", "list", "chain", "inet", "altnet", "local")
