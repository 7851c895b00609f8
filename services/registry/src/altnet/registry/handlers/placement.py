"""Which relay a client gets: gathers what is known of each, and asks `domain.selection`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from altnet.common.errors import Exhausted
from altnet.registry.domain.endpoints import split_endpoint
from altnet.registry.domain.liveness import Health
from altnet.registry.domain.selection import Candidate, Ranked, pick_standby, rank
from altnet.registry.store import relays
from sqlalchemy.ext.asyncio import AsyncSession


async def rank_relays(
    session: AsyncSession,
    network: str,
    *,
    region: str = "",
    latencies: Mapping[str, float] | None = None,
    current: str | None = None,
) -> list[Ranked]:
    """Every relay of the network that is not revoked, best first; `latencies` are milliseconds by relay."""
    rows = await relays.usable(session, network)
    status = await relays.status(session, [row.id for row in rows])
    counts = await relays.client_counts(session, network)
    candidates = [
        Candidate(
            relay=row.id,
            name=row.name,
            region=row.region,
            health=Health(status[row.id].health) if row.id in status else Health.NEW,
            draining=row.state == "draining",
            reachable=bool(row.endpoints),
            clients=counts.get(row.id, 0) - (1 if row.id == current else 0),
            weight=row.weight,
            load=status[row.id].load if row.id in status else 0.0,
        )
        for row in rows
    ]
    return rank(candidates, region=region, latencies=latencies, current=current)


async def choose_relay(
    session: AsyncSession, network: str, *, region: str, latencies: Mapping[str, float], current: str | None
) -> str:
    """The best relay. Raises `Exhausted` (`no_usable_relay`)."""
    ranked = await rank_relays(session, network, region=region, latencies=latencies, current=current)
    if not ranked or not ranked[0].usable:
        raise Exhausted(
            "no_usable_relay",
            "no relay can take clients: "
            + ("there is none." if not ranked else "all are down, draining or unreachable."),
            field="/relay",
            mend="Enrol a relay with an endpoint, or see GET /v1/relays.",
        )
    return ranked[0].relay


async def choose_standby(
    session: AsyncSession, network: str, *, primary: str, region: str = "", latencies: Mapping[str, float] | None = None
) -> str | None:
    """The relay that a client of `primary` goes to when that is away, best on another host and in another region.

    None where there is no other usable one.
    """
    rows = {row.id: row for row in await relays.usable(session, network)}
    ranked = await rank_relays(session, network, region=region, latencies=latencies)

    def apart(one: str, other: str) -> tuple[bool, bool]:
        if one not in rows or other not in rows:
            return True, True
        here, there = rows[one], rows[other]
        return not (_hosts(here.endpoints) & _hosts(there.endpoints)), here.region != there.region

    return pick_standby(ranked, primary=primary, apart=apart)


def _hosts(endpoints: Sequence[str]) -> set[str]:
    return {split_endpoint(endpoint)[0] for endpoint in endpoints}
