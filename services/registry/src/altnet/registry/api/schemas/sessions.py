"""What relays say of their routing: engine and sessions."""

from __future__ import annotations

from datetime import datetime, timedelta

from altnet.common.contracts.routing import Engine, RoutingStatus, SessionStatus
from altnet.common.http.schema import Model
from altnet.registry.api.schemas.common import Time


class Session(Model):
    """One BGP session, as the relay sees it."""

    neighbour: str
    """A relay or a peering."""
    state: str
    """`established`, or what the routing engine calls it."""
    since: Time | None
    """In this state since then."""
    bfd: str
    """`up`, `down`, `init`, `admin_down`; empty: no BFD here."""
    received: int
    """Routes that passed the import filter."""
    refused: int
    """Routes that did not."""
    sent: int
    cost: int | None
    """What the link adds to a path's cost."""
    problem: str
    heard_at: Time
    """When the relay said so."""

    @classmethod
    def of(cls, said: SessionStatus, at: datetime) -> Session:
        return cls(
            neighbour=said.neighbour,
            state=said.state,
            since=_before(at, said.since),
            bfd=said.bfd,
            received=said.received,
            refused=said.refused,
            sent=said.sent,
            cost=said.cost,
            problem=said.problem,
            heard_at=at,
        )


class RelayRouting(Model):
    """A relay's routing in short."""

    engine: Engine
    version: str
    healthy: bool
    problem: str
    """Why it is not as it should be."""
    sessions: int
    """With other relays, as configured."""
    sessions_up: int
    """Of these, established."""
    bfd: int
    """Sessions with other relays that BFD watches."""
    bfd_up: int
    peerings: int
    peerings_up: int
    routes: int
    """In the kernel, of the engine's making."""
    learned: int
    """Routes that its peerings brought in."""
    refused: int
    """Routes that its peerings' filters refused."""

    @classmethod
    def of(cls, said: RoutingStatus) -> RelayRouting:
        return cls(
            engine=said.engine,
            version=said.version,
            healthy=said.healthy,
            problem=said.problem,
            sessions=len(said.sessions),
            sessions_up=sum(one.state == "established" for one in said.sessions),
            bfd=sum(bool(one.bfd) for one in said.sessions),
            bfd_up=sum(one.bfd == "up" for one in said.sessions),
            peerings=len(said.peerings),
            peerings_up=sum(one.state == "established" for one in said.peerings),
            routes=said.routes,
            learned=sum(one.received for one in said.peerings),
            refused=sum(one.refused for one in said.peerings),
        )


class RelaySessions(Model):
    """Every BGP session of a relay, as it last said."""

    relay: str
    routing: RelayRouting | None
    """Null: it has not said anything of its routing."""
    heard_at: Time | None
    sessions: list[Session]
    """With other relays."""
    peerings: list[Session]
    """With routers outside."""


def _before(at: datetime, seconds: float | None) -> datetime | None:
    if seconds is None or not 0 <= seconds < 10**9:
        return None
    return at - timedelta(seconds=seconds)
