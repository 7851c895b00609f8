"""Whatever happens to messages, to the host and to the agent: once it is quiet, the host is as planned."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import TypeVar

import hypothesis.strategies as st
import msgspec
from altnet.common.contracts.attach import Hello
from altnet.common.contracts.desired import MeshSettings
from altnet.common.errors import Unavailable
from altnet.common.kernel.links import HostRefused
from altnet.common.kernel.wireguard import PeerChange
from altnet.common.net import LAST_SLOT
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from support.relays import Paper, Rig, client, document, entry, key_of, relay_id

T = TypeVar("T")
NAMES = "abcde"
VERBS = (
    "apply",
    "create",
    "configure",
    "read",
    "list",
    "remove",
    "put_link",
    "delete_link",
    "set_link",
    "put_routes",
    "delete_routes",
    "put_address",
    "put_neighbour",
    "read_links",
    "read_routes",
    "set_sysctl",
)
BAD_SITE = "::/0"
names = st.sampled_from(NAMES)


class AnyStory(RuleBasedStateMachine):
    """The registry changes its mind, messages go astray, the kernel refuses, somebody meddles, the agent dies."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.paper = Paper()
        self.rig = Rig()
        self.deltas: list[bytes] = []
        self.documents: list[bytes] = []
        self.document = document("me")

    def do(self, work: Awaitable[T]) -> T:
        return self.loop.run_until_complete(work)

    @initialize()
    def begin(self) -> None:
        self.rig.memory.add_interface("eth0", "veth", up=True)
        self.rig.memory.add_interface("altl9x", "dummy", up=True)
        self.paper.put(entry("me", 1), entry("a", 2))
        self.store()
        self.do(self.rig.start())

    def store(self) -> None:
        self.rig.shelf.put_mesh(self.paper)
        self.documents.append(self.rig.shelf.put_document(self.document))

    @rule(name=names, slot=st.integers(2, 7), sites=st.sets(st.sampled_from(["fd77::/48", "10.9.0.0/16", BAD_SITE])))
    def a_relay_comes_or_changes(self, name: str, slot: int, sites: set[str]) -> None:
        taken = {item.slot for item in self.paper.relays.values() if item.id != relay_id(name)}
        if slot not in taken:
            self.deltas.append(self.paper.put(entry(name, slot, origins=tuple(sorted(sites)))))
            self.store()

    @rule(name=names)
    def a_relay_goes(self, name: str) -> None:
        self.deltas.append(self.paper.put(remove=(name,)))
        self.store()

    @rule(mtu=st.sampled_from([1420, 1320]))
    def the_mesh_gets_another_mtu(self, mtu: int) -> None:
        self.deltas.append(self.paper.put(settings=MeshSettings(mtu=mtu)))
        self.store()

    @rule(slot=st.sampled_from([1, 8]))
    def our_own_slot_moves(self, slot: int) -> None:
        self.deltas.append(self.paper.put(entry("me", slot)))
        self.store()

    @rule(
        links=st.none() | st.sets(names),
        clients=st.sets(st.sampled_from("xyz")),
        port=st.sampled_from([51820, 51999]),
        revoked=st.sampled_from([False, False, False, True]),
    )
    def our_document_changes(self, links: set[str] | None, clients: set[str], port: int, revoked: bool) -> None:
        self.document = document(
            "me",
            self.document.generation + 1,
            links=None if links is None else tuple(sorted(map(relay_id, links))),
            clients=tuple(
                msgspec.structs.replace(
                    client(name, f"fd42:1337:beef:1001::{ord(name):x}/128", f"fd42:1337:beef:1009::{ord(name):x}/128"),
                    movable=name != "x",
                    standby=name == "z",
                )
                for name in sorted(clients)
            ),
            mesh_port=port,
            revoked=revoked,
        )
        self.store()

    @rule(name=st.sampled_from("xyz"), counter=st.integers(1, 9), attached=st.booleans())
    def a_client_says_where_it_is(self, name: str, counter: int, attached: bool) -> None:
        said = Hello(number=0, counter=counter, attached=attached)
        self.rig.agent.attachments.hear(f"cli_{name}", said, now=self.rig.clock.monotonic())
        self.do(self.rig.settle())

    @rule(data=st.data())
    def a_message_comes(self, data: st.DataObject) -> None:
        """Any one that was ever sent: late, twice, out of order."""
        if self.deltas:
            self.do(self.rig.tell(data.draw(st.sampled_from(self.deltas))))

    @rule()
    def the_last_message_comes(self) -> None:
        if self.deltas:
            self.do(self.rig.tell(self.deltas[-1]))

    @rule(data=st.data())
    def a_document_comes(self, data: st.DataObject) -> None:
        said = data.draw(st.sampled_from(self.documents))
        self.do(self.rig.shelf.tell_document(relay_id("me"), said))
        self.do(self.rig.settle())

    @rule()
    def the_agent_fetches(self) -> None:
        self.do(self.rig.fetch())

    @rule(verb=st.sampled_from(VERBS), times=st.integers(1, 3), refused=st.booleans())
    def the_host_will_fail(self, verb: str, times: int, refused: bool) -> None:
        error = HostRefused(verb, "because") if refused else Unavailable("host_away", "because.")
        self.rig.memory.fail_next(verb, error, times=times)

    @rule(missing=st.booleans())
    def nft_comes_or_goes(self, missing: bool) -> None:
        self.rig.tables.missing = missing

    @rule(name=names)
    def somebody_deletes_a_peer(self, name: str) -> None:
        device = self.rig.memory.devices.get("altm0")
        if device is not None and key_of(name).public() in device.peers:
            removal = [PeerChange.remove(key_of(name).public())]
            self.do(self.quiet(self.rig.memory.wireguard.apply("altm0", removal)))

    @rule(device=st.sampled_from(["altm0", "alta0", "altl2", "altl3", "altl4"]))
    def somebody_deletes_an_interface(self, device: str) -> None:
        self.rig.memory.remove_interface(device)

    @rule()
    def somebody_deletes_all_routes_and_tables(self) -> None:
        self.rig.memory.routes.clear()
        self.rig.tables.tables.clear()

    @rule()
    def the_agent_dies_and_comes_back(self) -> None:
        self.do(self.rig.crash())
        self.do(self.rig.start())

    @rule()
    def the_host_reboots(self) -> None:
        for name in [name for name in self.rig.memory.link_states if name not in ("lo", "eth0", "altl9x")]:
            self.rig.memory.remove_interface(name)
        self.rig.memory.addresses["lo"].clear()
        self.rig.memory.routes.clear()
        self.rig.tables.tables.clear()
        self.do(self.rig.crash())
        self.do(self.rig.start())

    @rule(seconds=st.floats(0.1, 90))
    def time_passes(self, seconds: float) -> None:
        self.do(self.rig.advance(seconds))

    async def quiet(self, work: Awaitable[None]) -> None:
        with contextlib.suppress(HostRefused, Unavailable):  # a fault that was meant for the agent
            await work

    @invariant()
    def what_is_not_ours_is_there(self) -> None:
        if self.paper.generation:
            assert {"lo", "eth0", "altl9x"} <= self.rig.memory.link_states.keys()

    def teardown(self) -> None:
        try:
            if self.paper.generation:
                self.come_to_rest()
        finally:
            self.loop.close()

    def come_to_rest(self) -> None:
        rig = self.rig
        rig.memory._faults.clear()
        rig.tables.missing = False
        self.do(rig.fetch())
        self.do(rig.advance(rig.settings.timers.resync * 2 + rig.settings.timers.retry_most * 2))
        linked = [item for item in self.paper.relays.values() if item.id != relay_id("me")]
        if self.document.links is not None:
            linked = [item for item in linked if item.id in self.document.links]
        good = [item for item in linked if BAD_SITE not in item.origins]
        if self.document.revoked:
            good = linked = []
        applied = rig.agent.reconciler.applied()
        assert not rig.agent.reconciler.tasks, applied
        assert applied.failed_count == len(linked) - len(good), applied
        fresh = Rig(shelf=rig.shelf)
        fresh.shelf.forget_listeners()
        fresh.agent.attachments.adopt(rig.agent.attachments.dump(), now=0.0)
        self.do(fresh.start())
        self.do(fresh.fetch())
        assert host_of(rig) == host_of(fresh)
        assert set(applied.failed) == set(fresh.agent.reconciler.applied().failed)
        assert applied.mesh_digest == fresh.agent.reconciler.applied().mesh_digest
        assert applied.document_digest == fresh.agent.reconciler.applied().document_digest
        assert rig.peers == {item.name for item in linked}, "a bad site costs no peer"
        if not self.document.revoked:
            assert rig.as_planned(self.paper) == (len(good) == len(linked))


def host_of(rig: Rig) -> dict[str, object]:
    """All that the agent may have put on the host, in comparable form."""
    memory, names = rig.memory, rig.agent.names
    return {
        "links": {
            name: (state.kind, state.form, state.mtu, state.mac, state.up)
            for name, state in memory.link_states.items()
            if names.is_ours(name)
        },
        "peers": {
            (name, key.base64): (peer.allowed, peer.keepalive)
            for name, device in memory.devices.items()
            for key, peer in device.peers.items()
        },
        "ports": {name: (device.listen_port, device.public_key) for name, device in memory.devices.items()},
        "addresses": {name: frozenset(found) for name, found in memory.addresses.items() if found},
        "neighbours": memory.neighbours,
        "routes": memory.routes,
        "tables": rig.tables.tables,
        "sysctls": memory.sysctls,
    }


AnyStory.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestAnyStory = AnyStory.TestCase


def test_the_last_slot_has_names_that_an_interface_can_have() -> None:
    assert len(Rig().agent.names.link(LAST_SLOT)) <= 15
