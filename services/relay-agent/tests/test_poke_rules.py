"""One initiator for each pair, and what happens when nobody answers."""

from __future__ import annotations

import itertools

from altnet.common.kernel.wireguard import Endpoint, PeerState
from support.relays import Paper, Rig, document, entry, key_of

LOW, HIGH = sorted("ab", key=lambda name: key_of(name).public())


async def pair(me: str, other: str, **fields: object) -> Rig:
    rig, paper = Rig(me, 1, poke=True), Paper()
    paper.put(entry(me, 1), entry(other, 2, **fields))
    rig.shelf.put_mesh(paper)
    rig.shelf.put_document(document(me))
    await rig.start()
    await rig.fetch()
    return rig


def peer(rig: Rig, name: str) -> PeerState:
    return rig.memory.devices["altm0"].peers[key_of(name).public()]


async def test_the_side_with_the_lower_key_initiates_at_once() -> None:
    rig = await pair(LOW, HIGH)
    assert str(peer(rig, HIGH).endpoint) == "192.0.2.3:51820"
    assert peer(rig, HIGH).keepalive == 25


async def test_the_other_side_waits_five_seconds_and_then_tries_too() -> None:
    rig = await pair(HIGH, LOW)
    assert (peer(rig, LOW).endpoint, peer(rig, LOW).keepalive) == (None, 0)
    await rig.advance(4.9)
    assert peer(rig, LOW).endpoint is None
    await rig.advance(1.2)
    assert (str(peer(rig, LOW).endpoint), peer(rig, LOW).keepalive) == ("192.0.2.3:51820", 25)


async def test_a_responder_that_was_spoken_to_stays_silent() -> None:
    rig = await pair(HIGH, LOW)
    rig.memory.handshake("altm0", key_of(LOW).public(), at=rig.clock.now().timestamp())
    await rig.advance(30)
    assert peer(rig, LOW).endpoint is None
    assert rig.agent.poker.waiting == 0


async def test_an_initiator_without_an_answer_starts_afresh_with_growing_waits() -> None:
    rig = await pair(LOW, HIGH)
    removed: list[float] = []
    original = rig.memory.wireguard.apply

    async def apply(name: str, changes: object) -> None:
        if any(change.action == "remove" for change in changes):  # type: ignore[attr-defined]  # a list of changes
            removed.append(rig.clock.monotonic())
        await original(name, changes)  # type: ignore[arg-type]

    rig.memory.wireguard.apply = apply  # type: ignore[method-assign]
    await rig.advance(12)
    assert 0.6 <= removed[0] <= 1.0
    gaps = [later - earlier for earlier, later in itertools.pairwise(removed)]
    assert gaps == sorted(gaps)
    assert len(removed) <= 5
    assert str(peer(rig, HIGH).endpoint) == "192.0.2.3:51820"


async def test_endpoints_are_tried_in_turn_until_one_answers() -> None:
    rig = await pair(LOW, HIGH, endpoints=("192.0.2.3:1", "[2001:db8::3]:2", "192.0.2.4:3"))
    seen = {str(peer(rig, HIGH).endpoint)}
    for _ in range(200):
        await rig.advance(1.5)
        seen.add(str(peer(rig, HIGH).endpoint))
    assert seen == {"192.0.2.3:1", "[2001:db8::3]:2", "192.0.2.4:3"}


async def test_a_moved_endpoint_is_taken_when_the_old_one_is_silent() -> None:
    rig, paper = Rig(LOW, 1, poke=True), Paper()
    paper.put(entry(LOW, 1), entry(HIGH, 2))
    rig.shelf.put_mesh(paper)
    rig.shelf.put_document(document(LOW))
    await rig.start()
    await rig.fetch()
    rig.memory.handshake("altm0", key_of(HIGH).public(), at=rig.clock.now().timestamp() - 1000)
    await rig.tell(paper.put(entry(HIGH, 2, endpoints=("198.51.100.1:7",))))
    await rig.advance(2)
    assert str(peer(rig, HIGH).endpoint) == "198.51.100.1:7"


async def test_after_a_reboot_even_the_responder_speaks_within_half_a_second() -> None:
    rig = await pair(HIGH, LOW)
    rig.memory.handshake("altm0", key_of(LOW).public(), at=rig.clock.now().timestamp())
    await rig.advance(10)
    for name in ("altm0", "alta0", "altl2"):
        rig.memory.remove_interface(name)
    await rig.crash()
    await rig.start()
    await rig.advance(0.7)
    assert str(peer(rig, LOW).endpoint) == "192.0.2.3:51820"


async def test_a_restart_of_the_agent_alone_pokes_nobody_whose_session_lives() -> None:
    rig = await pair(HIGH, LOW)
    rig.memory.handshake("altm0", key_of(LOW).public(), at=rig.clock.now().timestamp())
    await rig.crash()
    await rig.start()
    await rig.advance(5)
    assert peer(rig, LOW).endpoint is None


async def test_a_session_that_died_is_poked_at_the_next_comparison() -> None:
    rig = await pair(HIGH, LOW)
    rig.memory.handshake("altm0", key_of(LOW).public(), at=rig.clock.now().timestamp())
    await rig.advance(180 + rig.settings.timers.resync * 1.3 + 7)
    assert peer(rig, LOW).endpoint is not None


async def test_who_cannot_be_reached_is_waited_for_and_who_alone_can_reach_initiates() -> None:
    rig = await pair(LOW, HIGH, endpoints=())
    await rig.advance(60)
    assert peer(rig, HIGH).endpoint is None
    unreachable, paper = Rig(HIGH, 1, poke=True), Paper()
    paper.put(entry(HIGH, 1, endpoints=()), entry(LOW, 2))
    unreachable.shelf.put_mesh(paper)
    unreachable.shelf.put_document(document(HIGH))
    await unreachable.start()
    await unreachable.fetch()
    assert str(peer(unreachable, LOW).endpoint) == "192.0.2.3:51820"


async def test_a_name_is_resolved_before_it_is_used() -> None:
    rig = await pair(LOW, HIGH, endpoints=("relay.invalid:51820",))
    answers: dict[str, Endpoint | None] = {"relay.invalid:51820": None}

    async def resolve(text: str) -> Endpoint | None:
        return answers[text]

    rig.agent.poker._resolve = resolve
    await rig.advance(3)
    assert peer(rig, HIGH).endpoint is None
    answers["relay.invalid:51820"] = Endpoint.parse("192.0.2.77:51820")
    await rig.advance(15)
    assert str(peer(rig, HIGH).endpoint) == "192.0.2.77:51820"
