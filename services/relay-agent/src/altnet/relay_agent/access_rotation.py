"""This host's part in a rotation of its access key: make the next one and keep it, see clients change over, tell keyd.

Beside rotation.py, whose rules hold here too: a key is on the disk before it is used or told, what to do follows from
the private document, the disk and the devices, and failing to reach keyd changes nothing on the host.

Leaves out which way a client uses (carriers.py) and how keys are kept (rotation.py). Invariant: nobody is reported as
changed over who was not seen to use the next key.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
from altnet.common import log
from altnet.common.bus import rpc
from altnet.common.clock import Clock
from altnet.common.contracts.desired import AccessClient, AccessKeys, KeyStage, RelayDocument, access_device
from altnet.common.contracts.keyd import KeyReport
from altnet.common.contracts.mesh_keys import KeyKind
from altnet.common.errors import AltnetError
from altnet.common.keys import PrivateKey
from altnet.common.lock.certificates import Certificate
from altnet.relay_agent.access_epochs import Way, ways
from altnet.relay_agent.desired import Wish
from altnet.relay_agent.epochs import KeySet, Roles, roles
from altnet.relay_agent.rotation import Rotation
from altnet.relay_agent.settings import Timers
from altnet.relay_agent.state import Identity

_log = log.get(__name__)

MOST_NAMED: Final = 4096
"""Clients in one report."""


@dataclass(frozen=True, kw_only=True)
class Access:
    """What the host has, for the report."""

    generation: int
    """Of the private document that is applied."""
    roles: Roles | None
    carried: Mapping[str, int]
    attached: frozenset[str]
    """Clients that say that they are here, or stand by: they follow by themselves."""
    port: int
    pending: bool
    """Whether a device is not as wanted yet."""


def followed(identity: Identity, own: AccessKeys | None, make_key: Callable[[], PrivateKey]) -> Identity:
    """The host's access keys in the light of its document. Pure but for the new key."""
    keys = KeySet.of_access(identity)
    if own is None or not roles(keys, own).known:
        return identity
    if keys.next_key is not None and own.key == keys.next_key.base64:
        return _with_next(
            msgspec.structs.replace(
                identity, access_key=identity.next_access_key, access_device=1 - identity.access_device
            )
        )
    if own.next is None:
        return _with_next(identity) if identity.next_access_key else identity
    if own.next.epoch == keys.next_epoch and keys.next_key is not None:
        return identity
    return _with_next(identity, key=base64.b64encode(make_key().reveal()).decode(), epoch=own.next.epoch)


def _with_next(identity: Identity, *, key: str = "", epoch: int = 0) -> Identity:
    return msgspec.structs.replace(identity, next_access_key=key, next_access_epoch=epoch)


class AccessRotation:
    """`run` until cancelled. `keys` is what `Wanted` asks for, `several` what `Carriers` does."""

    def __init__(
        self,
        rotation: Rotation,
        desired: Wish,
        *,
        seen: Callable[[], Access],
        notice: Callable[[], None],
        tell: Callable[[KeyReport], Awaitable[object]] | None,
        clock: Clock,
        timers: Timers,
        make_key: Callable[[], PrivateKey] = PrivateKey.generate,
        certify: Callable[[int, str], Certificate] | None = None,
    ) -> None:
        """`rotation` keeps the keys; `notice` is called when they changed; `tell` is None where there is no bus.
        `certify(epoch, key)` is this host's signature of a key, without which a network with its lock on takes none."""
        self._certify = certify
        self._rotation = rotation
        self._desired = desired
        self._seen = seen
        self._notice = notice
        self._tell = tell
        self._clock = clock
        self._timers = timers
        self._make_key = make_key
        self._keys = KeySet.of_access(rotation.identity())
        self._wake = asyncio.Event()
        self._told: KeyReport | None = None
        self._due = 0.0
        self._failures = 0
        self._known: tuple[RelayDocument | None, KeySet] | None = None
        self._followed: tuple[AccessKeys | None, Identity] | None = None
        self._several: dict[str, tuple[Way, ...]] = {}
        self.problem = ""

    def keys(self) -> KeySet:
        return self._keys

    def several(self) -> Mapping[str, tuple[Way, ...]]:
        """The clients that have more than one way."""
        document = self._desired.document
        if self._known is None or self._known[0] is not document or self._known[1] is not self._keys:
            self._known = (document, self._keys)
            mine = roles(self._keys, document.access) if document is not None else None
            clients = () if document is None or document.revoked or mine is None else document.clients
            found = {client.id: ways(mine, client) for client in clients} if mine is not None else {}
            self._several = {client: each for client, each in found.items() if len(each) > 1}
        return self._several

    def wake(self) -> None:
        """The document, or the host, is another by now, or a client uses another way."""
        self._wake.set()

    async def run(self) -> None:
        """Follow the document."""
        while True:
            self._wake.clear()
            try:
                await self.step()
            except AltnetError as error:
                self._say(str(error))
            wait = await self._report()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            await asyncio.sleep(self._timers.switch_check)  # a crowd that changes over is a few reports

    async def step(self) -> None:
        """Follow the document once. Raises `AltnetError`."""
        document = self._desired.document
        own = document.access if document is not None and not document.revoked else None
        identity = self._rotation.identity()
        if self._followed is not None and self._followed[0] is own and self._followed[1] is identity:
            return  # what woke us is another relay's or client's; public keys are not worked out for each of those
        if await self._rotation.amend(lambda identity: followed(identity, own, self._make_key)):
            self._keys = KeySet.of_access(self._rotation.identity())
            self._told = None
            self._notice()
        self._followed = own, self._rotation.identity()

    def report(self) -> KeyReport | None:
        """How far this host is; None while no rotation concerns it or the host does not hold the key yet."""
        document, seen = self._desired.document, self._seen()
        own = document.access if document is not None and not document.revoked else None
        mine, keys = seen.roles, self._keys
        if document is None or own is None or own.next is None or mine is None or mine.next is None:
            return None
        if keys.next_key is None or not (mine.next.epoch == own.next.epoch == keys.next_epoch):
            return None
        switched, waiting, behind = split(seen, document.clients)
        return KeyReport(
            of=KeyKind.ACCESS,
            epoch=keys.next_epoch,
            key=keys.next_key.base64,
            port=seen.port + access_device(mine.next.device, 0),
            generation=0 if seen.pending else max(0, seen.generation),
            switched=switched[:MOST_NAMED],
            waiting=waiting[:MOST_NAMED],
            behind=behind[:MOST_NAMED],
            certificate=self._certify(keys.next_epoch, keys.next_key.base64) if self._certify is not None else None,
        )

    def words(self) -> str:
        """For the operator of this host; empty while nothing rotates."""
        report = self.report()
        if report is None:
            return ""
        text = f"access key of epoch {report.epoch}: {len(report.switched)} clients by the next key"
        text += f", {len(report.waiting) + len(report.behind)} to follow"
        return f"{text}; keyd: {self.problem}" if self.problem else text

    async def _report(self) -> float | None:
        report = self.report()
        if report is None or self._tell is None:
            self.problem = ""
            return None
        now = self._clock.monotonic()
        if now < self._due and (report == self._told or self._failures):
            return self._due - now
        try:
            await self._tell(report)
        except Exception as error:  # noqa: BLE001 - whatever it is, the data plane goes on
            self._failures += 1
            self._told = None
            wait = float(min(self._timers.rotation_told, 0.2 * 2 ** min(self._failures, 10)))
            wait = max(wait, rpc.back_after(error, patience=self._timers.keyd_timeout) or 0.0)
            self._due = now + wait
            self._say(str(error) if isinstance(error, AltnetError) else type(error).__name__)
            return wait
        self._failures, self.problem = 0, ""
        self._told, self._due = report, now + self._timers.rotation_told
        return self._timers.rotation_told

    def _say(self, problem: str) -> None:
        if problem != self.problem:
            _log.warning("rotation of the access key", reason=problem)
        self.problem = problem


Named = tuple[str, ...]


def split(seen: Access, clients: tuple[AccessClient, ...]) -> tuple[Named, Named, Named]:
    """The clients that use the next key, those that are here and are to follow by themselves, and the rest."""
    assert seen.roles is not None
    assert seen.roles.next is not None
    following = seen.roles.next
    told = following.stage is KeyStage.OPEN
    switched, waiting, behind = [], [], []
    for client in clients:
        if seen.carried.get(client.id, -1) % 2 == following.device and client.id in seen.carried:
            switched.append(client.id)
        elif client.movable and client.id in seen.attached and told:
            waiting.append(client.id)
        else:
            behind.append(client.id)
    return tuple(switched), tuple(waiting), tuple(behind)


def news_of(access: AccessKeys | None, client: AccessClient) -> int:
    """A number that is another one when the client should ask for its configuration; never 0."""
    following = access.next if access is not None else None
    shown = following if following is not None and following.stage in (KeyStage.OPEN, KeyStage.BACK) else None
    key = access.key if access is not None else ""
    about = (key, shown, client.key, client.next_key, client.wished, client.standby, client.other)
    return zlib.crc32(msgspec.json.encode(about)) or 1
