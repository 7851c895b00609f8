"""What the owner of a host may set for its client, and every timer with its unit and its reason.

Read by `altnet.common.settings.load` from a TOML file and `ALTNET_CLIENT_…` variables. Addresses, relays, MTU are not
here: they come from the registry. Invariant: a setting that is wrong is refused before anything on the host is touched.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

import msgspec
from altnet.common.errors import Invalid
from altnet.common.kernel.links import ROUTE_PROTOCOL
from altnet.common.settings import Secret

ENV_PREFIX: Final = "ALTNET_CLIENT"

Seconds = Annotated[float, msgspec.Meta(ge=0, le=86400)]
_INTERFACE: Final = re.compile(r"^[a-z][a-z0-9-]{0,13}$")
_NAME: Final = re.compile(r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")


class Timers(msgspec.Struct, frozen=True, kw_only=True):
    """Waits and deadlines, in seconds."""

    probe: Annotated[float, msgspec.Meta(ge=0.02, le=60)] = 0.1
    """Between two echo requests to the relay in use: ten a second are about 2 kB/s both ways, and a dead relay is left
    after three of them. The relay's kernel answers, so its agent may restart meanwhile."""
    standby_probe: Annotated[float, msgspec.Meta(ge=0.02, le=600)] = 1.0
    """Between two echo requests to each other relay: it has to be known whether it could take over."""
    misses: Annotated[int, msgspec.Meta(ge=1, le=100)] = 3
    """Unanswered echo requests, beyond twice the round-trip time, after which a relay counts as silent."""
    busy: Seconds = 3.0
    """How long a relay without answers is kept because packets still come from it: on a full line echo requests wait
    behind traffic, but a line of which one direction is dead has to be left."""
    first_answer: Seconds = 2.0
    """How long a relay may take for its first answer: a handshake, and a name to be looked up."""
    good_probes: Annotated[int, msgspec.Meta(ge=1, le=10000)] = 10
    """Answers in a row before a preferred relay is gone back to."""
    settle: Seconds = 10.0
    """Least time on a relay before a preferred one is gone back to. Doubles with each time that the preferred one
    failed, so that a relay which comes and goes does not take its clients along."""
    settle_most: Seconds = 600.0
    """Where the doubling ends; also, how long a preferred relay has to serve before its failures are forgotten."""
    hello: Annotated[float, msgspec.Meta(ge=0.1, le=60)] = 1.0
    """Between two words to each relay about where we are attached; relays let go of us after 3.5 s without one."""
    farewell: Seconds = 5.0
    """For how long after a move the relay that was left is told so by way of the new one too."""
    repoke: Annotated[float, msgspec.Meta(ge=0.2, le=3600)] = 1.0
    """Before a silent relay's peer is made anew, which makes WireGuard start a handshake at once instead of after its
    15 s. Doubles with each try."""
    repoke_most: Seconds = 15.0
    """Where the doubling ends: a relay that comes back is noticed within it."""
    lane_kept: Seconds = 2.0
    """How long the sessions of before are kept once the relay has answered by the next ones: packets are under way for
    less than a second."""
    hurry: Annotated[float, msgspec.Meta(ge=0.1, le=3600)] = 1.0
    """Least time between two questions to the registry, when a relay says that there is news or a key has changed."""
    kernel_timeout: Seconds = 10.0
    """Of one exchange with the host's kernel or with wireguard-go."""
    http_timeout: Seconds = 15.0
    """Of one call to the registry, name resolution and TLS included."""
    resolve_timeout: Seconds = 5.0
    """Of looking up a relay's host name."""
    refresh: Annotated[float, msgspec.Meta(ge=1, le=86400)] = 300.0
    """Between two questions to the registry whether our relays have changed, ± 20 %. Its answer is kept on the disk."""
    refresh_alone: Annotated[float, msgspec.Meta(ge=1, le=86400)] = 15.0
    """The same while no relay answers, and so none could say that there is news: they may all have been put out."""
    control_timeout: Seconds = 5.0
    """Of one question on the control socket."""


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the client logs."""

    json: bool = False
    level: Literal["debug", "info", "warning", "error"] = "info"


class ClientSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One client's own settings."""

    registry_url: str = ""
    """Where the registry answers, such as `https://registry.example.org`. Needed to join and to hear of changes."""
    registry_ca: str = ""
    """File with the certificate authority of the registry, PEM; empty: those of the system."""
    state_dir: str = "/var/lib/altnetd"
    """The private key, the registry's secret for us, the last configuration. Mode 0700."""
    control_socket: str = ""
    """Where `altnetd status` asks; empty: `control.sock` in `state_dir`."""
    name: str = ""
    """The client's name, one LDH label; empty: the host's name."""
    region: str = ""
    labels: dict[str, str] = {}
    join_token: Secret = Secret("")
    """Given once to join; better by file: `ALTNET_CLIENT_JOIN_TOKEN_FILE`."""
    interface: str = "altnet0"
    """The WireGuard interface that is ours."""
    backend: Literal["auto", "kernel", "wireguard-go"] = "auto"
    """Which WireGuard: `auto` takes the kernel's where there is one."""
    route_protocol: Annotated[int, msgspec.Meta(ge=5, le=255)] = ROUTE_PROTOCOL + 1
    """Marks our routes in the kernel; not the relay agent's number, which may run on the same host."""
    timers: Timers = Timers()
    log: LogSettings = LogSettings()

    def __post_init__(self) -> None:
        if not _INTERFACE.match(self.interface):
            raise Invalid(
                "bad_setting",
                f"{self.interface!r} cannot name the interface.",
                field="/interface",
                mend="Use a lower-case letter and up to 13 letters, digits or hyphens after it.",
            )
        if self.name and not _NAME.match(self.name):
            raise Invalid(
                "bad_setting",
                f"{self.name!r} is not one LDH label.",
                field="/name",
                mend="Use 1 to 63 lower-case letters, digits or hyphens, no hyphen at either end.",
            )

    @property
    def control_path(self) -> str:
        return self.control_socket or f"{self.state_dir}/control.sock"
