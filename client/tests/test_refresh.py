"""When altnetd asks the registry: at a relay's word, more often while no relay answers, and with the registry away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from altnet.client import main
from altnet.client.daemon import Client
from altnet.client.settings import ClientSettings, Timers
from altnet.client.state import DiskState, Identity, Membership
from altnet.common.contracts.client import ClientConfig
from altnet.common.errors import Unavailable
from support.altnetd import config, point

MEMBER = Membership(client="cli_x", registry_url="https://registry.example", secret="s")


@dataclass
class Asking:
    """altnetd's end, and a registry that answers with `says`, or is away. `asked` has the instants."""

    says: ClientConfig
    away: bool = False
    alone: bool = False
    asked: list[float] = field(default_factory=list)
    followed: list[ClientConfig] = field(default_factory=list)
    saved: list[ClientConfig] = field(default_factory=list)
    wants: asyncio.Event = field(default_factory=asyncio.Event)
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    async def configuration(self, _client: str, *, secret: str) -> ClientConfig:
        self.asked.append(time.monotonic())
        self.heard.set()
        if self.away:
            raise Unavailable("registry_unreachable", "away.")
        return self.says

    async def save(self, wanted: ClientConfig) -> None:
        self.saved.append(wanted)

    async def during(self, timers: Timers, what: Callable[[], Awaitable[None]]) -> None:
        client: Any = SimpleNamespace(
            wants=self.wants,
            alone=self.alone,
            follow=self.followed.append,
            latencies=dict,
            settled_on=lambda _key: True,
        )
        state: Any = SimpleNamespace(
            identity=lambda: Identity(private_key=""),
            configuration=lambda: self.saved[-1] if self.saved else None,
            save_configuration=self.save,
        )
        asking = asyncio.create_task(
            main.refresh(
                ClientSettings(timers=timers),
                cast(Client, client),
                MEMBER,
                state=cast(DiskState, state),
                random=lambda: 0.5,
            )
        )
        try:
            await what()
        finally:
            asking.cancel()
            await asyncio.wait([asking])

    async def until_asked(self, times: int) -> None:
        async with asyncio.timeout(10):
            while len(self.asked) < times:
                self.heard.clear()
                await self.heard.wait()


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Asking:
    made = Asking(config(point("a", 1, 0)))
    monkeypatch.setattr(main, "Registry", lambda *_args, **_more: made)
    return made


async def test_a_relays_word_is_followed_at_once_and_nothing_else_makes_us_ask_for_minutes(registry: Asking) -> None:
    async def hear() -> None:
        await asyncio.sleep(0.5)
        assert registry.asked == []
        registry.wants.set()
        began = time.monotonic()
        await registry.until_asked(1)
        assert registry.asked[0] - began < 1
        await asyncio.sleep(0.5)

    await registry.during(Timers(hurry=0.1), hear)
    assert len(registry.asked) == 1
    assert registry.followed == registry.saved == [registry.says]


async def test_while_the_registry_is_away_what_a_relay_said_is_not_forgotten_and_tries_become_rarer(
    registry: Asking,
) -> None:
    registry.away = True

    async def hear() -> None:
        registry.wants.set()
        await registry.until_asked(4)
        assert registry.followed == []
        registry.away = False
        await registry.until_asked(5)
        await asyncio.sleep(0.2)

    await registry.during(Timers(hurry=0.1), hear)
    waits = [later - sooner for sooner, later in zip(registry.asked, registry.asked[1:], strict=False)]
    # A busy machine makes any of them longer, and none shorter.
    assert [wait > 0.099 * 2**tries for tries, wait in enumerate(waits[:4], 1)] == [True] * 4
    assert registry.followed == [registry.says]


async def test_while_no_relay_answers_it_asks_of_itself(registry: Asking) -> None:
    registry.alone = True

    async def wait() -> None:
        await registry.until_asked(2)
        await asyncio.sleep(0.1)

    await registry.during(Timers(hurry=0.1, refresh_alone=1), wait)
    assert registry.followed[0] == registry.says
