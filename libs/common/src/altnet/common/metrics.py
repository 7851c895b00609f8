"""Metrics, named one way: `altnet_<service>_<what>_<unit>`.

Each service counts in its own `CollectorRegistry`, so that several live in one process; a registry is a parameter,
never prometheus-client's global one. Labels are for values that are few and known: never identifiers of users,
raw paths or texts. Where an operator asks for more, a collector of its own bounds the number of series
(`altnet.registry.jobs.detail`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Buckets for durations: from one indexed query to a request that is about to be given up."""

_NAME: Final = re.compile(r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$")


class Metrics:
    """Makes the metrics of one service in one registry."""

    def __init__(self, registry: CollectorRegistry, *, service: str) -> None:
        self.registry = registry
        self._stem = f"altnet_{service.replace('-', '_')}"

    def counter(self, what: str, help: str, *, labels: Sequence[str] = ()) -> Counter:
        """Something that only grows. `what` ends with what is counted: `http_requests`; `_total` is added."""
        return Counter(self.name(what), help, labelnames=labels, registry=self.registry)

    def gauge(self, what: str, help: str, *, labels: Sequence[str] = ()) -> Gauge:
        """Something that goes up and down."""
        return Gauge(self.name(what), help, labelnames=labels, registry=self.registry)

    def histogram(
        self, what: str, help: str, *, labels: Sequence[str] = (), buckets: Sequence[float] = SECONDS
    ) -> Histogram:
        """How something is spread; durations are in seconds and `what` ends in `_seconds`."""
        return Histogram(self.name(what), help, labelnames=labels, buckets=buckets, registry=self.registry)

    def name(self, what: str) -> str:
        """The whole name of a metric, for a collector of one's own."""
        if not _NAME.match(what):
            raise ValueError(f"not a metric name: {what!r}")
        return f"{self._stem}_{what}"


def add_process(registry: CollectorRegistry) -> None:
    """Add what is the process's own (memory, files, garbage collection); once per process, not per service."""
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)


def render(*registries: CollectorRegistry) -> bytes:
    """The text that Prometheus reads (content type `CONTENT_TYPE`)."""
    return b"".join(generate_latest(registry) for registry in registries)
