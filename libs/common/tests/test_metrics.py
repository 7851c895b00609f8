"""Metrics: one way to name them, one registry a service."""

from __future__ import annotations

import pytest
from altnet.common import metrics
from prometheus_client import CollectorRegistry


def test_a_metric_is_named_after_its_service_and_shown_as_text() -> None:
    registry = CollectorRegistry()
    made = metrics.Metrics(registry, service="relay-agent")

    made.counter("drops", "Dropped.", labels=("plane",)).labels("wireguard").inc(2)
    made.gauge("peers", "Peers.").set(7)
    made.histogram("apply_seconds", "Time.").observe(0.003)

    text = metrics.render(registry).decode()
    assert 'altnet_relay_agent_drops_total{plane="wireguard"} 2.0' in text
    assert "altnet_relay_agent_peers 7.0" in text
    assert 'altnet_relay_agent_apply_seconds_bucket{le="0.005"} 1.0' in text


def test_two_services_of_one_process_do_not_meet() -> None:
    one, other = CollectorRegistry(), CollectorRegistry()
    metrics.Metrics(one, service="registry").gauge("x", "X.").set(1)
    metrics.Metrics(other, service="registry").gauge("x", "X.").set(2)

    assert b"altnet_registry_x 1.0" in metrics.render(one)
    assert metrics.render(one, other).count(b"# TYPE altnet_registry_x gauge") == 2


@pytest.mark.parametrize("name", ["", "Peers", "peers-up", "_peers", "peers_"])
def test_a_name_outside_the_convention_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="metric name"):
        metrics.Metrics(CollectorRegistry(), service="registry").gauge(name, "X.")


def test_the_process_itself_is_counted_once_for_all_services() -> None:
    registry = CollectorRegistry()
    metrics.add_process(registry)

    assert b"process_resident_memory_bytes" in metrics.render(registry)
