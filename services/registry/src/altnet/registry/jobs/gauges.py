"""What `/metrics` shows of the registry: numbers of few labels, read when they are asked for.

Per relay there is nothing here: a thousand relays with fifty links each would be a million series. The API has those,
and `detail.py` for who wants them here all the same.
"""

from __future__ import annotations

from functools import partial

from altnet.common.contracts.routing import Engine
from altnet.common.metrics import Metrics
from altnet.registry.consumers import Reports
from altnet.registry.domain.liveness import Health
from altnet.registry.domain.sessions import Standing
from altnet.registry.jobs.convergence import Convergence
from altnet.registry.jobs.director import Director
from altnet.registry.jobs.learning import Learning
from altnet.registry.jobs.pulse import Pulse
from altnet.registry.jobs.sessions import Sessions


class Gauges:
    """Registers them."""

    def __init__(
        self, metrics: Metrics, *, pulse: Pulse, convergence: Convergence, director: Director, reports: Reports
    ) -> None:
        health = metrics.gauge("relays", "Relays by health, on the leader.", labels=("health",))
        for one in Health:
            health.labels(one.value).set_function(lambda one=one: pulse.healths[one])  # type: ignore[misc]  # bound now
        leading = metrics.gauge("leading", "1 where this replica plans and tracks.")
        leading.set_function(lambda: float(convergence.leading))
        waiting = metrics.gauge("changes_open", "Changes that somebody concerned has not applied.")
        waiting.set_function(lambda: convergence.tracker.open_changes() if convergence.leading else 0)
        behind = metrics.gauge("documents_unpublished", "Documents that are planned and not on the bus.")
        behind.set_function(lambda: director.planning.behind)
        unpushed = metrics.gauge("revocations_unpushed", "Revoked relays that the bus could not be told of yet.")
        unpushed.set_function(lambda: director.unpushed)
        newest = metrics.gauge("change_planned", "Number of the newest planned change.")
        newest.set_function(lambda: director.planning.newest)
        oldest = metrics.gauge("preshared_key_age", "Age of the oldest pre-shared key, in seconds.")
        oldest.set_function(lambda: max((age for age in pulse.preshared_ages() if age is not None), default=0.0))
        without = metrics.gauge("links_without_preshared_key", "Ends of links that have no pre-shared key.")
        without.set_function(lambda: sum(age is None for age in pulse.preshared_ages()))
        lost = metrics.gauge("heartbeats_lost", "Heartbeats that never arrived, by gaps in their numbers.")
        lost.set_function(lambda: pulse.lost)
        heard = metrics.gauge("reports_heard", "Heartbeats and acknowledgements heard since the start.")
        heard.set_function(lambda: reports.heard)
        unreadable = metrics.gauge("reports_unreadable", "Reports that could not be read since the start.")
        unreadable.set_function(lambda: reports.unreadable)


class RoutingGauges:
    """The same for routing."""

    def __init__(self, metrics: Metrics, *, pulse: Pulse, sessions: Sessions, learning: Learning) -> None:
        engines = metrics.gauge("relays_routing", "Relays by routing engine and its state.", labels=("engine", "state"))
        for engine in Engine:
            for state in ("healthy", "failing"):
                count = partial(_routing, pulse, engine, state == "healthy")
                engines.labels(engine.value, state).set_function(count)
        sessions_of_mesh = metrics.gauge(
            "mesh_sessions",
            "Ends of BGP sessions between relays, as each relay last said; one that is not established is down.",
            labels=("state",),
        )
        bfd = metrics.gauge(
            "mesh_bfd_sessions",
            "Ends of BFD sessions between relays, as each relay last said; one that is not up is down.",
            labels=("state",),
        )
        for state in ("established", "down"):
            sessions_of_mesh.labels(state).set_function(partial(_mesh_sessions, pulse, state == "established"))
        for state in ("up", "down"):
            bfd.labels(state).set_function(partial(_mesh_bfd, pulse, state == "up"))
        kernel = metrics.gauge("routes_in_kernels", "Routes that routing engines have put into relays' kernels.")
        kernel.set_function(lambda: sum(one.routes for one in pulse.routing()))
        standing = metrics.gauge(
            "peerings", "Peerings by the standing of their session, on the leader.", labels=("standing",)
        )
        for one in Standing:
            standing.labels(one.value).set_function(lambda one=one: sessions.standings[one])  # type: ignore[misc]  # bound now
        for what, help, read in (
            ("routes_learned", "Routes of neighbours outside that are recorded.", lambda: learning.learned),
            (
                "routes_refused",
                "Routes of neighbours outside that filters refuse.",
                lambda: learning.refused,
            ),
            (
                "routes_ignored",
                "Routes in relays' answers that made no sense.",
                lambda: learning.ignored,
            ),
            ("relays_asked", "Questions to relays for learned routes since the start.", lambda: learning.asked),
            ("relays_unanswered", "Such questions without an answer.", lambda: learning.unanswered),
            ("relays_to_ask", "Relays whose learned routes are not as recorded.", lambda: learning.waiting),
        ):
            metrics.gauge(what, help).set_function(read)


def _routing(pulse: Pulse, engine: Engine, healthy: bool) -> float:
    return sum(one.engine is engine and one.healthy is healthy for one in pulse.routing())


def _mesh_sessions(pulse: Pulse, established: bool) -> float:
    return sum((one.state == "established") is established for said in pulse.routing() for one in said.sessions)


def _mesh_bfd(pulse: Pulse, up: bool) -> float:
    return sum((one.bfd == "up") is up for said in pulse.routing() for one in said.sessions if one.bfd)
