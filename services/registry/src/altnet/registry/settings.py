"""The registry's settings. Times in seconds unless the name says otherwise; each default says why."""

from __future__ import annotations

import msgspec


class EnrolmentSettings(msgspec.Struct, frozen=True, kw_only=True):
    clock_skew: float = 300.0
    """Between the host's clock and ours: a fresh virtual machine is easily minutes off, a replay is usually older."""
    credentials_lifetime: float = 86_400.0
    """Of a relay's bus credentials: renewed at half of it, so a relay survives half a day without the registry."""
    attempts_at_once: float = 60.0
    """Per source address: a rack behind one address may enrol together."""
    attempts_per_second: float = 2.0
    """Per source address, after the burst."""
    sources_remembered: int = 4096
    """Bounds the memory of the rate limit: about 1 MiB."""


class NetworkSettings(msgspec.Struct, frozen=True, kw_only=True):
    name: str = "default"
    """Of the network that is made on first start."""
    prefix: str = "fd42:1337:beef::/48"
    """Its prefix, or `random` for one by RFC 4193."""
    domain: str = "alt"
    """The search domain in clients' configuration."""


class PlanningSettings(msgspec.Struct, frozen=True, kw_only=True):
    full_mesh_up_to: int = 64
    """Relays. Beyond it a relay's tunnels and routing sessions cost more than the hop that they save."""
    poll: float = 1.0
    """When a notification got lost, this is how late a change may be planned."""
    put_timeout: float = 5.0
    """For one write to a bucket: with three servers a leader election takes 4.4 s (measured)."""
    verify_every: float = 60.0
    """A wiped bucket is seen at reconnect; this is the net below it."""
    largest_batch: int = 500
    """Changes planned at once: bounds the time that the loop is not listening."""


class LinkSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How links are chosen beyond the full mesh."""

    settle: float = 0.5
    """After relays came or went, before links are chosen: a rack that enrols together is chosen for once."""
    review_every: float = 300.0
    """Between two looks whether links should move: as long as a latency must last to count."""
    share_moved: float = 0.02
    """Of all links, moved in one review at most: a wrong measurement cannot turn the mesh over."""
    moved_at_least: int = 4
    """Links that a review may move however small the network."""
    latency_window: float = 150.0
    """The lowest round trip of two such windows counts, so a longer one must last for 150 to 300 s."""
    latency_share: float = 0.2
    """A latency that changed by less than that is not written down …"""
    latency_least: float = 5.0
    """… nor by less than so many milliseconds: jitter on wide-area paths stays below."""
    flush_latencies: float = 30.0
    """Latencies that changed for good are written that often."""
    latency_kept: float = 30 * 86_400.0
    """Of a pair that has no link any more: until then nobody tries it again in vain, afterwards it may have changed."""
    back_to_full_mesh: float = 0.75
    """Of `planning.full_mesh_up_to`: at so few relays chosen links are dropped again; the gap keeps a network at the
    bound from changing over with each relay."""


class BalancingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the registry moves clients that can follow."""

    every: float = 10.0
    """Between two looks."""
    clients_per_minute: float = 60.0
    """Moved at most, in each network: a new relay fills within minutes, and a wrong judgement is seen before it has
    moved many. Clients of a dead relay do not wait for this: they turn to their standby relay by themselves."""
    patience: float = 60.0
    """After this replica took the lead: healths and loads are old until everybody was heard again."""


class TrackingSettings(msgspec.Struct, frozen=True, kw_only=True):
    flush_receipts: float = 0.25
    """Receipts are collected for that long and written as one statement."""
    flush_status: float = 5.0
    """Heartbeats are written that often, whatever their number."""
    open_changes: int = 10_000
    """Changes kept in memory while somebody has not applied them; older ones are answered from Postgres."""
    receipts_kept: float = 7 * 86_400.0
    """Then a change's summary (count, p50, p99) is all that stays."""
    series_length: int = 120
    """Heartbeats kept per relay in memory: 10 minutes at 5 s."""


class LivenessSettings(msgspec.Struct, frozen=True, kw_only=True):
    late_after: int = 2
    """Missed heartbeats: one may get lost, two in a row rarely do."""
    down_after: int = 4
    """Missed heartbeats."""
    down_at_least: float = 15.0
    """However short the heartbeat, so that an agent's restart is not an outage."""
    up_after: int = 2
    """Good heartbeats in a row, so that a flapping relay does not flap here."""
    check_every: float = 1.0
    """How fine the judgement is."""


class SessionSettings(msgspec.Struct, frozen=True, kw_only=True):
    up_after: int = 2
    """Heartbeats in a row that call a peering's session established, so that a flapping one does not flap here."""
    down_after: int = 2
    """Heartbeats in a row that do not: one may fall into a restart that graceful restart bridges."""


class LearningSettings(msgspec.Struct, frozen=True, kw_only=True):
    ask_timeout: float = 5.0
    """For a relay's answer with its learned routes: a table of some ten thousand takes a small host a second or two."""
    at_once: int = 8
    """Relays asked at the same time: bounds the memory that their answers take, at 8 MiB each."""
    pause: float = 2.0
    """Between two questions to one relay: a neighbour that flaps shall not have its table written all the time."""
    retry_first: float = 1.0
    """After a question without an answer; doubled each time, with jitter, so that many do not come back at once."""
    retry_longest: float = 60.0
    """The most of it."""


class PathSettings(msgspec.Struct, frozen=True, kw_only=True):
    ask_timeout: float = 2.0
    """For a relay's answer about its routes: somebody waits, and a relay that is up answers in milliseconds."""
    whole: float = 10.0
    """For a whole path: below the deadlines of clients; what is known by then is told."""
    most_hops: int = 32
    """Relays in a row: half of the hop limit that packets start with, and above any healthy mesh's longest path."""
    most_relays: int = 128
    """Relays asked for one path: equal-cost branches may fan out."""


class AllocationSettings(msgspec.Struct, frozen=True, kw_only=True):
    rest: float = 86_400.0
    """A released address is not given again for that long: caches and logs that name it must not lie."""


class ClientKeySettings(msgspec.Struct, frozen=True, kw_only=True):
    overlap: float = 14 * 86_400.0
    """A client's key of before is taken for so long beside the announced one, unless the client says sooner that it has
    changed over: a laptop that was on a shelf for a week still gets in."""
    here_for: float = 30.0
    """Seconds for which a relay's word about who is there holds: six heartbeats at the usual pace."""


class RefusalSettings(msgspec.Struct, frozen=True, kw_only=True):
    flush: float = 60.0
    """Between two looks at what was refused: soon enough for whoever guards, and a flood is a few events a minute."""
    most: int = 32
    """Askers with their reasons that are told apart in that time; all others are one, `many`, for each reason."""


class HousekeepingSettings(msgspec.Struct, frozen=True, kw_only=True):
    every: float = 30.0
    """Between two looks for expired clients and old receipts: how late an expiry may take effect."""


class MetricsSettings(msgspec.Struct, frozen=True, kw_only=True):
    detailed: bool = False
    """Show each relay and each link on `/metrics`. Off: a series per link, end and number is more than a small
    Prometheus takes in a large network, and who adds relays should not have to think of that."""
    most_series: int = 10_000
    """Of relays and links: writing them takes the loop 60 ms (measured), and 110 relays of fourteen links fit."""


class ApiSettings(msgspec.Struct, frozen=True, kw_only=True):
    longest_wait: float = 60.0
    """Of one long-poll on a change: below the idle timeout of common proxies."""
    first_owner_lifetime: float = 365 * 86_400.0
    """Of the token that the first owner gets."""


class RegistrySettings(msgspec.Struct, frozen=True, kw_only=True):
    """All of it, one group an idea."""

    bus_servers: tuple[str, ...] = ()
    """What relays are told to connect to; empty: the servers that the registry itself uses."""
    enrolment: EnrolmentSettings = EnrolmentSettings()
    network: NetworkSettings = NetworkSettings()
    planning: PlanningSettings = PlanningSettings()
    links: LinkSettings = LinkSettings()
    balancing: BalancingSettings = BalancingSettings()
    tracking: TrackingSettings = TrackingSettings()
    liveness: LivenessSettings = LivenessSettings()
    sessions: SessionSettings = SessionSettings()
    learning: LearningSettings = LearningSettings()
    paths: PathSettings = PathSettings()
    allocation: AllocationSettings = AllocationSettings()
    client_keys: ClientKeySettings = ClientKeySettings()
    refusals: RefusalSettings = RefusalSettings()
    housekeeping: HousekeepingSettings = HousekeepingSettings()
    metrics: MetricsSettings = MetricsSettings()
    api: ApiSettings = ApiSettings()
