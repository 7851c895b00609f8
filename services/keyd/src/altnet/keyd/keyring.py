"""keyd's own keys as this replica has them: loaded, opened, and kept up with what other replicas do.

Invariant: private keys are in memory and, sealed, in the database, and nowhere else.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final

from altnet.common import log
from altnet.common.db.engine import Database
from altnet.common.errors import AltnetError, Unavailable
from altnet.common.ids import Randomness
from altnet.common.keys import PrivateKey, PublicKey
from altnet.common.noise.pins import KeyUse, ServiceKey
from altnet.keyd.domain.envelope import EncryptionKey, about
from altnet.keyd.handlers.service_keys import make_first_keys, rewrap_keys
from altnet.keyd.settings import KeySettings
from altnet.keyd.store import service_keys
from altnet.keyd.tables import ServiceKeyRow

_LOG: Final = log.get(__name__)
ACTOR: Final = "service:keyd"

Statics = dict[PublicKey, PrivateKey]


class Keyring:
    """`run` is a job. `changed` is called with the static keys that answer, after each load."""

    def __init__(
        self,
        db: Database,
        *,
        kek: EncryptionKey,
        previous: EncryptionKey | None,
        randomness: Randomness,
        settings: KeySettings,
        changed: Callable[[Statics], None],
    ) -> None:
        self.kek = kek
        self._db = db
        self._previous = previous
        self._randomness = randomness
        self._settings = settings
        self._changed = changed
        self.loaded = asyncio.Event()
        """Set once there are keys."""
        self._hurry = asyncio.Event()
        self._public: tuple[ServiceKey, ...] = ()
        self._static: tuple[PublicKey, PrivateKey] | None = None
        self._opened: dict[str, PrivateKey] = {}
        self.problem = "not loaded yet"
        """Empty while all is well; for readiness."""

    @property
    def public(self) -> Sequence[ServiceKey]:
        """Every key's public part. Raises `Unavailable` (`keys_not_ready`) until they are loaded."""
        if not self._public:
            raise Unavailable("keys_not_ready", "keyd has not loaded its keys yet.", mend="Try again in a moment.")
        return self._public

    @property
    def static(self) -> tuple[PublicKey, PrivateKey]:
        """The current static key. Raises `Unavailable` (`keys_not_ready`)."""
        if self._static is None:
            raise Unavailable("keys_not_ready", "keyd has not loaded its keys yet.", mend="Try again in a moment.")
        return self._static

    def hurry(self) -> None:
        """Somebody knows a key that we do not: look now."""
        self._hurry.set()

    async def run(self) -> None:
        """Load, and again every `reload` seconds or when hurried, until cancelled."""
        while True:
            self._hurry.clear()
            try:
                await self.load()
                self.problem = ""
            except AltnetError as error:
                if self.problem != error.code:
                    _LOG.error("keys_not_loaded", code=error.code, reason=error.detail)
                self.problem = error.code
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.reload):
                    await self._hurry.wait()

    async def load(self) -> None:
        """Read all keys, making the first ones. Raises `Unavailable` (`keys_sealed`, and the database's)."""
        async with self._db.read() as session:
            rows = await service_keys.every(session)
        if not rows:
            async with self._db.transaction(actor=ACTOR) as uow:
                await make_first_keys(uow, self.kek, randomness=self._randomness)
        elif self._previous is not None and any(row.kek == self._previous.id for row in rows):
            async with self._db.transaction(actor=ACTOR) as uow:
                count = await rewrap_keys(uow, self.kek, self._previous, randomness=self._randomness)
            _LOG.info("keys_rewrapped", count=count, kek=self.kek.id)
        else:
            self._take(rows)
            return
        async with self._db.read() as session:
            self._take(await service_keys.every(session))

    def _take(self, rows: Sequence[ServiceKeyRow]) -> None:
        now = self._db.clock.now()
        statics: Statics = {}
        opened: dict[str, PrivateKey] = {}
        current: tuple[PublicKey, PrivateKey] | None = None
        for row in rows:
            if row.use != KeyUse.STATIC or (row.answers_until is not None and row.answers_until <= now):
                continue
            private = self._opened.get(row.key)
            if private is None:
                private = PrivateKey(self.kek.open(row.sealed, about=about(row.use, row.key)))
            opened[row.key] = private
            public = PublicKey.parse(row.key)
            statics[public] = private
            if row.replaced_at is None:
                current = public, private
        self._opened = opened
        self._static = current
        self._public = tuple(_public(row) for row in rows)
        self._changed(statics)
        self.loaded.set()


def _public(row: ServiceKeyRow) -> ServiceKey:
    return ServiceKey(
        use=KeyUse(row.use),
        key=row.key,
        current=row.replaced_at is None,
        endorsed_by=row.endorsed_by,
        endorsement=row.endorsement,
        answers_until=row.answers_until if row.use == KeyUse.STATIC else None,
    )
