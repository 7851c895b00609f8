"""The wish that is left when the network lock has been asked: between `Desired` and everything that acts on it.

Reads like `Desired`. With the lock off it is what came, at no cost. With it on, a change of one relay is judged alone,
and a change of the lock judges all anew; what that changes is told by `take`, as any other change is.

Invariant: while the lock is on, nobody below sees an object that `filter` has not let through.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv6Network
from typing import Final

import msgspec
from altnet.common.contracts.desired import AccessClient, MeshSettings, RelayDocument, RelayEntry
from altnet.common.contracts.lock import Refusal
from altnet.common.lock.book import Book
from altnet.relay_agent.desired import Desired
from altnet.relay_agent.lock.filter import judge_client, judge_own, judge_peerings, judge_relay
from altnet.relay_agent.lock.memory import LockMemory

MOST_RETIRED: Final = 16
"""Keys of one relay that are remembered as replaced."""


class Accepted:
    """One relay's wish, as far as it counts."""

    def __init__(self, heard: Desired, book: Book, memory: LockMemory | None = None) -> None:
        """`memory`: what was accepted before the agent started, where what came since was refused."""
        memory = memory if memory is not None and memory.network == book.network else LockMemory()
        self._heard = heard
        self._book = book
        self._on = False
        self._revision = -1
        self._touched: dict[str, RelayEntry | None] = {}
        self._entries: dict[str, RelayEntry] = {}
        self._came: RelayDocument | None = None
        self._document: RelayDocument | None = None
        self._clients: dict[str, AccessClient] = {}
        self._refused: dict[str, tuple[Refusal, ...]] = {}
        self._refused_here: tuple[Refusal, ...] = ()
        self._held: dict[str, RelayEntry] = {one.id: one for one in memory.held}
        self._held_clients: dict[str, AccessClient] = {one.id: one for one in memory.held_clients}
        self._retired: dict[str, tuple[str, ...]] = dict(memory.retired)
        self.remembered = 0
        """Moves whenever `remember` has something else to say."""
        self.relay: str = heard.relay
        self.network: str = heard.network
        self.prefix: IPv6Network = heard.prefix

    # -- as Desired -----------------------------------------------------------------------------------------------

    @property
    def settings(self) -> MeshSettings:
        return self._heard.settings

    @property
    def generation(self) -> int:
        return self._heard.generation

    @property
    def document_generation(self) -> int:
        return self._heard.document_generation

    @property
    def complete(self) -> bool:
        return self._heard.complete

    @property
    def revoked(self) -> bool:
        return self._heard.revoked

    @property
    def touched(self) -> bool:
        self._look()
        return bool(self._touched)

    @property
    def entries(self) -> Mapping[str, RelayEntry]:
        self._look()
        return self._entries if self._on else self._heard.entries

    @property
    def document(self) -> RelayDocument | None:
        self._look()
        return self._document if self._on else self._heard.document

    def take(self) -> Mapping[str, RelayEntry | None]:
        """The relays that changed since the last call, each with its entry of then (None: there was none)."""
        self._look()
        touched, self._touched = self._touched, {}
        return touched

    # -- the lock -------------------------------------------------------------------------------------------------

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """What is left out, and why; sorted by whom it is about."""
        self._look()
        return (*(one for relay in sorted(self._refused) for one in self._refused[relay]), *self._refused_here)

    @property
    def lacking(self) -> tuple[str, ...]:
        """Clients that nobody vouches for as they are wanted, as far as is known here: a newer statement may be missing
        as well as the first one, since pages that were missed bring none about clients."""
        self._look()
        document, refused = self._heard.document, {one.object for one in self._refused_here}
        clients = document.clients if document is not None else ()
        return tuple(one.id for one in clients if one.id in refused or self._book.client(one.id) is None)

    def remember(self, memory: LockMemory) -> LockMemory:
        """With what has to outlive the agent."""
        self._look()
        return msgspec.structs.replace(
            memory,
            held=tuple(self._held[relay] for relay in sorted(self._held)),
            held_clients=tuple(self._held_clients[client] for client in sorted(self._held_clients)),
            retired=dict(sorted(self._retired.items())),
        )

    def _look(self) -> None:
        """Bring all of it up to date with what was heard and with the lock."""
        came = self._heard.take()
        if not self._book.enforced and not self._on:
            for relay, before in came.items():
                self._touched.setdefault(relay, before)
            return
        if not self._book.enforced:
            self._turn_off()
            return
        if not self._on:
            for relay, before in came.items():
                self._touched.setdefault(relay, before)
            shown: Mapping[str, RelayEntry] = dict(self._heard.entries)
            self._on, self._entries = True, {}
            self._judge(shown.keys(), shown)
        elif self._revision != self._book.revision:
            self._judge({*self._entries, *self._heard.entries}, self._entries)
        elif came:
            self._judge(came.keys(), self._entries)
        if self._came is not self._heard.document or self._revision != self._book.revision:
            self._judge_document()
        self._revision = self._book.revision

    def _judge(self, relays: Iterable[str], shown: Mapping[str, RelayEntry]) -> None:
        """`shown`: what those below have seen last."""
        for relay in list(relays):
            came = self._heard.entries.get(relay)
            had = self._entries.get(relay)
            seen = shown.get(relay)
            after = self._judged(relay, came, had) if came is not None else None
            if came is None:
                self._refused.pop(relay, None)
                self._hold(relay, None)
            if after != seen:
                self._touched.setdefault(relay, seen)
            if after is None:
                self._entries.pop(relay, None)
            else:
                self._entries[relay] = after

    def _judged(self, relay: str, came: RelayEntry, had: RelayEntry | None) -> RelayEntry | None:
        if relay == self.relay:
            judged = judge_own(self._book, came)
        else:
            before = had or self._held.get(relay)
            judged = judge_relay(self._book, came, before=before, retired=self._retired.get(relay, ()))
            self._hold(relay, judged.entry if judged.held else None)
            if before is not None and judged.entry is not None and before.key != judged.entry.key:
                self._retired[relay] = (*self._retired.get(relay, ()), before.key)[-MOST_RETIRED:]
                self.remembered += 1
        if judged.refusals:
            self._refused[relay] = judged.refusals
        else:
            self._refused.pop(relay, None)
        return judged.entry

    def _hold(self, relay: str, entry: RelayEntry | None) -> None:
        if self._held.get(relay) == entry:
            return
        if entry is None:
            del self._held[relay]
        else:
            self._held[relay] = entry
        self.remembered += 1

    def _judge_document(self) -> None:
        came = self._came = self._heard.document
        if came is None:
            self._document, self._refused_here = None, ()
            return
        clients: dict[str, AccessClient] = {}
        held: dict[str, AccessClient] = {}
        refusals: list[Refusal] = []
        for one in came.clients:
            before = self._clients.get(one.id) or self._held_clients.get(one.id)
            judged = judge_client(self._book, one, at=came.relay, before=before)
            refusals += judged.refusals
            if judged.client is not None:
                clients[one.id] = judged.client
                if judged.held:
                    held[one.id] = judged.client
        peerings, wrong = judge_peerings(self._book, came)
        self.remembered += held != self._held_clients
        self._clients, self._held_clients = clients, held
        self._refused_here = (*refusals, *wrong)
        after = msgspec.structs.replace(came, clients=tuple(clients.values()), peerings=peerings)
        if after != self._document:  # the same object tells those below that nothing is new
            self._document = after

    def _turn_off(self) -> None:
        entries = self._heard.entries
        for relay in {*self._entries, *entries}:
            if self._entries.get(relay) != entries.get(relay):
                self._touched.setdefault(relay, self._entries.get(relay))
        self._on, self._entries, self._refused, self._refused_here = False, {}, {}, ()
        self._held, self._held_clients, self._clients = {}, {}, {}
        self.remembered += 1
        self._came = self._document = None
