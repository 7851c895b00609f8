"""200 clients on a handful of relays: how evenly they spread, and how few move when a relay comes or dies."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field, replace

import pytest
from altnet.registry.domain.balancing import Guest, Move, moves
from altnet.registry.domain.liveness import Health
from altnet.registry.domain.selection import BOUND, Candidate, capacity, choose, refusal
from hypothesis import given, settings
from hypothesis import strategies as st

CLIENTS = 200
CITIES = {"eu": 0.0, "us": 80.0, "asia": 170.0}


def relay(name: str, **more: object) -> Candidate:
    region = name.split("-")[0]
    return Candidate(
        **{  # type: ignore[arg-type]
            "relay": name,
            "name": name,
            "region": region,
            "health": Health.UP,
            "draining": False,
            "reachable": True,
            "clients": 0,
            **more,
        }
    )


@dataclass
class Crowd:
    """Clients and where they are; half are in Europe, and latencies are what distance and chance make of them."""

    relays: dict[str, Candidate]
    city: dict[str, str]
    at: dict[str, str | None] = field(default_factory=dict)
    seed: int = 1

    def latency(self, client: str, relay: str) -> float:
        chance = random.Random(f"{self.seed} {client} {relay}")
        return 5 + abs(CITIES[self.city[client]] - CITIES[self.relays[relay].region]) + chance.expovariate(1 / 8)

    def latencies(self, client: str) -> dict[str, float]:
        return {relay: self.latency(client, relay) for relay in self.relays}

    def candidates(self, *, without: str | None = None) -> list[Candidate]:
        counts = Counter(relay for client, relay in self.at.items() if client != without)
        return [replace(one, clients=counts[name]) for name, one in self.relays.items()]

    def place_everybody(self) -> None:
        for client in self.city:
            self.at[client] = choose(self.candidates(without=client), latencies=self.latencies(client)).relay

    def rebalance(self, *, limit: int = 20) -> list[Move]:
        """Steps of the leader until nothing moves any more."""
        done: list[Move] = []
        while True:
            guests = [Guest(client=one, relay=at, latencies=self.latencies(one)) for one, at in self.at.items()]
            found = moves(self.candidates(), guests, limit=limit)
            assert len(found) <= limit
            if not found:
                return done
            for move in found:
                assert self.at[move.client] == move.before
                self.at[move.client] = move.after
            done += found
            assert len(done) <= 3 * CLIENTS, "clients move without end"

    def spread(self) -> float:
        """The largest load in shares of what is fair by weight."""
        usable = [one for one in self.candidates() if refusal(one) is None]
        weights, clients = sum(one.weight for one in usable), sum(one.clients for one in usable)
        return max(one.clients / (clients * one.weight / weights) for one in usable)

    def within_bound(self) -> bool:
        usable = [one for one in self.candidates() if refusal(one) is None]
        weights, clients = sum(one.weight for one in usable), sum(one.clients for one in usable)
        return all(one.clients <= capacity(one.weight, clients=clients, weights=weights) for one in usable)


def crowd(*names: str, seed: int = 1, **weights: float) -> Crowd:
    chance = random.Random(seed)
    city = {f"c{number:03d}": chance.choice(["eu", "eu", "us", "asia"]) for number in range(CLIENTS)}
    relays = {name: relay(name, weight=weights.get(name.replace("-", "_"), 1.0)) for name in names}
    made = Crowd(relays, city, seed=seed)
    made.place_everybody()
    return made


RELAYS = ("eu-1", "eu-2", "eu-3", "us-1", "us-2", "asia-1")


def test_200_clients_spread_within_the_bound_and_mostly_near() -> None:
    everybody = crowd(*RELAYS)
    everybody.rebalance()
    assert everybody.within_bound()
    assert everybody.spread() <= BOUND + 0.03  # a share of 33 clients is rounded up
    near = sum(everybody.relays[at or ""].region == everybody.city[client] for client, at in everybody.at.items())
    assert near >= 0.85 * CLIENTS


def test_weights_decide_the_shares() -> None:
    everybody = crowd("eu-1", "eu-2", "us-1", "asia-1", eu_1=3.0)
    everybody.rebalance()
    assert everybody.within_bound()
    assert Counter(everybody.at.values())["eu-1"] > 1.5 * Counter(everybody.at.values())["eu-2"]


def test_a_relay_that_joins_takes_only_what_is_over_the_bound_or_gains_by_it() -> None:
    everybody = crowd(*RELAYS)
    everybody.rebalance()
    before = dict(everybody.at)
    everybody.relays["eu-4"] = relay("eu-4")
    done = everybody.rebalance()
    assert everybody.within_bound()
    moved = {client for client in before if before[client] != everybody.at[client]}
    assert len(done) == len(moved), "nobody moves twice"
    assert len(moved) <= 0.2 * CLIENTS
    assert {move.reason for move in done} <= {
        "its relay has more clients than its share",
        "another relay is clearly faster",
    }


def test_when_a_relay_dies_its_own_clients_move_and_hardly_any_other() -> None:
    everybody = crowd(*RELAYS)
    everybody.rebalance()
    before = dict(everybody.at)
    everybody.relays["eu-2"] = relay("eu-2", health=Health.DOWN)
    done = everybody.rebalance()
    assert everybody.within_bound()
    orphans = {client for client, at in before.items() if at == "eu-2"}
    moved = {move.client for move in done}
    assert orphans <= moved
    assert len(moved - orphans) <= 0.05 * CLIENTS
    assert all(move.reason == "its relay is not usable: down" for move in done if move.client in orphans)


def test_a_missed_heartbeat_moves_nobody() -> None:
    everybody = crowd(*RELAYS)
    everybody.rebalance()
    everybody.relays["eu-2"] = relay("eu-2", health=Health.LATE)
    assert everybody.rebalance() == []


def test_a_draining_relay_is_emptied_at_the_given_rate_and_filled_again_when_it_is_back() -> None:
    everybody = crowd("eu-1", "eu-2", "eu-3")
    everybody.rebalance()
    everybody.relays["eu-1"] = relay("eu-1", draining=True)
    guests = [Guest(client=one, relay=at, latencies=everybody.latencies(one)) for one, at in everybody.at.items()]
    assert len(moves(everybody.candidates(), guests, limit=7)) == 7
    everybody.rebalance()
    assert Counter(everybody.at.values())["eu-1"] == 0
    everybody.relays["eu-1"] = relay("eu-1")
    everybody.rebalance()
    assert Counter(everybody.at.values())["eu-1"] > 0
    assert everybody.within_bound()


def test_with_no_usable_relay_nobody_moves() -> None:
    guests = [Guest(client="a", relay="eu-1")]
    assert moves([relay("eu-1", health=Health.DOWN), relay("eu-2", draining=True)], guests, limit=9) == []


@given(st.integers(0, 2**32), st.integers(1, 8), st.data())
@settings(deadline=None, max_examples=60)
def test_moving_ends_within_the_bound_whatever_the_beginning(seed: int, count: int, data: st.DataObject) -> None:
    chance = random.Random(seed)
    names = [f"{chance.choice(list(CITIES))}-{number}" for number in range(count)]
    relays = {name: relay(name, weight=chance.choice([0.5, 1.0, 1.0, 4.0])) for name in names}
    city = {f"c{number:03d}": chance.choice(list(CITIES)) for number in range(40)}
    at = {client: data.draw(st.sampled_from([*names, None])) for client in city}
    everybody = Crowd(relays, city, at, seed=seed)
    everybody.rebalance(limit=10)
    assert everybody.within_bound()
    assert everybody.rebalance() == []


def test_the_standby_is_of_another_failure_domain() -> None:
    ranking = choose(
        [
            relay("eu-1", labels={"rack": "r1"}),
            relay("eu-2", labels={"rack": "r1"}),
            relay("eu-3", labels={"rack": "r2"}),
            relay("us-1"),
            relay("us-2", health=Health.DOWN),
        ],
        latencies={"eu-1": 5, "eu-2": 6, "eu-3": 9, "us-1": 90, "us-2": 80},
    )
    assert (ranking.relay, ranking.standby) == ("eu-1", "us-1")
    one_region = choose(
        [relay("eu-1", labels={"rack": "r1"}), relay("eu-2", labels={"rack": "r1"}), relay("eu-3")],
        latencies={"eu-1": 5, "eu-2": 6, "eu-3": 9},
    )
    assert (one_region.relay, one_region.standby) == ("eu-1", "eu-3")


def test_a_standby_that_is_usable_is_kept_and_takes_over_when_the_first_dies() -> None:
    both = [relay("eu-1"), relay("eu-2"), relay("us-1")]
    kept = choose(both, latencies={"eu-1": 5, "eu-2": 6, "us-1": 90}, current="eu-1", standby="eu-2")
    assert (kept.relay, kept.standby) == ("eu-1", "eu-2")
    both[0] = relay("eu-1", health=Health.DOWN)
    after = choose(both, latencies={"eu-2": 50, "us-1": 9}, current="eu-1", standby="eu-2")
    assert (after.relay, after.standby) == ("eu-2", "us-1")


def test_alone_there_is_no_standby_and_without_relays_nothing() -> None:
    assert (choose([relay("eu-1")]).relay, choose([relay("eu-1")]).standby) == ("eu-1", None)
    assert choose([]).relay is None
    assert choose([relay("eu-1", draining=True)], current="eu-1").relay is None


@pytest.mark.parametrize("standby", [None, "eu-1", "eu-9"])
def test_the_standby_is_never_the_first(standby: str | None) -> None:
    ranking = choose([relay("eu-1"), relay("eu-2")], latencies={"eu-1": 1, "eu-2": 9}, current="eu-1", standby=standby)
    assert (ranking.relay, ranking.standby) == ("eu-1", "eu-2")
