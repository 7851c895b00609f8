"""Links between relays."""

from __future__ import annotations

from typing import Any

from altnet.common.http.schema import Model
from altnet.registry.api.schemas.common import Time
from altnet.registry.domain.links import LinkKind
from altnet.registry.tables import RelayRow

_WHY = {
    LinkKind.MESH: "the network is small: everybody has a link to everybody",
    LinkKind.NEAR: "among the nearest relays of one of its ends",
    LinkKind.SHORTCUT: "keeps paths short across a large region",
    LinkKind.REGION: "one of at least two that connect the regions {one} and {other}",
    LinkKind.PATH: "without it the loss of one relay would cut somebody off",
    LinkKind.DRAINED: "one of the two on which a draining relay hangs; nothing passes through that relay",
}


class LinkEnd(Model):
    relay: str
    name: str
    region: str

    @classmethod
    def of(cls, row: RelayRow) -> LinkEnd:
        return cls(relay=row.id, name=row.name, region=row.region)


class Link(Model):
    """A link that exists."""

    id: str
    network: str
    one: LinkEnd
    other: LinkEnd
    kind: LinkKind
    why: str
    latency: float | None
    """Milliseconds, as they last; null where nobody has measured."""
    measured_at: Time | None
    chosen_at: Time | None
    """Null in a full mesh, where nothing is chosen."""

    @classmethod
    def of(cls, row: Any, relays: dict[str, RelayRow]) -> Link:
        ends = [relays[row.one], relays[row.other]]
        kind = LinkKind(row.kind)
        one, other = (end.region or "(none)" for end in ends)
        return cls(
            id=row.id,
            network=row.network_id,
            one=LinkEnd.of(ends[0]),
            other=LinkEnd.of(ends[1]),
            kind=kind,
            why=_WHY[kind].format(one=one, other=other),
            latency=row.milliseconds,
            measured_at=row.measured_at,
            chosen_at=row.chosen_at,
        )
