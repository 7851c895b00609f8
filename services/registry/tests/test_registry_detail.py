"""`/metrics` in detail: each relay, each end of a link, and never more than was allowed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from altnet.common.clock import FixedClock
from altnet.common.contracts.agent import Applied, Heartbeat, HostStatus, LinkStatus
from altnet.common.metrics import Metrics, render
from altnet.registry.jobs.detail import Detail
from altnet.registry.store.status import Beat
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
ENDS = ("relay", "neighbour")
NOTHING = Applied(mesh_generation=0, mesh_digest="", document_generation=0, document_digest="")


def beat(relay: str, *links: LinkStatus, age: float = 0) -> Beat:
    said = Heartbeat(boot="b", number=0, applied=NOTHING, links=links, host=HostStatus(load=0.5, memory_used=0.25))
    return Beat(relay, NOW - timedelta(seconds=age), said)


def link(neighbour: str, **more: float) -> LinkStatus:
    return LinkStatus(neighbour=neighbour, up=True, received=1000, sent=2000, **more)  # type: ignore[arg-type]  # a shorthand of these tests


def samples(*beats: Beat, most_series: int = 1000) -> dict[tuple[str, ...], float]:
    """What Prometheus reads: (name without its stem, relay, neighbour) → number. A series twice is an error."""
    registry = CollectorRegistry()
    newest = {one.relay: one for one in beats}
    Detail(Metrics(registry, service="registry"), newest=lambda: newest, clock=FixedClock(NOW), most_series=most_series)
    found: dict[tuple[str, ...], float] = {}
    for family in text_string_to_metric_families(render(registry).decode()):
        for sample in family.samples:
            key = (
                sample.name.removeprefix("altnet_registry_"),
                *(sample.labels[end] for end in ENDS if end in sample.labels),
            )
            assert key not in found
            found[key] = sample.value
    return found


def test_each_relay_and_each_end_of_a_link_has_its_numbers() -> None:
    found = samples(beat("rly_a", link("rly_b", rtt=0.02, loss=0.1, handshake_age=30.0), age=4), beat("rly_b"))

    assert found == {
        ("relay_load", "rly_a"): 0.5,
        ("relay_load", "rly_b"): 0.5,
        ("relay_memory_used", "rly_a"): 0.25,
        ("relay_memory_used", "rly_b"): 0.25,
        ("relay_agent_bytes", "rly_a"): 0,
        ("relay_agent_bytes", "rly_b"): 0,
        ("relay_heartbeat_age_seconds", "rly_a"): 4,
        ("relay_heartbeat_age_seconds", "rly_b"): 0,
        ("link_up", "rly_a", "rly_b"): 1,
        ("link_rtt_seconds", "rly_a", "rly_b"): 0.02,
        ("link_loss", "rly_a", "rly_b"): 0.1,
        ("link_handshake_age_seconds", "rly_a", "rly_b"): 30,
        ("link_received_bytes_total", "rly_a", "rly_b"): 1000,
        ("link_sent_bytes_total", "rly_a", "rly_b"): 2000,
        ("detail_left_out",): 0,
    }


def test_what_was_not_measured_is_no_number() -> None:
    names = {name for name, *_ in samples(beat("rly_a", link("rly_b")))}

    assert not names & {"link_rtt_seconds", "link_loss", "link_handshake_age_seconds"}


def test_a_relay_that_names_a_neighbour_twice_spoils_nothing() -> None:
    found = samples(beat("rly_a", link("rly_b", rtt=0.1), link("rly_b", rtt=0.2)))

    assert found["link_rtt_seconds", "rly_a", "rly_b"] == 0.2


def test_there_are_never_more_series_than_allowed_and_what_is_left_out_is_counted() -> None:
    full = [link(f"rly_{number}", rtt=0.1, loss=0.0, handshake_age=1.0) for number in range(10)]
    beats = [beat(f"rly_{number}", *full) for number in range(10)]

    found = samples(*beats, most_series=200)

    relays = {key[1] for key in found if len(key) > 1}
    assert relays == {"rly_0", "rly_1", "rly_2"}  # 64 series each
    assert len(found) - 1 == 3 * 64
    assert found["detail_left_out",] == 7 * 64
