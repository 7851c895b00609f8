"""What one host knows of a lock: the log, statements, certificates, and what of them counts now.

No IO. Signatures are verified once each, and the answer is kept. Invariant: `relay`, `client` and `certified` answer by
the log's present authorities alone, and a statement gives way only to one with a higher serial that counts.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Final

from altnet.common.errors import AltnetError, Conflict
from altnet.common.lock.certificates import MOST_CERTIFICATES, Certificate, WgUse, is_certified, merged
from altnet.common.lock.log import Log, SignedEntry
from altnet.common.lock.statements import ClientStatement, RelayStatement, SignedStatement, Statement

MOST_SUBJECTS: Final = 65_536
"""Relays and clients that one host keeps statements of."""


class Book:
    """`revision` moves whenever an answer may be another."""

    def __init__(self, network: str, *, pin: str = "") -> None:
        """`pin`: fingerprint of the log that there has to be; empty: the first one that is seen."""
        self.log = Log(network)
        self.pin = pin
        self.revision = 0
        self._signed: dict[str, SignedStatement] = {}
        self._opened: dict[str, Statement] = {}
        self._certificates: dict[str, tuple[Certificate, ...]] = {}
        self._checked: dict[tuple[str, Certificate, str], bool] = {}

    @property
    def network(self) -> str:
        return self.log.network

    @property
    def enforced(self) -> bool:
        """Whether only what is signed counts. Before a pinned log is known nothing does."""
        return self.log.enabled or (bool(self.pin) and not self.log.length)

    def follow(self, *, length: int, head: str, entries: Sequence[SignedEntry]) -> bool:
        """Take further entries; True if there were some. Raises as `Log.follow`, and `lock_other_than_pinned`."""
        after = self.log.follow(length=length, head=head, entries=entries)
        return self.take_log(after)

    def take_log(self, after: Log) -> bool:
        """Take a log that extends ours. Raises `Conflict` (`lock_other_than_pinned`)."""
        if after.length == self.log.length:
            return False
        if self.pin and not self.log.length and _plain(after.fingerprint) != _plain(self.pin):
            raise Conflict(
                "lock_other_than_pinned",
                f"the log's fingerprint is {after.fingerprint}; this host was given {self.pin}.",
                mend="Compare `altnet lock status` with the owners; enrol again with the right fingerprint.",
            )
        self.log = after
        for subject in [it for it, one in self._signed.items() if one.authority not in after.authorities]:
            del self._signed[subject], self._opened[subject]
        self.revision += 1
        return True

    def adopt(
        self,
        after: Log,
        statements: Iterable[SignedStatement],
        hosts: Iterable[tuple[str, Iterable[Certificate]]],
        *,
        clients: Container[str] = frozenset(),
    ) -> None:
        """Take all of it in one step. Of clients, only these. Raises as `take_log`, and then nothing is taken."""
        self.take_log(after)
        for statement in statements:
            self.put(statement, clients=clients)
        for relay, told in hosts:
            self.certify(relay, told)
        self.keep(clients)

    def put(self, statement: SignedStatement, *, clients: Container[str] | None = None) -> bool:
        """Take a statement; False for one that does not count, or is known. Nothing is raised: who tells is nobody."""
        if statement.authority not in self.log.authorities:
            return False
        try:
            opened = statement.opened()
        except AltnetError:
            return False
        subject = opened.subject
        if isinstance(opened, ClientStatement) and clients is not None and subject not in clients:
            return False
        known = self._opened.get(subject)
        if opened.network != self.network or (known is not None and opened.serial <= known.serial):
            return False
        if known is None and len(self._opened) >= MOST_SUBJECTS:
            return False
        self._signed[subject], self._opened[subject] = statement, opened
        self.revision += 1
        return True

    def certify(self, relay: str, told: Iterable[Certificate]) -> bool:
        """Take a host's certificates; False where none is new and good. Those of hosts that nobody vouches for wait."""
        known, identity = self._certificates.get(relay, ()), self.relay(relay)
        new = tuple(one for one in tuple(told)[:MOST_CERTIFICATES] if one not in known)
        if identity is not None:  # else junk could push good ones out
            new = tuple(one for one in new if self._check(relay, one, identity.identity))
        if not new or (not known and len(self._certificates) >= MOST_SUBJECTS):
            return False
        if identity is not None:
            known = tuple(one for one in known if self._check(relay, one, identity.identity))
        self._certificates[relay] = merged(known, new)
        self.revision += 1
        return True

    def relay(self, relay: str) -> RelayStatement | None:
        """What counts about a relay; None where nothing does, or it is revoked."""
        found = self._opened.get(relay)
        return found if isinstance(found, RelayStatement) and not found.revoked else None

    def client(self, client: str) -> ClientStatement | None:
        found = self._opened.get(client)
        return found if isinstance(found, ClientStatement) and not found.revoked else None

    def certified(self, relay: str, use: WgUse, *, epoch: int, key: str) -> bool:
        """Whether the relay's identity key has signed this key."""
        identity = self.relay(relay)
        if identity is None:
            return False
        return any(
            self._check(relay, one, identity.identity)
            for one in self._certificates.get(relay, ())
            if (one.use, one.epoch, one.key) == (use, epoch, key)
        )

    def serial(self, subject: str) -> int:
        """Of the statement that is known; 0 for none."""
        found = self._opened.get(subject)
        return found.serial if found is not None else 0

    def keep(self, wanted: Container[str]) -> None:
        """Forget clients other than these: relays are few, clients are not."""
        for subject in [
            it for it, one in self._opened.items() if isinstance(one, ClientStatement) and it not in wanted
        ]:
            del self._signed[subject], self._opened[subject]

    @property
    def statements(self) -> tuple[SignedStatement, ...]:
        return tuple(self._signed[subject] for subject in sorted(self._signed))

    @property
    def certificates(self) -> dict[str, tuple[Certificate, ...]]:
        return dict(sorted(self._certificates.items()))

    def _check(self, relay: str, one: Certificate, identity: str) -> bool:
        place = (relay, one, identity)
        if place not in self._checked:
            if len(self._checked) > 4 * MOST_SUBJECTS:
                self._checked.clear()
            self._checked[place] = is_certified(one, network=self.network, relay=relay, identity=identity)
        return self._checked[place]


def _plain(fingerprint: str) -> str:
    return "".join(fingerprint.split()).replace("-", "").upper()
