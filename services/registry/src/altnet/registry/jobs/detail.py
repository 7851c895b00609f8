"""What `/metrics` shows of each relay and each link, where the operator wants it: load, round trips, loss, bytes.

It is off unless `metrics.detailed` says otherwise, because it is a series per link, end and number: a thousand relays
with fourteen links each would be 88,000. The API keeps a short series of the same without that.

Invariant: never more than `metrics.most_series`; a relay is there whole or not at all, in the order of identifiers as
far as they fit, and how many series are left out is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final

from altnet.common.clock import Clock
from altnet.common.contracts.agent import LinkStatus
from altnet.common.metrics import Metrics
from altnet.registry.store.status import Beat
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

Families = dict[str, GaugeMetricFamily | CounterMetricFamily]

_RELAY: Final[Mapping[str, tuple[str, Callable[[Beat], float]]]] = {
    "relay_load": ("Runnable processes per processor, mean of a minute.", lambda beat: beat.heartbeat.host.load),
    "relay_memory_used": ("Share of memory in use.", lambda beat: beat.heartbeat.host.memory_used),
    "relay_agent_bytes": ("Memory of the agent.", lambda beat: beat.heartbeat.host.agent_rss),
}
_LINK: Final[Mapping[str, tuple[str, Callable[[LinkStatus], float | None]]]] = {
    "link_up": ("1 where this end says that the link is up.", lambda link: float(link.up)),
    "link_rtt_seconds": ("Round trip.", lambda link: link.rtt),
    "link_loss": ("Share of probes without an answer.", lambda link: link.loss),
    "link_handshake_age_seconds": ("Since WireGuard's last handshake.", lambda link: link.handshake_age),
}
_LINK_TOTALS: Final[Mapping[str, tuple[str, Callable[[LinkStatus], float | None]]]] = {
    "link_received_bytes": ("As WireGuard counts; starts anew with a key.", lambda link: link.received),
    "link_sent_bytes": ("As WireGuard counts; starts anew with a key.", lambda link: link.sent),
}
_OF_A_RELAY: Final = len(_RELAY) + 1
_OF_A_LINK: Final = len(_LINK) + len(_LINK_TOTALS)


class Detail(Collector):
    """Registers itself; read when somebody asks for `/metrics`, from the newest heartbeat of each relay."""

    def __init__(
        self, metrics: Metrics, *, newest: Callable[[], Mapping[str, Beat]], clock: Clock, most_series: int
    ) -> None:
        self._name = metrics.name
        self._newest = newest
        self._clock = clock
        self._most = most_series
        metrics.registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """The families of one reading."""
        families = self._families()
        now, left, left_out = self._clock.now(), self._most, 0
        for relay, beat in sorted(self._newest().items()):
            # By neighbour: a relay that names one twice must not make the whole answer unreadable.
            links = {link.neighbour: link for link in beat.heartbeat.links}
            series = _OF_A_RELAY + _OF_A_LINK * len(links)
            if series > left:
                left_out += series
                continue
            left -= series
            _add(families, relay, beat, links.values(), now)
        families["detail_left_out"].add_metric([], left_out)
        yield from families.values()

    def _families(self) -> Families:
        ends = ("relay", "neighbour")
        families: Families = {
            what: GaugeMetricFamily(self._name(what), help, labels=("relay",)) for what, (help, _) in _RELAY.items()
        }
        families["relay_heartbeat_age_seconds"] = GaugeMetricFamily(
            self._name("relay_heartbeat_age_seconds"), "Age of all that is told of this relay.", labels=("relay",)
        )
        for what, (help, _) in _LINK.items():
            families[what] = GaugeMetricFamily(self._name(what), help, labels=ends)
        for what, (help, _) in _LINK_TOTALS.items():
            families[what] = CounterMetricFamily(self._name(what), help, labels=ends)
        families["detail_left_out"] = GaugeMetricFamily(
            self._name("detail_left_out"), "Series of relays and links beyond the bound.", labels=()
        )
        return families


def _add(families: Families, relay: str, beat: Beat, links: Iterable[LinkStatus], now: datetime) -> None:
    for what, (_, number) in _RELAY.items():
        families[what].add_metric([relay], number(beat))
    families["relay_heartbeat_age_seconds"].add_metric([relay], (now - beat.at).total_seconds())
    for link in links:
        for what, (_, read) in (*_LINK.items(), *_LINK_TOTALS.items()):
            value = read(link)
            if value is not None:  # not measured is no number
                families[what].add_metric([relay, link.neighbour], value)
