"""What `/metrics` shows of the registry: numbers of few labels, read when they are asked for.

Per relay there is nothing here: a thousand relays with fifty links each would be a million series. The API has those.
"""

from __future__ import annotations

from altnet.common.metrics import Metrics
from altnet.registry.consumers import Reports
from altnet.registry.domain.liveness import Health
from altnet.registry.jobs.convergence import Convergence
from altnet.registry.jobs.director import Director
from altnet.registry.jobs.pulse import Pulse


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
        newest = metrics.gauge("change_planned", "Number of the newest planned change.")
        newest.set_function(lambda: director.planning.newest)
        lost = metrics.gauge("heartbeats_lost", "Heartbeats that never arrived, by gaps in their numbers.")
        lost.set_function(lambda: pulse.lost)
        heard = metrics.gauge("reports_heard", "Heartbeats and acknowledgements heard since the start.")
        heard.set_function(lambda: reports.heard)
        unreadable = metrics.gauge("reports_unreadable", "Reports that could not be read since the start.")
        unreadable.set_function(lambda: reports.unreadable)
