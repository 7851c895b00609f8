"""A connection's counters on `/metrics`.

Invariant: read when asked for, so that counting costs an addition.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from altnet.common.bus.connect import Bus
from altnet.common.metrics import Metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_HELP: Final = {
    "connects": "Connections made to the bus.",
    "losses": "Connections to the bus that were lost.",
    "refusals": "Attempts that the bus refused.",
    "violations": "What the bus forbade this service.",
    "handler_errors": "Messages whose handler failed.",
    "rpc_refused": "Requests told to come back, because more was asked than could be answered in time.",
    "rpc_dropped": "Requests that nobody waited for any more when their turn came.",
    "dropped": "Messages dropped: too many waited, or they came under a foreign subject.",
}


class BusCounters(Collector):
    """Registers itself."""

    def __init__(self, metrics: Metrics, bus: Bus) -> None:
        self._name = metrics.name
        self._bus = bus
        metrics.registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """The families of one reading."""
        connected = GaugeMetricFamily(self._name("bus_connected"), "1 while the bus is there.")
        connected.add_metric([], float(self._bus.connected))
        yield connected
        for what, help in _HELP.items():
            yield CounterMetricFamily(self._name(f"bus_{what}"), help, value=float(getattr(self._bus.counters, what)))
