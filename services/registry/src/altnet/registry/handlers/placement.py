"""Which relay a client gets: gathers what is known of each, and asks `domain.selection`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from altnet.common.errors import Exhausted
from altnet.registry.domain.endpoints import split_endpoint
from altnet.registry.domain.liveness import Health
from altnet.registry.domain.selection import Candidate, Ranking, choose, standby_for
from altnet.registry.store import relays
from sqlalchemy.ext.asyncio import AsyncSession


async def rank_with_standby(
    session: AsyncSession,
    network: str,
    *,
    region: str = "",
    latencies: Mapping[str, float] | None = None,
    current: str | None = None,
    standby: str | None = None,
) -> Ranking:
    """Every relay of the network that is not revoked, best first, the one to use and the one that stands by.

    `latencies` are milliseconds by relay; `current` and `standby` are the client's present ones.
    """
    known = await candidates(session, network, without=current)
    return choose(known, region=region, latencies=latencies, current=current, standby=standby)


async def candidates(session: AsyncSession, network: str, *, without: str | None = None) -> list[Candidate]:
    """The relays of a network as candidates. One client on the relay `without` is not counted: the one that asks."""
    rows = await relays.usable(session, network)
    status = await relays.status(session, [row.id for row in rows])
    counts = await relays.client_counts(session, network)
    return [
        Candidate(
            relay=row.id,
            name=row.name,
            region=row.region,
            health=Health(status[row.id].health) if row.id in status else Health.NEW,
            draining=row.state == "draining",
            reachable=bool(row.endpoints),
            clients=counts.get(row.id, 0) - (1 if row.id == without else 0),
            weight=row.weight,
            load=status[row.id].load if row.id in status else 0.0,
            labels={"host": _host(row.endpoints), **row.labels} if row.endpoints else row.labels,
        )
        for row in rows
    ]


async def choose_relay(
    session: AsyncSession, network: str, *, region: str, latencies: Mapping[str, float], current: str | None
) -> str:
    """The best relay. Raises `Exhausted` (`no_usable_relay`)."""
    ranking = await rank_with_standby(session, network, region=region, latencies=latencies, current=current)
    if ranking.relay is None:
        raise Exhausted(
            "no_usable_relay",
            "no relay can take clients: "
            + ("there is none." if not ranking.ranked else "all are down, draining or unreachable."),
            field="/relay",
            mend="Enrol a relay with an endpoint, or see GET /v1/relays.",
        )
    return ranking.relay


async def choose_standby(
    session: AsyncSession, network: str, *, primary: str, region: str = "", latencies: Mapping[str, float] | None = None
) -> str | None:
    """The relay that a client of `primary` goes to when that is away. None where there is no other usable one."""
    known = await candidates(session, network)
    return standby_for(primary, known, region=region, latencies=latencies)


def _host(endpoints: Sequence[str]) -> str:
    return split_endpoint(endpoints[0])[0]
