"""Any interleaving of orders, documents, handshakes, reports and crashes keeps every pair of relays connected, and ends
with both ends on the same keys.

keyd's, the registry's and the agents' own code decides; of the world there is only what WireGuard does with sessions.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import permutations

import msgspec
import pytest
from altnet.common.contracts.desired import RelayEntry
from altnet.common.contracts.keyd import OnSilence, RotationPhase
from altnet.common.keys import PrivateKey
from altnet.keyd.domain import rotations as rules
from altnet.registry.domain.mesh_keys import MeshKeys, ordered
from altnet.relay_agent.epochs import KeySet, Roles, pair, roles
from altnet.relay_agent.rotation import Seen, followed, split
from altnet.relay_agent.state import Identity
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.relays import entry, identity_of, relay_id

NAMES = ("a", "b", "c")
START = datetime(2026, 1, 1, tzinfo=UTC)
keys_of = lru_cache(maxsize=64)(KeySet.of)
"""An identity's keys change a few times in a story and are asked for at each step of it."""
PLAN = rules.Plan(canary=1, wave=1, drain=1, return_timeout=1e8, silent=OnSilence.ROLL_BACK)

Held = tuple[str, str]
"""A session as a host has it: its own key's and the neighbour's key's public halves."""


@dataclass
class Relay:
    """A host and its agent. `sessions`: False where its packets are read, True where the handshake is seen too."""

    name: str
    identity: Identity
    entries: dict[str, RelayEntry] = field(default_factory=dict)
    heard: int = 0
    applied: int = 0
    told: Roles | None = None
    sessions: dict[str, dict[Held, bool]] = field(default_factory=dict)
    routes: dict[str, Held] = field(default_factory=dict)
    switched: frozenset[str] = frozenset()

    @property
    def id(self) -> str:
        return relay_id(self.name)

    def neighbours(self) -> dict[str, RelayEntry]:
        return {id: one for id, one in self.entries.items() if id != self.id}

    def step(self) -> None:
        """What the agent does when it looks: keys, handshakes, then the host as wanted."""
        own = self.entries[self.id]
        after = followed(self.identity, own, PrivateKey.generate)
        if after != self.identity:
            self.identity, self.switched = after, frozenset()
        mine = roles(keys_of(self.identity), own)
        for id, other in self.neighbours().items():
            both = pair(mine, other)
            if both.open and both.following is not None:
                held = (both.following.own.base64, both.following.key)
                if self.sessions.get(id, {}).get(held):
                    self.switched |= {id}
        self.told, self.applied = mine, self.heard
        for id, other in self.neighbours().items():
            both = pair(mine, other)
            wanted = {(one.own.base64, one.key) for one in both.sessions()}
            had = self.sessions.get(id, {})
            self.sessions[id] = {held: had.get(held, False) for held in wanted}
            used = both.used(id in self.switched)
            self.routes[id] = (used.own.base64, used.key)

    def speaks(self, other: str, held: Held) -> bool:
        assert self.told is not None
        return any(
            one.speaks for one in pair(self.told, self.entries[other]).sessions() if (one.own.base64, one.key) == held
        )


class Rotating(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.mesh = {relay_id(name): entry(name, slot + 1) for slot, name in enumerate(NAMES)}
        self.change = 1
        self.keys_change = 0
        self.relays = {relay_id(name): Relay(name, identity_of(name)) for name in NAMES}
        self.dead: set[str] = set()
        self.epoch = 0
        self.rotation: rules.Rotation | None = None
        for relay in self.relays.values():
            self._hear(relay)
            relay.step()
        for one, other in permutations(self.relays.values(), 2):
            one.sessions[other.id] = dict.fromkeys(one.sessions[other.id], True)

    @initialize()
    def start(self) -> None:
        self.epoch += 1
        wave = rules.waves(sorted(self.relays), PLAN)
        self.rotation = rules.Rotation(
            network="n",
            epoch=self.epoch,
            plan=PLAN,
            deadline=self.now + timedelta(seconds=PLAN.prepare_timeout),
            parts={id: rules.Part(relay=id, wave=wave[id]) for id in self.relays},
        )

    @precondition(lambda self: self.rotation is not None and self.rotation.over)
    @rule()
    def start_another(self) -> None:
        self.start()

    @rule(dies=st.booleans())
    def drive(self, dies: bool) -> None:
        """keyd gives its orders; it may die before it notes that."""
        assert self.rotation is not None
        step = rules.advance(self.rotation, self.now)
        after = step.rotation
        changed = False
        for order in step.orders:
            was = self.mesh[order.relay]
            keys = ordered(MeshKeys(key=was.key, epoch=was.epoch, port=was.port, next=was.next), order)
            now = msgspec.structs.replace(was, key=keys.key, epoch=keys.epoch, port=keys.port, next=keys.next)
            changed = changed or now != was
            self.mesh[order.relay] = now
        if changed:
            self.change += 1
            self.keys_change = self.change
        if step.orders:
            after = replace(after, generation=max(after.generation, self.keys_change))
        if not dies:
            self.rotation = after

    @rule(id=st.sampled_from([relay_id(name) for name in NAMES]))
    def hear(self, id: str) -> None:
        """The mesh as it is now comes to a relay, whatever it has missed."""
        if id not in self.dead:
            self._hear(self.relays[id])

    @rule(id=st.sampled_from([relay_id(name) for name in NAMES]))
    def act(self, id: str) -> None:
        if id not in self.dead:
            self.relays[id].step()

    @rule(id=st.sampled_from([relay_id(name) for name in NAMES]))
    def die(self, id: str) -> None:
        """The agent is killed; its host goes on."""
        self.dead.add(id)

    @rule(id=st.sampled_from([relay_id(name) for name in NAMES]))
    def live_again(self, id: str) -> None:
        """It begins with the keys on its disk, and looks for handshakes before it changes anything."""
        if id in self.dead:
            self.dead.discard(id)
            self.relays[id].switched = frozenset()
            self.relays[id].step()

    @rule(ends=st.sampled_from(list(permutations([relay_id(name) for name in NAMES], 2))), arrives=st.booleans())
    def shake(self, ends: tuple[str, str], arrives: bool) -> None:
        """One end speaks first, and is answered; its first packet may be lost, so that the other sees nothing yet."""
        one, other = self.relays[ends[0]], self.relays[ends[1]]
        for held in list(one.sessions[other.id]):
            mirror = (held[1], held[0])
            if one.speaks(other.id, held) and mirror in other.sessions[one.id]:
                one.sessions[other.id][held] = True
                if arrives:
                    other.sessions[one.id][mirror] = True

    @rule(id=st.sampled_from([relay_id(name) for name in NAMES]))
    def report(self, id: str) -> None:
        """A report arrives. That it is lost is the rule that is not taken."""
        relay, rotation = self.relays[id], self.rotation
        if id in self.dead or rotation is None or rotation.over or relay.told is None or relay.told.next is None:
            return
        part = rotation.parts[id]
        if relay.told.next.epoch != rotation.epoch or not part.takes_part or part.generation > relay.applied:
            return
        seen = Seen(generation=relay.applied, keys=relay.told, switched=relay.switched, pending=frozenset())
        switched, waiting = split(seen, relay.neighbours())
        said = replace(
            part,
            key=relay.told.next.key.base64,
            port=51820 + relay.told.next.device,
            generation=relay.applied,
            switched=switched,
            waiting=waiting,
        )
        self.rotation = replace(rotation, parts={**rotation.parts, id: said})

    @rule(order=st.permutations([relay_id(name) for name in NAMES]), times=st.integers(1, 4))
    def go_on(self, order: list[str], times: int) -> None:
        """Nothing is lost for a while, but no hands are shaken: so that what is rare above is not all there is."""
        for _ in range(times):
            self.drive(dies=False)
            for id in order:
                self.hear(id)
                self.act(id)
                self.every_pair_is_connected()
                self.report(id)

    @rule(seconds=st.sampled_from([1.0, 2.0, 40.0]))
    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(chance=st.integers(0, 9))
    def roll_back(self, chance: int) -> None:
        assert self.rotation is not None
        if not chance and not self.rotation.over:
            self.rotation = replace(self.rotation, stop=True)

    @rule(chance=st.integers(0, 9))
    def pause(self, chance: int) -> None:
        assert self.rotation is not None
        if not self.rotation.over:
            self.rotation = replace(self.rotation, paused=not chance)

    @invariant()
    def every_pair_is_connected(self) -> None:
        for one, other in permutations(self.relays.values(), 2):
            own, key = one.routes[other.id]
            assert one.sessions[other.id].get((own, key)), f"{one.name} sends to {other.name} without a session"
            assert (key, own) in other.sessions[one.id], f"{other.name} does not read what {one.name} sends"

    @invariant()
    def no_private_key_is_older_than_the_present_one(self) -> None:
        for relay in self.relays.values():
            own = self.mesh[relay.id]
            if relay.applied == self.change and own.next is None:
                assert not relay.identity.next_mesh_key or roles(keys_of(relay.identity), own).known

    def teardown(self) -> None:
        """Left alone, it ends: with one key each, the same at both ends."""
        if self.rotation is None:
            return
        self.rotation = replace(self.rotation, paused=False)
        for _ in range(60):
            self.drive(dies=False)
            for id in sorted(self.relays):
                self.live_again(id)
                self._hear(self.relays[id])
                self.act(id)
            for ends in permutations(sorted(self.relays), 2):
                self.shake(ends, arrives=True)
            for id in sorted(self.relays):
                self.act(id)
                self.report(id)
            self.every_pair_is_connected()
            self.now += timedelta(seconds=2)
        assert self.rotation.over
        for relay in self.relays.values():
            assert self.mesh[relay.id].next is None
            assert relay.identity.mesh.public().base64 == self.mesh[relay.id].key
            assert not relay.identity.next_mesh_key
            assert all(len(held) == 1 for held in relay.sessions.values())
        if self.rotation.phase is RotationPhase.DONE:
            assert {one.epoch for one in self.mesh.values()} == {self.rotation.epoch}

    def _hear(self, relay: Relay) -> None:
        relay.entries, relay.heard = dict(self.mesh), self.change


Rotating.TestCase.settings = settings(
    max_examples=100, stateful_step_count=80, deadline=None, suppress_health_check=list(HealthCheck)
)
TestRotating = Rotating.TestCase
pytestmark = [pytest.mark.slow]
