"""What an operator may set on one relay, and every timer with its unit and its reason.

Read by `altnet.common.settings.load` from a TOML file and `ALTNET_AGENT_…` variables. What the network wants of every
relay (MTU, keepalive, heartbeat) is not here: it comes from the registry with the mesh.

Invariant: a setting that is wrong is refused before anything on the host is touched.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

import msgspec
from altnet.common.contracts.attach import ATTACH_PORT
from altnet.common.contracts.desired import Port
from altnet.common.errors import Invalid
from altnet.common.kernel.links import ROUTE_PROTOCOL
from altnet.common.settings import Secret

ENV_PREFIX: Final = "ALTNET_AGENT"

Seconds = Annotated[float, msgspec.Meta(ge=0, le=86400)]
_PREFIX: Final = re.compile(r"^[a-z][a-z0-9-]{0,9}$")
_NAME: Final = re.compile(r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
_TABLE: Final = re.compile(r"^[a-z][a-z0-9_]{0,30}$")
ACCESS_PORTS: Final = 4
LAST_PORT: Final = 65535


class Timers(msgspec.Struct, frozen=True, kw_only=True):
    """Waits and deadlines, in seconds."""

    resync: Seconds = 60.0
    """Between two full comparisons with the registry and with the kernel. A lost message or a peer that somebody
    deleted by hand is made good within it; a minute of one relay's read is cheap for the bus."""
    resync_jitter: Annotated[float, msgspec.Meta(ge=0, le=0.5)] = 0.2
    """Share of `resync` by which it varies, so that a thousand agents do not ask in the same second."""
    fetch_jitter: Seconds = 0.5
    """Random wait before the fetch after a reconnect: spreads the herd after a restart of the bus."""
    first_news: Seconds = 2.0
    """How long a start waits for the bus before it brings back tunnels from the cache alone: a relay that was revoked
    meanwhile is not spoken to then. Connecting and fetching take a tenth of it; a host that boots without a control
    plane is back so much later."""
    fetch_timeout: Seconds = 5.0
    """Of one Direct Get: a snapshot is far below a megabyte, so slower than this is a broken path."""
    bus_timeout: Seconds = 2.0
    """Of sending an acknowledgement or a heartbeat: the next one replaces it anyway."""
    http_timeout: Seconds = 15.0
    """Of one call to the registry, name resolution and TLS included."""
    kernel_timeout: Seconds = 20.0
    """Of one batch of kernel operations: 10,000 peers take under a second; a hung userspace WireGuard shows here."""
    retry_first: Seconds = 0.5
    """Before the second try of an object that failed: most failures are races with another part of the host."""
    retry_most: Seconds = 30.0
    """The longest wait between two tries: an operator who mended the cause should see it within half a minute."""
    responder_patience: Seconds = 5.0
    """How long the responder of a pair leaves the first handshake to the initiator (WireGuard's REKEY_TIMEOUT)."""
    responder_jitter: Seconds = 1.0
    """Random addition to it, so that the two ends do not start together."""
    restart_poke: Seconds = 0.5
    """After the device was made anew, the random wait at most before even a responder speaks first: its neighbours
    still hold the sessions of before and do not know that they are dead."""
    initiator_repoke: Seconds = 0.7
    """How long an initiator waits for an answer before it starts afresh: its neighbour may not have been configured
    yet when the first packet came, and WireGuard alone would wait 5 s. Doubles with each try."""
    endpoint_patience: Seconds = 5.0
    """How long an endpoint is tried before the next one of the same neighbour."""
    session_lifetime: Seconds = 180.0
    """A handshake older than this is no session (WireGuard's REJECT_AFTER_TIME)."""
    probe_timeout: Seconds = 2.0
    """An answer later than this counts as lost."""
    attachment_lifetime: Annotated[float, msgspec.Meta(ge=1, le=600)] = 3.5
    """A client that has not said for so long that it is attached here is let go: it says so once a second, and three
    of its words may get lost. It matters where it has moved and could not tell us."""
    endpoints_kept: Annotated[float, msgspec.Meta(ge=0.1, le=3600)] = 5.0
    """Between two looks at where clients are, for the disk, which is written only when one has moved: who came later
    waits 15 s after a power loss, as ever."""
    attachments_kept: Seconds = 1.0
    """Between two writes of who is attached: a thousand clients that come at once are one write."""
    acknowledge: Seconds = 0.01
    """How long an acknowledgement waits for another change to join it: one message for a burst."""
    credentials_retry: Seconds = 30.0
    """Between two tries to renew the bus credentials: they have hours left then."""
    refusal_check: Seconds = 2.0
    """Between two looks whether the bus refuses our pass: then the registry is asked why. A revoked relay that missed
    its document learns it so."""
    revoked_retry: Seconds = 300.0
    """Between two questions of a revoked relay whether it is still out."""
    control_timeout: Seconds = 5.0
    """Of one question on the control socket."""
    switch_check: Annotated[float, msgspec.Meta(ge=0.01, le=10)] = 0.05
    """Between two looks for handshakes of next keys, while a rotation waits for some. Nothing is lost meanwhile: the
    present keys carry the link."""
    rotation_told: Seconds = 5.0
    """Between two reports to keyd while keys rotate and nothing is new: one of them may have been lost."""
    preshared_refresh: Seconds = 0.0
    """Between two pre-shared keys of a pair, in place of what the network says; 0: as it says. For tests, which cannot
    wait for two minutes."""
    keyd_spread: Seconds = 5.0
    """Random wait at most before the first contact with keyd: spreads the herd after a restart of the bus."""
    keyd_timeout: Seconds = 5.0
    """Of one message to keyd and its answer, the registry's part in a first contact included."""
    keyd_every: Seconds = 300.0
    """Between two looks how we stand with keyd: nothing urgent depends on it."""
    keyd_retry_first: Seconds = 2.0
    """After a failure; doubles with each."""
    keyd_retry_most: Seconds = 120.0
    """An operator who approved the host should see it within two minutes; far below keyd's rate limit."""
    lock_retry_first: Seconds = 0.2
    """Before keyd is asked again about what nobody has signed for: its signature is mostly on its way. Doubles."""
    lock_retry_most: Seconds = 30.0
    """What is signed later is told by the bus; this is for words of the bus that were lost."""
    lock_kept: Seconds = 1.0
    """Between two writes of what is signed: of a thousand relays it is a megabyte, and a rotation changes all."""
    bird_timeout: Seconds = 5.0
    """Of one question to BIRD, and of its reading a configuration: 1,000 prefixes take it 3 ms."""
    bird_start: Seconds = 10.0
    """Until a BIRD that is started has read its configuration and answers."""
    bird_confirm: Annotated[int, msgspec.Meta(ge=2, le=300)] = 10
    """After which BIRD takes a new configuration back by itself, unless we have looked and confirmed it."""
    bird_retry_first: Seconds = 0.1
    """Before the second try to start a BIRD that died: its neighbours keep its routes meanwhile."""
    bird_retry_most: Seconds = 30.0
    """The longest wait between two tries to start it, and between two tries to leave static routes."""
    bird_settle: Seconds = 3.0
    """How long static routes to a neighbour stay while the session that replaces them comes up: twice what it takes."""
    bird_pulse: Annotated[float, msgspec.Meta(ge=0.01, le=10)] = 0.02
    """At least, between two words that keep a BIRD awake that has something to tell (bird/pulse.py). It is more where
    BFD itself takes longer."""
    bird_stable: Seconds = 10.0
    """For how long it has to live before an earlier death is forgotten."""


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the agent logs."""

    json: bool = False
    level: Literal["debug", "info", "warning", "error"] = "info"


class AgentSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One relay's own settings."""

    registry_url: str = ""
    """Where the registry answers, such as `https://registry.example.org`. Needed to enrol and to renew."""
    registry_ca: str = ""
    """File with the certificate authority of the registry, PEM; empty: those of the system."""
    state_dir: str = "/var/lib/altnet-agent"
    """Keys, the enrolment and the last documents. Mode 0700."""
    control_socket: str = ""
    """Where `altnet-agent status` asks; empty: `control.sock` in `state_dir`."""
    seal_identity: Literal["off", "auto", "host", "tpm2"] = "off"
    """How the host's keys lie in `state_dir`: a private file, or sealed by systemd-creds so that they open on this host
    alone; `auto` takes the TPM where there is one, and the host's key (/var/lib/systemd/credential.secret) too."""
    name: str = ""
    """The relay's name, one LDH label; empty: the host's name."""
    endpoints: tuple[str, ...] = ()
    """`host:port` under which other relays reach this one; empty: the addresses of the default routes."""
    mesh_port: Port = 51820
    second_mesh_port: Port = 51821
    """UDP port of the second mesh device: each rotation of keys leads from one of the two to the other. Open both."""
    access_port: Port = 51830
    """UDP port of the first access device. The three after it are taken while clients change over to another key of the
    relay or of their own, and by clients that have: open all four."""
    link_port: Port = 51899
    """UDP port of the links inside the mesh; the same on every relay of a network."""
    probe_port: Port = 51898
    """UDP port of the probes, on the links only."""
    attach_port: Port = ATTACH_PORT
    """UDP port where clients say that they are attached, on the access interface; the same on every relay."""
    region: str = ""
    labels: dict[str, str] = {}
    join_token: Secret = Secret("")
    """Given once to enrol; better by file: `ALTNET_AGENT_JOIN_TOKEN_FILE`."""
    lock_fingerprint: str = ""
    """Of the network lock, as `altnet lock status` shows it, given at enrolment: no other is taken, and nothing is
    accepted before it is known. Empty: the first lock that is seen is the one."""
    interface_prefix: str = "alt"
    """Start of the names of the interfaces that the agent owns; at most 10 characters."""
    backend: Literal["auto", "kernel", "wireguard-go", "memory"] = "auto"
    """Which WireGuard: `auto` takes the kernel's where there is one."""
    route_protocol: Annotated[int, msgspec.Meta(ge=5, le=255)] = ROUTE_PROTOCOL
    """Marks the agent's routes in the kernel; two agents on one host need two numbers."""
    routing: Literal["auto", "bird", "static"] = "auto"
    """What decides paths: `auto` and `bird` run BIRD, and without a usable one say so and keep static direct routes;
    `static` wants nothing else."""
    bird_program: str = "bird"
    """BIRD 2.0.8 or later of the 2 series: a name to be found, or a path."""
    bird_tries: Annotated[int, msgspec.Meta(ge=1, le=100)] = 4
    """Starts of BIRD in a row that may fail before static direct routes stand in for it."""
    link_costs: dict[str, Annotated[int, msgspec.Meta(ge=1, le=60_000_000)]] = {}
    """Costs of links in microseconds, by the neighbour's id or name, instead of what is measured: for a line that is
    paid by the byte, say. Set it at both ends."""
    origin_table: Annotated[int, msgspec.Meta(ge=1000, le=2**31 - 1)] = 42186
    """Kernel routing table with what this relay originates: BIRD reads it, and no rule leads packets to it. Two agents
    on one host need two numbers."""
    firewall_table: str = "altnet"
    """Name of the agent's own nftables table, family inet."""
    firewall: bool = True
    """Off where the operator filters alone: then UDP to `link_port` from outside must be dropped by other means."""
    timers: Timers = Timers()
    log: LogSettings = LogSettings()

    def __post_init__(self) -> None:
        if not _PREFIX.match(self.interface_prefix):
            raise Invalid(
                "bad_setting",
                f"{self.interface_prefix!r} cannot start an interface name.",
                field="/interface_prefix",
                mend="Use a lower-case letter and up to nine letters, digits or hyphens after it.",
            )
        if not _TABLE.match(self.firewall_table):
            raise Invalid(
                "bad_setting",
                f"{self.firewall_table!r} is not a table name.",
                field="/firewall_table",
                mend="Use a lower-case letter, then letters, digits or underscores.",
            )
        if self.name and not _NAME.match(self.name):
            raise Invalid(
                "bad_setting",
                f"{self.name!r} is not one LDH label.",
                field="/name",
                mend="Use 1 to 63 lower-case letters, digits or hyphens, no hyphen at either end.",
            )
        access = tuple(self.access_port + number for number in range(ACCESS_PORTS))
        ports = (self.mesh_port, self.second_mesh_port, *access, self.link_port)
        if len(set(ports)) < len(ports) or access[-1] > LAST_PORT:
            raise Invalid(
                "bad_setting",
                "two of mesh_port, second_mesh_port, access_port with the three after it, and link_port are the same.",
                field="/mesh_port",
                mend="Give each its own UDP port.",
            )

    @property
    def bird_dir(self) -> str:
        """BIRD's files: configuration (mode 0600), control socket, log."""
        return f"{self.state_dir}/bird"

    @property
    def control_path(self) -> str:
        return self.control_socket or f"{self.state_dir}/control.sock"
