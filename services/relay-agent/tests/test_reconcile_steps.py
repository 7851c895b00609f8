"""The reconciler's manners: order, retries, status, repair, pruning, digests."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from ipaddress import IPv6Interface
from typing import Any

import pytest
from altnet.common.contracts.agent import Applied
from altnet.common.errors import Unavailable
from altnet.common.kernel.links import HostRefused, Route
from altnet.common.kernel.wireguard import Endpoint, PeerChange, WireGuardRefused
from altnet.relay_agent.planes.wireguard import apply_each
from support.relays import PLAN, Paper, Rig, client, document, entry, key_of, relay_id


async def meshed(*names: str, **fields: Any) -> tuple[Rig, Paper]:
    """A rig whose agent has the given neighbours, at slots 2, 3, …"""
    rig, paper = Rig(**fields), Paper()
    paper.put(entry("me", 1), *(entry(name, slot) for slot, name in enumerate(names, 2)))
    rig.shelf.put_mesh(paper)
    rig.shelf.put_document(document("me"))
    await rig.start()
    await rig.fetch()
    assert rig.agent.reconciler.settled
    return rig, paper


def applied(rig: Rig) -> Applied:
    return rig.agent.reconciler.applied()


async def test_one_changed_relay_touches_only_its_own_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    rig, paper = await meshed("a", "b", "c")
    seen: list[str] = []
    original = rig.memory.links.put_routes

    async def watch(routes: Sequence[Route]) -> object:
        seen.extend(str(route.prefix) for route in routes)
        return await original(routes)

    monkeypatch.setattr(rig.memory.links, "put_routes", watch)
    await rig.tell(paper.put(entry("b", 3, origins=("fd77::/48",))))

    assert seen == ["fd77::/48"]
    assert rig.as_planned(paper)


async def test_a_failure_is_named_retried_and_only_then_counted() -> None:
    rig, paper = await meshed("a")
    rig.memory.fail_next("put_link", HostRefused("link altl3", "no memory"), times=2)
    await rig.tell(paper.put(entry("b", 3)))

    said = applied(rig)
    assert said.mesh_generation == paper.generation
    assert not rig.as_planned(paper)
    assert any("no memory" in failure.reason and failure.plane == "links" for failure in said.failed)
    assert rig.agent.health() != "ok"
    assert rig.peers == {"a", "b"}, "one failing link holds up nothing else"

    await rig.advance(3.0)
    assert rig.as_planned(paper)
    assert applied(rig).failed == ()
    assert rig.agent.health() == "ok"


async def test_waits_grow_to_their_bound() -> None:
    rig, paper = await meshed("a")
    rig.memory.fail_next("put_link", HostRefused("link altl3", "never"), times=100)
    await rig.tell(paper.put(entry("b", 3)))
    await rig.advance(120.0)
    (task,) = [task for (plane, _), task in rig.agent.reconciler.tasks.items() if plane == "links"]
    timers = rig.settings.timers
    assert timers.retry_most / 2 <= task.due - rig.clock.monotonic() + timers.retry_most / 2 <= timers.retry_most * 1.7
    assert 6 <= task.tries <= 14


async def test_what_somebody_deleted_comes_back_at_the_next_comparison_and_is_told() -> None:
    rig, paper = await meshed("a", "b")
    await rig.memory.wireguard.apply("altm0", [PeerChange.remove(key_of("a").public())])
    rig.memory.remove_interface("altl3")
    rig.tables.tables["altnet"] = "something else"

    await rig.advance(rig.settings.timers.resync * 1.3)

    assert rig.peers == {"a", "b"}
    assert "altl3" in rig.memory.link_states
    assert "something else" not in rig.tables.tables["altnet"]
    assert rig.agent.reconciler.repaired >= 3
    assert rig.as_planned(paper)


async def test_a_mesh_device_that_somebody_deleted_comes_back_with_all_its_peers() -> None:
    rig, paper = await meshed("a", "b")
    rig.memory.remove_interface("altm0")
    await rig.advance(rig.settings.timers.resync * 1.3)
    assert rig.peers == {"a", "b"}
    assert rig.as_planned(paper)


async def test_a_device_that_died_is_made_anew_with_the_next_heartbeat_and_not_only_at_a_resync() -> None:
    rig, paper = await meshed("a", "b")
    rig.memory.remove_interface("altm0")
    await rig.agent.reporter.heartbeat()
    await rig.advance(0.1)
    assert rig.peers == {"a", "b"}
    assert rig.as_planned(paper)


async def test_a_strange_peer_and_a_stale_link_are_pruned() -> None:
    rig, paper = await meshed("a")
    await rig.tell(paper.put(entry("b", 3)))
    stale = Rig()
    stale.memory, stale.shelf, stale.tables = rig.memory, rig.shelf, rig.tables
    await stale.crash()
    paper.put(remove=("b",))
    rig.shelf.put_mesh(paper)

    await stale.start()
    assert stale.agent.health().startswith("waiting")
    assert rig.peers == {"a", "b"}, "nothing is taken away before both documents are known"

    await stale.fetch()
    assert stale.peers == {"a"}
    assert "altl3" not in rig.memory.link_states


async def test_an_agent_that_knows_one_document_alone_touches_nothing() -> None:
    rig, paper = Rig(), Paper()
    paper.put(entry("me", 1), entry("a", 2))
    rig.shelf.put_mesh(paper)
    await rig.start()
    await rig.fetch()
    await rig.advance(300)
    assert rig.memory.devices == {}
    assert rig.tables.tables == {}


async def test_a_restart_changes_nothing_on_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    rig, paper = await meshed("a", "b")
    await rig.crash()

    def refuse(*_: object, **__: object) -> object:
        raise AssertionError("the host was touched")

    for verb in ("put_link", "put_address", "put_routes", "delete_routes", "put_neighbour", "delete_link"):
        monkeypatch.setattr(rig.memory.links, verb, refuse)
    for verb in ("create", "configure", "apply", "remove"):
        monkeypatch.setattr(rig.memory.wireguard, verb, refuse)
    await rig.start()
    assert rig.as_planned(paper)


async def test_an_endpoint_that_roamed_is_not_overwritten_by_a_restart_or_another_change() -> None:
    rig, paper = await meshed("a")
    device = rig.memory.devices["altm0"]
    key = key_of("a").public()
    roamed = Endpoint.parse("198.51.100.7:4000")
    rig.memory.handshake("altm0", key, at=rig.clock.now().timestamp(), endpoint=roamed)
    await rig.crash()
    await rig.start()
    await rig.tell(paper.put(entry("a", 2, region="elsewhere", endpoints=("192.0.2.99:51820",))))
    assert device.peers[key].endpoint == roamed


async def test_a_revoked_relay_takes_everything_down_and_stays_down_after_a_restart() -> None:
    rig, paper = await meshed("a")
    await rig.give(document("me", 2, revoked=True))
    await rig.crash()
    await rig.start()
    await rig.fetch()

    assert rig.memory.devices == {}
    assert set(rig.memory.link_states) == {"lo"}
    assert rig.memory.routes == {}
    assert rig.tables.tables == {}
    assert rig.memory.addresses["lo"] == set()
    assert rig.memory.sysctls["net/ipv6/conf/all/forwarding"] == "0"
    assert rig.agent.health() == "revoked by the registry"

    await rig.give(document("me", 3))
    assert rig.as_planned(paper)


async def test_the_registrys_word_that_we_are_out_is_kept_on_disk() -> None:
    rig, paper = await meshed("a")
    await rig.agent.feed.revoke()
    await rig.settle()
    assert rig.memory.devices == {}
    await rig.crash()
    await rig.start()
    assert rig.memory.devices == {}
    await rig.give(document("me", 2))
    assert rig.as_planned(paper)


async def test_a_peer_that_the_host_refuses_is_named_and_the_others_are_applied() -> None:
    rig, _ = await meshed()
    wanted = [PeerChange.update(key_of(name).public()) for name in "abcd"]
    real = rig.memory.wireguard.apply
    calls = 0

    async def apply(name: str, changes: Sequence[PeerChange]) -> None:
        nonlocal calls
        calls += 1
        if any(change.key == key_of("c").public() for change in changes):
            raise WireGuardRefused(name, "bad peer")  # without saying which
        await real(name, changes)

    rig.memory.wireguard.apply = apply  # type: ignore[method-assign]  # a host that refuses one peer
    refused = await apply_each(rig.memory.wireguard, "altm0", wanted)
    assert set(refused) == {key_of("c").public()}
    assert calls <= 2 * len(wanted)


async def test_without_nft_the_plane_says_so_and_the_data_plane_runs() -> None:
    rig, paper = Rig(), Paper()
    rig.tables.missing = True
    paper.put(entry("me", 1), entry("a", 2))
    rig.shelf.put_mesh(paper)
    rig.shelf.put_document(document("me"))
    await rig.start()
    await rig.fetch()
    assert rig.peers == {"a"}
    (failure,) = applied(rig).failed
    assert failure.plane == "firewall"
    assert "no nft program" in failure.reason
    rig.tables.missing = False
    await rig.advance(5)
    assert rig.as_planned(paper)


async def test_a_host_that_never_answers_is_an_error_with_a_deadline() -> None:
    rig, paper = await meshed("a")
    rig.memory.fail_next("apply", Unavailable("wireguard_unavailable", "WireGuard does not answer."))
    await rig.tell(paper.put(entry("b", 3)))
    assert any("does not answer" in failure.reason for failure in applied(rig).failed)
    await rig.advance(2)
    assert rig.as_planned(paper)


async def test_an_address_on_lo_that_was_there_before_us_is_used_and_left() -> None:
    rig, paper = Rig(), Paper()
    theirs = IPv6Interface((int(PLAN.relay_address(1)), 128))
    rig.memory.addresses["lo"].add(theirs)
    paper.put(entry("me", 1))
    rig.shelf.put_mesh(paper)
    rig.shelf.put_document(document("me"))
    await rig.start()
    await rig.fetch()
    assert rig.as_planned(paper)
    await rig.advance(200)
    assert rig.agent.reconciler.repaired == 0
    await rig.give(document("me", 2, revoked=True))
    assert rig.memory.addresses["lo"] == {theirs}


async def test_a_host_that_listens_to_router_advertisements_goes_on_listening() -> None:
    rig, paper = Rig(), Paper()
    rig.memory.add_interface("eth0", "veth", up=True)
    rig.memory.sysctls["net/ipv6/conf/eth0/accept_ra"] = "1"
    paper.put(entry("me", 1))
    rig.shelf.put_mesh(paper)
    rig.shelf.put_document(document("me"))
    await rig.start()
    await rig.fetch()
    assert rig.memory.sysctls["net/ipv6/conf/eth0/accept_ra"] == "2"
    assert rig.memory.sysctls["net/ipv6/conf/all/forwarding"] == "1"
    await rig.give(document("me", 2, revoked=True))
    assert rig.memory.sysctls["net/ipv6/conf/eth0/accept_ra"] == "1"
    assert rig.memory.sysctls["net/ipv6/conf/all/forwarding"] == "0"


async def test_clients_come_and_go_with_their_exact_addresses() -> None:
    rig, paper = await meshed("a")
    one = client("x", "fd42:1337:beef:1001::5/128")
    await rig.give(document("me", 2, clients=(one, client("y", "fd42:1337:beef:1009::6/128"))))
    peers = rig.memory.devices["alta0"].peers
    assert [str(prefix) for prefix in peers[key_of("x", "client").public()].allowed] == ["fd42:1337:beef:1001::5/128"]
    assert rig.as_planned(paper)
    await rig.give(document("me", 3, clients=(one,)))
    assert set(peers) == {key_of("x", "client").public()}
    assert not any("1009" in str(route.prefix) for route in rig.memory.routes.values())


async def test_one_bad_entry_fails_alone_and_says_which() -> None:
    rig, paper = await meshed("a")
    await rig.tell(paper.put(entry("b", 3, key="AAAA"), entry("c", 4)))
    assert rig.peers == {"a", "c"}
    (failure,) = applied(rig).failed
    assert failure.object == relay_id("b")
    assert "key" in failure.reason
    assert not rig.as_planned(paper)
    await rig.tell(paper.put(entry("b", 3)))
    assert rig.as_planned(paper)


async def test_a_bad_prefix_of_a_relay_costs_neither_its_link_nor_its_other_prefixes_and_is_told_until_it_is_gone() -> (
    None
):
    rig, paper = await meshed("a", "b")
    bad = ("::/0", "192.0.2.0/24", "fd77::/48")  # the second one covers its endpoint
    await rig.tell(paper.put(entry("b", 3, origins=bad)))

    assert rig.peers == {"a", "b"}
    assert "altl3" in rig.memory.link_states
    assert [str(route.prefix) for route in sites_over(rig, "altl3")] == ["fd77::/48"]
    said = applied(rig)
    assert [failure.object for failure in said.failed] == [relay_id("b")] * 2
    assert "too short" in said.failed[0].reason
    assert "covers the relay's own endpoint 192.0.2.4:51820" in said.failed[1].reason
    assert not rig.as_planned(paper), "what is not on the host is in no digest"
    assert "2 not applied" in rig.agent.health()

    await rig.advance(rig.settings.timers.resync * 1.3)
    assert rig.agent.reconciler.repaired == 0
    await rig.crash()
    await rig.start()
    assert [str(route.prefix) for route in sites_over(rig, "altl3")] == ["fd77::/48"]
    assert applied(rig).failed == said.failed

    await rig.tell(paper.put(entry("b", 3, origins=bad[2:])))
    assert applied(rig).failed == ()
    assert rig.as_planned(paper)
    assert rig.agent.health() == "ok"


async def test_an_endpoint_that_moves_into_the_relays_own_site_costs_the_site_and_not_the_relay() -> None:
    rig, paper = await meshed("a")
    await rig.tell(paper.put(entry("b", 3, origins=("198.51.100.0/24", "fd77::/48"))))
    assert rig.as_planned(paper)

    await rig.tell(paper.put(entry("b", 3, origins=("198.51.100.0/24", "fd77::/48"), endpoints=("198.51.100.7:1",))))
    assert rig.peers == {"a", "b"}
    assert [str(route.prefix) for route in sites_over(rig, "altl3")] == ["fd77::/48"]
    (failure,) = applied(rig).failed
    assert "198.51.100.7:1" in failure.reason

    await rig.tell(paper.put(entry("b", 3, origins=("198.51.100.0/24", "fd77::/48"), endpoints=("203.0.113.7:1",))))
    assert len(sites_over(rig, "altl3")) == 2
    assert rig.as_planned(paper)


def sites_over(rig: Rig, link: str) -> list[Route]:
    """The routes to sites outside the network over a link."""
    routes = [route for route in rig.memory.routes.values() if route.device == link]
    return [route for route in routes if route.prefix.version == 4 or not route.prefix.overlaps(PLAN.prefix)]


async def test_wait_until_returns_when_the_generation_is_on_the_host() -> None:
    rig, paper = await meshed("a")
    delta = paper.put(entry("b", 3))
    waiting = asyncio.create_task(rig.agent.reconciler.wait_until(paper.generation))
    await asyncio.sleep(0)
    assert not waiting.done()
    await rig.tell(delta)
    await asyncio.wait_for(waiting, 1)
