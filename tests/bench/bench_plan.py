"""The planner alone: 1,000 relays with 100,000 clients, from nothing and after one change. No I/O."""

from __future__ import annotations

import base64
import statistics
import time
from collections.abc import Callable
from ipaddress import IPv6Network
from typing import Final

from altnet.common.net import AddressPlan
from altnet.registry.domain.choosing import choose_links
from altnet.registry.domain.latency import Latencies
from altnet.registry.domain.linkindex import Link, link_id
from altnet.registry.domain.links import Member
from altnet.registry.domain.planner import Plan, plan, replan
from altnet.registry.domain.world import Client, Network, Relay, World

from bench.report import Measure

PREFIX: Final = IPv6Network("fd42:1337:beef::/48")
ADDRESSES: Final = AddressPlan(PREFIX)
CLIENTS_EACH: Final = 100
CHANGES: Final = 200


def make_world(relays: int) -> World:
    """A network of that many relays with chosen links, each with a hundred clients of its own /64."""
    world = World()
    world.put(Network(id="net_bench", prefix=PREFIX))
    for slot in range(1, relays + 1):
        world.put(
            Relay(
                id=f"rly_{slot:04d}",
                network="net_bench",
                name=f"relay-{slot}",
                slot=slot,
                key=_key(slot),
                endpoints=(f"198.18.{slot // 250}.{slot % 250 + 1}:51820",),
            )
        )
        home = int(ADDRESSES.client_prefix(slot).network_address)
        for number in range(1, CLIENTS_EACH + 1):
            world.put(
                Client(
                    id=f"cli_{slot:04d}_{number:03d}",
                    network="net_bench",
                    relay=f"rly_{slot:04d}",
                    key=_key(slot * 1000 + number + 10**7),
                    address=type(PREFIX.network_address)(home + number),
                )
            )
    members = [Member(id=relay) for relay in sorted(world.relays)]
    for pair, kind in choose_links(members, Latencies({}, {}), {}).links.items():
        world.put(Link(id=link_id(pair), network="net_bench", pair=pair, kind=kind))
    return world


async def run(say: Callable[[str], None], *, scale: int = 1000) -> dict[str, Measure]:
    say(f"   making a world of {scale} relays and {scale * CLIENTS_EACH:,} clients")
    world = make_world(scale)
    full, current = _full(world)
    say(f"   the whole plan: {full:.2f} s")
    client = _timed_changes(world, current, _change_client)
    say(f"   after one client's change: {client * 1000:.2f} ms")
    relay = _timed_changes(world, current, _change_relay)
    say(f"   after one relay's change: {relay * 1000:.2f} ms")
    _, fresh = _full(world)
    assert {k: v.digest for k, v in fresh.meshes.items()} == {k: v.digest for k, v in current.meshes.items()}
    assert {k: v.digest for k, v in fresh.documents.items()} == {k: v.digest for k, v in current.documents.items()}
    against = "the whole plan anew"
    note = "equal digests at the end"
    return {
        f"plan_{scale}_relays": Measure(
            value=full, unit="s", note=f"from nothing, with {scale * CLIENTS_EACH:,} clients"
        ),
        f"plan_one_client_{scale}_relays": Measure(
            value=client, unit="s", ratio=client / full, against=against, note=note
        ),
        f"plan_one_relay_{scale}_relays": Measure(
            value=relay, unit="s", ratio=relay / full, against=against, note=note
        ),
    }


def _full(world: World) -> tuple[float, Plan]:
    begin = time.perf_counter()
    made = plan(world)
    return time.perf_counter() - begin, made


def _timed_changes(world: World, current: Plan, change: Callable[[World, int], Client | Relay]) -> float:
    """The median cost of taking in one change."""
    costs = []
    for number in range(CHANGES):
        item = change(world, number)
        begin = time.perf_counter()
        difference = replan(world, current, world.put(item))
        costs.append(time.perf_counter() - begin)
        assert difference
    return statistics.median(costs)


def _change_client(world: World, number: int) -> Client:
    slot = number * 7 % len(world.relays) + 1
    old = world.clients[f"cli_{slot:04d}_{number % CLIENTS_EACH + 1:03d}"]
    return Client(id=old.id, network=old.network, relay=old.relay, key=_key(2 * 10**7 + number), address=old.address)


def _change_relay(world: World, number: int) -> Relay:
    slot = number * 7 % len(world.relays) + 1
    old = world.relays[f"rly_{slot:04d}"]
    return Relay(
        id=old.id,
        network=old.network,
        name=old.name,
        slot=old.slot,
        key=old.key,
        endpoints=(f"203.0.113.{number % 250 + 1}:{1000 + number}",),
    )


def _key(number: int) -> str:
    return base64.b64encode(number.to_bytes(32, "big")).decode()
