"""A client that may attach here: what the host holds before, while and after, and what is remembered of clients."""

from __future__ import annotations

import asyncio
import stat
from ipaddress import IPv6Network
from pathlib import Path

import msgspec
from altnet.common.contracts.attach import Hello
from altnet.common.contracts.desired import AccessClient
from altnet.common.errors import Unavailable
from altnet.common.kernel.wireguard import Endpoint, PeerChange
from altnet.relay_agent.disk_state import DiskState
from altnet.relay_agent.memory_state import MemoryState
from altnet.relay_agent.state import Attachment, ClientMemory
from support.relays import Paper, Rig, client, document, enrolment_of, entry, identity_of, key_of

HERE = "fd42:1337:beef:1001::500/128"
GUEST = "fd42:1337:beef:1001:8000::500/128"
ELSEWHERE = "fd42:1337:beef:1009::500/128"
SERVICE = "fd42:1337:beef:2000::500/128"
SOMEWHERE = Endpoint.parse("192.0.2.77:40000")


def roamer(name: str = "x", *addresses: str, standby: bool = True) -> AccessClient:
    return msgspec.structs.replace(client(name, *(addresses or (ELSEWHERE,))), standby=standby, movable=True)


async def meshed(*clients: AccessClient, rig: Rig | None = None) -> tuple[Rig, Paper]:
    rig, paper = rig or Rig(), Paper()
    paper.put(entry("me", 1), entry("a", 2))
    rig.shelf.put_mesh(paper)
    rig.shelf.put_document(document("me", clients=clients))
    await rig.start()
    await rig.fetch()
    return rig, paper


async def says(rig: Rig, counter: int, *, attached: bool, name: str = "x") -> None:
    hello = Hello(number=counter, counter=counter, attached=attached, rtt=0.012)
    rig.agent.attachments.hear(f"cli_{name}", hello, now=rig.clock.monotonic())
    await rig.settle()


def delivered(rig: Rig) -> set[str]:
    """Prefixes that are routed to the access interface."""
    return {str(route.prefix) for route in rig.memory.routes.values() if route.device == "alta0"}


async def test_a_standby_relay_has_the_peer_at_once_and_the_route_while_the_client_is_attached() -> None:
    rig, paper = await meshed(roamer("x", ELSEWHERE, SERVICE))
    (peer,) = rig.memory.devices["alta0"].peers.values()
    guest = IPv6Network(GUEST)
    assert peer.allowed == (guest, IPv6Network(ELSEWHERE), IPv6Network(SERVICE)), "a guest may speak, as a guest"
    home = {"fd42:1337:beef:1001::/64"}
    assert delivered(rig) == home
    await says(rig, 1, attached=True)
    assert delivered(rig) == home | {ELSEWHERE, SERVICE}
    assert rig.as_planned(paper), "an attachment is no part of the plan, and no difference from it"
    await says(rig, 2, attached=False)
    assert delivered(rig) == home
    await says(rig, 1, attached=True)
    assert delivered(rig) == home, "a late word changes nothing"
    assert rig.as_planned(paper)


async def test_a_client_that_comes_home_is_delivered_by_its_own_address_until_nobody_looks_for_it_elsewhere() -> None:
    rig, paper = await meshed(roamer("x", HERE, standby=False))
    home = {"fd42:1337:beef:1001::/64"}
    await says(rig, 1, attached=True)
    assert delivered(rig) == home | {HERE}
    assert rig.as_planned(paper)
    await rig.agent.remembered.save(look=False)
    await rig.crash()
    await rig.start()
    assert delivered(rig) == home | {HERE}, "the agent's end is no reason to take it away"
    rig.clock.advance(rig.agent.desired.settings.restart_time + 60)
    rig.agent.attachments.hear("cli_x", Hello(number=9, counter=1, attached=True), now=rig.clock.monotonic())
    rig.agent.attachments.expire(now=rig.clock.monotonic())
    await rig.settle()
    assert "cli_x" in rig.agent.attachments.attached
    assert delivered(rig) == home, "the /64 covers it"


async def test_a_client_that_cannot_move_is_at_its_own_relay_whatever_it_says() -> None:
    rig, _ = await meshed(client("x", ELSEWHERE))
    assert ELSEWHERE in delivered(rig)
    await says(rig, 1, attached=False)
    assert ELSEWHERE in delivered(rig)


async def test_a_client_that_leaves_the_document_is_gone_though_it_says_that_it_is_attached() -> None:
    rig, paper = await meshed(roamer())
    await says(rig, 1, attached=True)
    await rig.give(document("me", 2))
    assert delivered(rig) == {"fd42:1337:beef:1001::/64"}
    assert not rig.memory.devices["alta0"].peers
    assert rig.as_planned(paper)


async def test_an_agent_that_restarts_keeps_its_attached_clients_and_a_host_that_reboots_does_not() -> None:
    rig, _ = await meshed(roamer())
    await says(rig, 1, attached=True)
    await rig.agent.remembered.save(look=False)
    await rig.crash()
    await rig.start()
    assert ELSEWHERE in delivered(rig)
    await rig.crash()
    for name in ("altm0", "alta0", "altl2"):
        rig.memory.remove_interface(name)
    await rig.start()
    assert ELSEWHERE not in delivered(rig), "it has gone elsewhere since"


async def test_the_heartbeat_says_who_is_attached_and_how_far_away() -> None:
    rig, _ = await meshed(roamer("x"), roamer("y", "fd42:1337:beef:1009::501/128"), client("z", HERE))
    for name in "xyz":
        rig.memory.handshake("alta0", key_of(name, "client").public(), at=rig.clock.now().timestamp())
    await says(rig, 1, attached=True)
    beat = await rig.agent.reporter.heartbeat()
    assert [(it.client, it.attached, it.rtt) for it in beat.clients] == [
        ("cli_x", True, 0.012),
        ("cli_y", False, None),
        ("cli_z", True, None),
    ]


async def test_after_a_power_loss_clients_are_spoken_to_where_they_were_last() -> None:
    rig, _ = await meshed(client("x", HERE), roamer("y"))
    for name in "xy":
        key = key_of(name, "client").public()
        rig.memory.handshake("alta0", key, at=rig.clock.now().timestamp(), endpoint=SOMEWHERE)
    await rig.agent.remembered.save(look=True)
    await rig.crash()
    for name in ("altm0", "alta0", "altl2"):
        rig.memory.remove_interface(name)
    heard: list[PeerChange] = []
    apply = rig.memory.wireguard.apply

    async def spy(name: str, changes: list[PeerChange]) -> None:
        heard.extend(changes)
        await apply(name, changes)

    rig.memory.wireguard.apply = spy  # type: ignore[method-assign,assignment]  # looks, and passes on
    await rig.start()
    peers = rig.memory.devices["alta0"].peers
    x, y = (key_of(name, "client").public() for name in "xy")
    assert (peers[x].endpoint, peers[x].keepalive) == (SOMEWHERE, 0)
    assert [change.keepalive for change in heard if change.key == x] == [25, 0], "one word, then silence is allowed"
    assert peers[y].endpoint is None, "a client that can move speaks first itself"

    # As if it had come back from elsewhere: an agent's restart must not touch a session that lives.
    elsewhere = Endpoint.parse("192.0.2.88:1")
    rig.memory.handshake("alta0", x, at=rig.clock.now().timestamp(), endpoint=elsewhere)
    await rig.crash()
    await rig.start()
    assert rig.memory.devices["alta0"].peers[x].endpoint == elsewhere


async def test_a_client_that_has_not_come_back_yet_stays_remembered_and_one_that_is_removed_does_not() -> None:
    state = MemoryState(identity_of("me"), enrolment_of("me", 1))
    key = key_of("x", "client").public().base64
    await state.save_clients(ClientMemory(endpoints={key: "192.0.2.77:40000", "another": "192.0.2.1:1"}))
    rig, _ = await meshed(client("x", HERE), rig=Rig(state=state))
    await rig.agent.remembered.save(look=True)
    assert state.clients().endpoints == {key: "192.0.2.77:40000"}
    rig.memory.fail_next("read", Unavailable("wireguard_unavailable", "busy."))
    await rig.agent.remembered.save(look=True)
    assert state.clients().endpoints == {key: "192.0.2.77:40000"}, "what cannot be read is not forgotten"
    await rig.give(document("me", 2))
    await rig.agent.remembered.save(look=True)
    assert state.clients().endpoints == {}


def test_the_memory_of_clients_is_private_and_a_torn_one_is_set_aside(tmp_path: Path) -> None:
    state = DiskState(tmp_path / "state", make=lambda: identity_of("me"))
    state.open()
    assert state.clients() == ClientMemory()
    wanted = ClientMemory(endpoints={"k": "192.0.2.1:1"}, attached={"c": Attachment(counter=3, attached=True)})
    asyncio.run(state.save_clients(wanted))
    file = tmp_path / "state" / "clients.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert state.clients() == wanted
    file.write_bytes(b'{"endpoints": {"k')
    assert state.clients() == ClientMemory()
    assert state.warnings
