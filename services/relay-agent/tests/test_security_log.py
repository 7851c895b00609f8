"""An agent's security events: numbered on its disk, told once, whoever is killed, and what is lost shows."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from altnet.common.clock import SystemClock
from altnet.common.contracts.keyd import Tell
from altnet.common.contracts.security import Counted, Reader
from altnet.common.errors import Unavailable
from altnet.relay_agent import security
from altnet.relay_agent.disk_state import DiskState
from altnet.relay_agent.membership import Membership
from altnet.relay_agent.memory_state import MemoryState
from altnet.relay_agent.new_keys import new_keys
from altnet.relay_agent.security import SecurityLog
from altnet.relay_agent.settings import Timers
from altnet.relay_agent.state import Keyd
from support.relays import enrolment_of, identity_of

QUICK = Timers(keyd_retry_first=0.01, keyd_retry_most=0.02)
PERISHING = """
import sys
from pathlib import Path
from test_security_log import log_of
made, number = log_of(Path(sys.argv[1])), 0
while True:
    made.note("something_happened", str(number))
    number += 1
    print(number, flush=True)
"""


def log_of(path: Path) -> SecurityLog:
    state = DiskState(path, make=lambda: identity_of("me"))
    state.open()
    return SecurityLog(state, clock=SystemClock(), random=lambda: 0.5, timers=QUICK)


class Hearer:
    """keyd's end; `broken` while it does not answer."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, str, str]] = []
        self.broken = False
        self.tries = 0

    async def tell(self, told: Tell) -> None:
        self.tries += 1
        if self.broken:
            raise Unavailable("no_bus", "it is away.")
        self.heard += [(one.number, one.code, one.text) for one in told.events]

    async def until(self, made: SecurityLog, check: Callable[[], bool]) -> None:
        task = asyncio.create_task(made.run(self.tell))
        async with asyncio.timeout(10):
            while not check():  # noqa: ASYNC110 - nobody announces it
                await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.wait([task])


async def test_events_are_told_in_order_and_those_that_keyd_did_not_take_wait_over_a_restart(tmp_path: Path) -> None:
    made, keyd = log_of(tmp_path), Hearer()
    made.note("document_refused", "a")
    made.note("document_refused", "b")
    keyd.broken = True
    await keyd.until(made, lambda: keyd.tries >= 3)
    again = log_of(tmp_path)
    assert again.waiting == 2
    again.note("revoked")
    keyd.broken = False
    await keyd.until(again, lambda: again.waiting == 0)
    assert keyd.heard == [(1, "document_refused", "a"), (2, "document_refused", "b"), (3, "revoked", "")]
    assert log_of(tmp_path).waiting == 0


async def test_an_agent_that_is_killed_between_two_events_neither_repeats_nor_leaves_out_a_number(
    tmp_path: Path,
) -> None:
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[3] / "tests")])
    for _ in range(3):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PERISHING, str(tmp_path)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
        )
        assert process.stdout is not None
        for _ in range(5):
            async with asyncio.timeout(30):
                assert await process.stdout.readline(), "it ended by itself"
        process.send_signal(signal.SIGKILL)
        await process.wait()
    made, keyd = log_of(tmp_path), Hearer()
    await keyd.until(made, lambda: made.waiting == 0)
    numbers = [number for number, _, _ in keyd.heard]
    assert len(numbers) >= 15
    assert numbers == list(range(1, len(numbers) + 1))


async def test_of_a_flood_the_first_are_told_and_the_others_show_as_a_gap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(security, "MOST_WAITING", 3)
    state = MemoryState(identity_of("me"), enrolment_of("me", 1))
    made, keyd = SecurityLog(state, clock=SystemClock(), random=lambda: 0.5, timers=QUICK), Hearer()
    for number in range(5):
        made.note("flood", str(number))
    await keyd.until(made, lambda: made.waiting == 0)
    made.note("after")
    await keyd.until(made, lambda: made.waiting == 0)
    reader = Reader.begin({"me": 0})
    assert [reader.take("me", number) for number, _, _ in keyd.heard] == [Counted.NEXT] * 3 + [Counted.GAP]
    assert reader.missing == {"me": (4, 5)}


def test_the_same_thing_said_again_soon_is_one_event() -> None:
    state = MemoryState(identity_of("me"), enrolment_of("me", 1))
    made = SecurityLog(state, clock=SystemClock(), random=lambda: 0.5, timers=QUICK)
    for text in ("a", "a", "b", "a"):
        made.note("document_refused", text)
    assert [(one.number, one.text) for one in state.told().waiting] == [(1, "a"), (2, "b")]


async def test_new_identity_keys_are_made_on_the_disk_and_told_at_the_next_start(tmp_path: Path) -> None:
    state = DiskState(tmp_path, make=lambda: identity_of("me"))
    state.open()
    before = state.identity()
    await state.save_enrolment(enrolment_of("me", 1))
    await state.save_keyd(Keyd(psk="c2VjcmV0", static="s", signing="t"))
    fingerprint = await new_keys(state)
    after = state.identity()
    assert (after.nkey, after.nkey_seed, after.mesh_key, after.access_key) == (
        before.nkey,
        before.nkey_seed,
        before.mesh_key,
        before.access_key,
    )
    assert after.identity_key != before.identity_key
    assert after.signing_key != before.signing_key
    assert state.keyd() == Keyd(psk="", static="s", signing="t"), "keyd is still known by its keys"
    assert len(fingerprint.split()) == 8
    enrolment = state.enrolment()
    assert enrolment is not None
    assert Membership(state, enrolment, clock=SystemClock()).half_life() <= 0
