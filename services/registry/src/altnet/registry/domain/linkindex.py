"""Which links the relays of a world have, kept up as relays and chosen links come and go.

Small networks are full meshes, which nobody spells out. In others a relay has its chosen links; one for which none are
chosen has those that it begins with (`topology`). What changes answers whose documents that concerns.

Invariant: links are symmetric, in whatever order relays and links arrive.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from altnet.common.contracts.desired import RelayState
from altnet.registry.domain.latency import Pair
from altnet.registry.domain.links import LinkKind
from altnet.registry.domain.topology import Slots, beginners_of, begins_with


class Linked(Protocol):
    """What of a relay its links depend on."""

    @property
    def id(self) -> str: ...
    @property
    def network(self) -> str: ...
    @property
    def slot(self) -> int: ...
    @property
    def endpoints(self) -> tuple[str, ...]: ...
    @property
    def state(self) -> RelayState: ...
    @property
    def revoked(self) -> bool: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """A chosen link between two relays."""

    id: str
    network: str
    pair: Pair
    kind: LinkKind


def link_id(pair: Pair) -> str:
    """The identifier of a link: those of its ends."""
    return ".".join(pair)


class LinkIndex:
    """The links of all networks. `relays` is the world's own dictionary, looked at and never changed here."""

    def __init__(self, relays: Mapping[str, Linked], *, full_mesh_up_to: int) -> None:
        self._relays = relays
        self._full_mesh_up_to = full_mesh_up_to
        self._links: dict[str, Link] = {}
        self._chosen_in: defaultdict[str, set[str]] = defaultdict(set)
        self._chosen_of: defaultdict[str, set[str]] = defaultdict(set)
        self._slots: defaultdict[str, Slots] = defaultdict(Slots)
        self._carriers: defaultdict[str, Slots] = defaultdict(Slots)
        self._unchosen: defaultdict[str, Slots] = defaultdict(Slots)

    def members(self, network: str) -> Iterable[str]:
        """The relays of a network that are not revoked."""
        return self._slots[network].relays()

    def chosen(self, network: str) -> dict[Pair, LinkKind]:
        """The chosen links of a network."""
        return {self._links[link].pair: self._links[link].kind for link in self._chosen_in[network]}

    def spelled_out(self, network: str) -> bool:
        """Whether documents name links: not in a full mesh."""
        return bool(self._chosen_in[network]) or len(self._slots[network]) > self._full_mesh_up_to

    def of(self, relay: Linked) -> tuple[str, ...] | None:
        """The relays that a relay has links to, sorted; None means all (`RelayDocument.links`)."""
        return tuple(sorted(self._of(relay))) if self.spelled_out(relay.network) else None

    def leave(self, relay: Linked) -> set[str]:
        """A relay goes, or becomes another; it is in the world still."""
        concerned = self._around(relay)
        for index in (self._slots, self._carriers, self._unchosen):
            index[relay.network].discard(relay.slot, relay.id)
        return concerned

    def enter(self, relay: Linked) -> set[str]:
        """A relay that is not revoked has come; it is in the world already."""
        self._slots[relay.network].add(relay.slot, relay.id)
        if carries(relay):
            self._carriers[relay.network].add(relay.slot, relay.id)
        if not self._chosen_of[relay.id]:
            self._unchosen[relay.network].add(relay.slot, relay.id)
        return self._around(relay)

    def replace(self, identifier: str, item: Link | None) -> set[str]:
        """A link is chosen, another than before, or no longer."""
        before = self._links.get(identifier)
        if before == item:
            return set()
        both = [link for link in (before, item) if link is not None]
        spelled = {link.network: self.spelled_out(link.network) for link in both}
        if before is not None:
            del self._links[identifier]
            self._chosen_in[before.network].discard(identifier)
            for end in before.pair:
                self._chosen_of[end].discard(identifier)
        if item is not None:
            self._links[identifier] = item
            self._chosen_in[item.network].add(identifier)
            for end in item.pair:
                self._chosen_of[end].add(identifier)
        concerned = {end for link in both for end in link.pair}
        for end in sorted(concerned):
            concerned |= self._begins(end)
        for network, was in spelled.items():
            if self.spelled_out(network) != was:
                concerned.update(self._slots[network].relays())
        return concerned

    def _of(self, relay: Linked) -> set[str]:
        """The chosen links of a relay, those it begins with, and those of beginners to it."""
        carriers, unchosen = self._carriers[relay.network], self._unchosen[relay.network]
        found = {end for link in self._chosen_of[relay.id] for end in self._links[link].pair}
        found = {end for end in found if self._takes_part(end, relay.network)}
        if not self._chosen_of[relay.id]:
            found.update(begins_with(relay.slot, carriers))
        if unchosen and carries(relay):
            found.update(beginners_of(relay.slot, carriers, unchosen))
        return found - {relay.id}

    def _around(self, relay: Linked) -> set[str]:
        """The relays whose links may differ with and without `relay`, which is present."""
        network = relay.network
        if not self.spelled_out(network):
            return set()
        if not self._chosen_in[network] and len(self._slots[network]) == self._full_mesh_up_to + 1:
            return set(self._slots[network].relays())  # without it they are not spelled out
        return self._of(relay) | set(begins_with(relay.slot, self._carriers[network]))

    def _begins(self, identifier: str) -> set[str]:
        """A relay may have got its first chosen link, or lost its last: whose links that changes beside its own."""
        relay = self._relays.get(identifier)
        if relay is None or relay.revoked:
            return set()
        unchosen = self._unchosen[relay.network]
        (unchosen.discard if self._chosen_of[identifier] else unchosen.add)(relay.slot, relay.id)
        return set(begins_with(relay.slot, self._carriers[relay.network]))

    def _takes_part(self, identifier: str, network: str) -> bool:
        relay = self._relays.get(identifier)
        return relay is not None and not relay.revoked and relay.network == network


def carries(relay: Linked) -> bool:
    """Whether relays without chosen links begin with one to this relay."""
    return relay.state is RelayState.ACTIVE and bool(relay.endpoints)


def links_as(relay: Linked) -> tuple[object, ...]:
    """What of a relay must differ for any links to differ."""
    return relay.network, relay.slot, relay.revoked, carries(relay)
