"""Any interleaving of orders, documents, configurations, handshakes and crashes leaves a client with a session that
both ends have, while its relay's access key and its own key change, and ends with one pair of keys.

keyd's, the registry's and the agent's own code decides; of the client there are the rules of altnet.client.shift, of
the world what WireGuard does with sessions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from altnet.common.contracts.desired import AccessClient, AccessKeys, RelayDocument, access_device
from altnet.common.contracts.keyd import RotationPhase
from altnet.common.contracts.mesh_keys import KeyKind
from altnet.common.keys import PrivateKey
from altnet.keyd.domain import rotations as rules
from altnet.registry.domain.mesh_keys import MeshKeys, ordered
from altnet.registry.handlers.access_keys import Point, next_point, present_point
from altnet.relay_agent.access_epochs import key_devices, used_by, ways
from altnet.relay_agent.access_rotation import Access, followed, split
from altnet.relay_agent.epochs import KeySet, roles
from altnet.relay_agent.state import Identity
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.relays import identity_of

START = datetime(2026, 1, 1, tzinfo=UTC)
PLAN = rules.Plan(canary=1, wave=1, drain=1, wave_timeout=1e8, return_timeout=1e8, grace=1e9)
RELAY, CLIENT = "rly_a", "cli_x"
PORT = 51830
keys_of = lru_cache(maxsize=64)(KeySet.of_access)
"""An identity's keys change a few times in a story and are asked for at each step of it."""


class Session(NamedTuple):
    """As the client has it: its own key, the relay's key, and the number of the device that it sends to."""

    own: str
    key: str
    device: int


@dataclass
class Wanted:
    """What the registry tells the client."""

    present: Session
    target: Session
    key: str
    next_key: str
    wished: bool


class Changing(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.identity: Identity = identity_of("a")
        self.row: Any = SimpleNamespace(
            access_key=self.identity.access.public().base64,
            access_epoch=0,
            access_device=0,
            access_next=None,
            access_next_stage=None,
            access_next_key="",
            access_port=PORT,
            endpoints=["192.0.2.1:51820"],
        )
        first = PrivateKey.generate().public().base64
        self.client: Any = SimpleNamespace(door=0, key=first, next_key="", wished=False)
        self.change = 1
        self.rotation: rules.Rotation | None = None
        self.epoch = 0
        self.heard, self.carried = self._document(), -1
        self.agent_dead = False
        self.act()
        self.config = self._wanted()
        self.held = [first]
        self.used = self.config.present
        self.other: Session | None = None
        self.going = False
        self.answered = False

    def _document(self) -> RelayDocument:
        row, client = self.row, self.client
        access = AccessKeys(key=row.access_key, epoch=row.access_epoch, next=row.access_next)
        one = AccessClient(
            id=CLIENT,
            key=client.key,
            addresses=(),
            movable=True,
            door=client.door,
            next_key=client.next_key,
            wished=client.wished,
        )
        return RelayDocument(relay=RELAY, network="n", generation=self.change, access=access, clients=(one,))

    def _wanted(self) -> Wanted:
        here, there = present_point(self.row, self.client), next_point(self.row, self.client)
        target = _session(self.client.next_key or self.client.key, there)
        present = _session(self.client.key, here)
        return Wanted(present, target, self.client.key, self.client.next_key, self.client.wished)

    # keyd and the registry

    @initialize()
    def start(self) -> None:
        self.epoch += 1
        deadline = self.now + timedelta(seconds=PLAN.prepare_timeout)
        self.rotation = rules.Rotation(
            network="n",
            epoch=self.epoch,
            plan=PLAN,
            deadline=deadline,
            of=KeyKind.ACCESS,
            until=self.now + timedelta(seconds=PLAN.grace),
            parts={RELAY: rules.Part(relay=RELAY)},
        )

    @precondition(lambda self: self.rotation is not None and self.rotation.over)
    @rule()
    def start_another(self) -> None:
        self.start()

    @rule(dies=st.booleans())
    def drive(self, dies: bool) -> None:
        assert self.rotation is not None
        step, row = rules.advance(self.rotation, self.now), self.row
        after = step.rotation
        for order in step.orders:
            before = MeshKeys(key=row.access_key, epoch=row.access_epoch, port=PORT, next=row.access_next)
            keys = ordered(before, order)
            if keys != before:
                self.change += 1
                if keys.key != row.access_key:
                    row.access_device = 1 - row.access_device
                row.access_key, row.access_epoch, row.access_next = keys.key, keys.epoch, keys.next
                row.access_next_stage = keys.next.stage if keys.next else None
                row.access_next_key = keys.next.key if keys.next else ""
                self.ordered = self.change
            if order.stage:
                part = replace(after.parts[RELAY], ordered=self.ordered)
                after = replace(after, parts={RELAY: part})
        if not dies:
            self.rotation = after

    @rule(chance=st.integers(0, 9))
    def roll_back(self, chance: int) -> None:
        assert self.rotation is not None
        if not chance and not self.rotation.over:
            self.rotation = replace(self.rotation, stop=True)

    @rule()
    def wish(self) -> None:
        if not self.client.next_key:
            self.client.wished = True
            self.change += 1

    @rule(seconds=st.sampled_from([1.0, 2.0]))
    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    # the relay

    @rule()
    def hear(self) -> None:
        if not self.agent_dead:
            self.heard = self._document()

    @rule()
    def act(self) -> None:
        """The agent makes the host as its document says."""
        if self.agent_dead:
            return
        self.identity = followed(self.identity, self.heard.access, PrivateKey.generate)
        self.roles = roles(keys_of(self.identity), self.heard.access)
        self.applied = self.heard.generation
        one = self.heard.clients[0]
        self.ways = ways(self.roles, one)
        keys = {self.roles.device: self.roles.key.base64}
        if self.roles.next is not None:
            keys[self.roles.next.device] = self.roles.next.key.base64
        self.served = {Session(way.key, keys[way.device % 2], way.device) for way in self.ways}
        assert {way.device % 2 for way in self.ways} == set(key_devices(self.roles))

    @rule()
    def kill_agent(self) -> None:
        self.agent_dead = True

    @rule()
    def agent_again(self) -> None:
        """It begins with the keys and the document on its disk; who comes by which way it learns anew."""
        if self.agent_dead:
            self.agent_dead = False
            self.act()

    @rule()
    def report(self) -> None:
        rotation = self.rotation
        if self.agent_dead or rotation is None or rotation.over or self.roles.next is None:
            return
        if self.roles.next.epoch != rotation.epoch:
            return
        carried = {CLIENT: self.carried} if len(self.ways) > 1 and self.carried >= 0 else {}
        seen = Access(
            generation=self.applied,
            roles=self.roles,
            carried=carried,
            attached=frozenset({CLIENT}),
            port=PORT,
            pending=False,
        )
        switched, waiting, behind = split(seen, self.heard.clients)
        part = rotation.parts[RELAY]
        said = replace(
            part,
            key=self.roles.next.key.base64,
            port=PORT + access_device(self.roles.next.device, 0),
            generation=self.applied,
            switched=switched,
            waiting=waiting,
            behind=behind,
        )
        self.rotation = replace(rotation, parts={RELAY: said})

    # the client

    @rule()
    def fetch(self) -> None:
        """It asks for its configuration, and does what the answer says of its own key."""
        if self.client.wished and not self.client.next_key:
            made = PrivateKey.generate().public().base64
            self.held.append(made)
            self.client.next_key, self.client.wished = made, False
            self.change += 1
        elif self.client.next_key and self.used.own == self.client.next_key and self.other is None:
            self.client.key, self.client.next_key, self.client.door = self.client.next_key, "", 1 - self.client.door
            self.change += 1
        self.config = self._wanted()
        if self.going:
            self.other, self.going = None, False  # it is begun again

    @rule()
    def begin(self) -> None:
        if self.other is None and self.config.target != self.used and self.config.target.own in self.held:
            self.other, self.going = self.config.target, True

    @rule()
    def switch(self) -> None:
        """The handshake is seen on the other lane, so the relay has that session too."""
        if self.going and self.other in self.served:
            self.used, self.other = self.other, self.used
            self.going = self.answered = False

    @rule()
    def hello(self) -> None:
        """A word, and the answer by the way that it came."""
        if not self.agent_dead and self.used in self.served:
            self.carried = self.used.device
            if self.other is not None and not self.going:
                self.answered = True

    @rule()
    def settle(self) -> None:
        if self.other is not None and not self.going and self.answered:
            self.other, self.answered = None, False

    @rule()
    def kill_client(self) -> None:
        """Its lanes stay; the one that is not in use goes when the relay has answered by the other one."""
        self.going = self.answered = False

    @rule(times=st.integers(1, 4), follows=st.booleans())
    def go_on(self, times: int, follows: bool) -> None:
        """Nothing is lost for a while; but the client may be slow."""
        moves = (self.fetch, self.begin, self.switch) if follows else ()
        for _ in range(times):
            self.drive(dies=False)
            for each in (self.hear, self.act, *moves, self.hello, self.settle, self.report):
                each()
                self.both_ends_have_the_session()
            self.wait(2.0)

    @invariant()
    def both_ends_have_the_session(self) -> None:
        assert self.used in self.served, "the relay does not read what the client sends"
        device = used_by(self.ways, self.carried).device
        read = {session.device for session in (self.used, self.other) if session is not None}
        assert device in read, "the client does not read what its relay sends"

    def teardown(self) -> None:
        """Left alone, it ends: with one pair of keys, and nothing beside it."""
        if self.rotation is None:
            return
        for _ in range(40):
            self.agent_again()
            self.go_on(times=1, follows=True)
        assert self.rotation.over, self.rotation
        assert self.other is None
        assert self.ways == ((self.used.device, self.used.own),)
        assert self.used == self.config.present == self.config.target
        assert self.identity.access.public().base64 == self.row.access_key
        assert not self.identity.next_access_key
        if self.rotation.phase is RotationPhase.DONE:
            assert self.row.access_epoch == self.rotation.epoch


def _session(own: str, point: Point) -> Session:
    return Session(own, point.key, int(point.endpoints[0].rpartition(":")[2]) - PORT)


Changing.TestCase.settings = settings(
    max_examples=150, stateful_step_count=80, deadline=None, suppress_health_check=list(HealthCheck)
)
TestChanging = Changing.TestCase
pytestmark = [pytest.mark.slow]
