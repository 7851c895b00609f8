"""The systems that are compared, on the same network: how one is started, where it is reached, how it is disturbed.

Invariant: a system is configured as its own documentation says; what was chosen is in `settings`, for the report.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
from typing import Final, Protocol

from altnet.host.lab import enrol, killing, launcher
from altnet.host.lab.lab import Target

from bench.routing import tunnels
from bench.routing.place import TIMEOUT, Place, until

LOOK: Final = 1.0
"""Seconds for which packets are counted to see which way traffic goes."""


class System(Protocol):
    """What is measured. `daemon` is what decides paths, on the relay itself."""

    name: str
    settings: str
    needs_control: bool
    """It has a control plane that can die, and agents that can be restarted apart from the daemon."""

    def start(self, place: Place) -> None: ...

    def address(self, place: Place, relay: str) -> str: ...

    def kill_daemon(self, place: Place, relay: str) -> None:
        """kill -9, and start it again at once where nobody else does."""

    def drain(self, place: Place, relay: str) -> None:
        """The planned way to take the relay out of transit."""

    def undrain(self, place: Place, relay: str) -> None: ...


class Altnet:
    """Ours. Built by the lab itself, so `start` finds it up."""

    name = "altnet"
    settings = "BIRD 2, eBGP and BFD over VXLAN links on one wireguard-go interface, as the agent sets it up"
    needs_control = True

    def start(self, place: Place) -> None:
        self._addresses = {
            str(relay.name): str(relay.address) for relay in enrol.open_api(place.lab.control_plane()).relays()
        }

    def address(self, place: Place, relay: str) -> str:
        return self._addresses[relay]

    def kill_daemon(self, place: Place, relay: str) -> None:
        host = place.lab.topology().host(relay)
        if not killing.kill_programs(host, "bird", place.lab.files):
            raise RuntimeError(f"no bird runs on {relay}")

    def kill_agent(self, place: Place, relay: str) -> None:
        place.lab.kill(relay, Target.AGENT)
        place.lab.heal([relay])

    def drain(self, place: Place, relay: str) -> None:
        place.lab.drain(relay)

    def undrain(self, place: Place, relay: str) -> None:
        place.lab.drain(relay, draining=False)


class Babeld:
    """babeld 1.12 over an interface per peer. `hello` in seconds; None leaves all timers at their defaults."""

    needs_control = False

    def __init__(self, hello: float | None) -> None:
        self._hello = hello
        self.name = "babeld" if hello is None else "babeld-fast"
        timers = "all timers at their defaults (hello 4 s)"
        if hello is not None:
            timers = f"hello-interval {hello:g}, update-interval {4 * hello:g}, smoothing-half-life 0"
        self.settings = f"babeld over a wireguard-go interface per peer, type tunnel, {timers}"

    def start(self, place: Place) -> None:
        tunnels.build(place)
        for relay in place.relays:
            self._start_daemon(place, relay)

    def address(self, place: Place, relay: str) -> str:
        return tunnels.address(relay)

    def kill_daemon(self, place: Place, relay: str) -> None:
        _end(place, relay, "babeld", signal.SIGKILL)
        self._start_daemon(place, relay)

    def drain(self, place: Place, relay: str) -> None:
        _end(place, relay, "babeld", signal.SIGTERM)

    def undrain(self, place: Place, relay: str) -> None:
        self._start_daemon(place, relay)

    def _start_daemon(self, place: Place, relay: str) -> None:
        timers, smoothing = "", []
        if self._hello is not None:
            timers = f" hello-interval {self._hello:g} update-interval {4 * self._hello:g}"
            smoothing = ["-C", "smoothing-half-life 0"]
        disk = place.disk(relay)
        place.start(
            relay,
            "babeld",
            [
                *("babeld", "-S", str(disk / "babel-state"), "-I", ""),
                *("-C", "random-id true", "-C", "skip-kernel-setup true", *smoothing),
                *("-C", f"default type tunnel{timers}"),
                # The addresses of the underlay would lead the tunnels into themselves.
                *("-C", "redistribute local ip fd77::/16 allow", "-C", "redistribute local deny"),
                *(f"wg{tunnels.number(other)}" for other in place.relays if other != relay),
            ],
        )


class Yggdrasil:
    """yggdrasil, a TLS connection per pair of relays; its own addresses (200::/7) and encryption."""

    name = "yggdrasil"
    settings = "yggdrasil, every relay peers with every other by TLS, no multicast, all else as -genconf gives it"
    needs_control = False
    _PORT = 9001

    def start(self, place: Place) -> None:
        self._addresses: dict[str, str] = {}
        for relay in place.relays:
            said = subprocess.run(["yggdrasil", "-genconf", "-json"], capture_output=True, check=True, timeout=TIMEOUT)
            config = json.loads(said.stdout) | {
                "Listen": [f"tls://[{place.underlay(relay)}]:{self._PORT}"],
                "Peers": [
                    f"tls://[{place.underlay(other)}]:{self._PORT}"
                    for other in place.relays
                    if tunnels.number(other) > tunnels.number(relay)
                ],
                "MulticastInterfaces": [],
                "AdminListen": "none",
                "IfName": "ygg0",
            }
            file = place.disk(relay) / "yggdrasil.json"
            file.write_text(json.dumps(config))
            self._addresses[relay] = place.run(relay, ["yggdrasil", "-useconffile", str(file), "-address"]).strip()
        for relay in place.relays:
            self._start_daemon(place, relay)

    def address(self, place: Place, relay: str) -> str:
        return self._addresses[relay]

    def kill_daemon(self, place: Place, relay: str) -> None:
        _end(place, relay, "yggdrasil", signal.SIGKILL)
        self._start_daemon(place, relay)

    def drain(self, place: Place, relay: str) -> None:
        _end(place, relay, "yggdrasil", signal.SIGTERM)

    def undrain(self, place: Place, relay: str) -> None:
        self._start_daemon(place, relay)

    def _start_daemon(self, place: Place, relay: str) -> None:
        config = str(place.disk(relay) / "yggdrasil.json")
        place.start(relay, "yggdrasil", ["yggdrasil", "-useconffile", config])
        until(
            lambda: self._addresses[relay] in place.run(relay, ["ip", "-6", "address", "show"]),
            timeout=TIMEOUT,
            what=f"yggdrasil on {relay} has its address",
        )


def transit(place: Place, one: str, other: str) -> str:
    """Which of the other relays carries the traffic between two: the one whose cable carries most."""
    candidates = [relay for relay in place.relays if relay not in (one, other) and _is_up(place, relay)]
    before = {relay: place.packets(relay) for relay in candidates}
    time.sleep(LOOK)
    return max(candidates, key=lambda relay: place.packets(relay) - before[relay])


def _is_up(place: Place, relay: str) -> bool:
    return relay not in place.lab._state().absent


def _end(place: Place, relay: str, name: str, sign: signal.Signals) -> None:
    process = launcher.find(place.lab.files, relay, name)
    if process is None:
        raise RuntimeError(f"no {name} runs on {relay}")
    launcher.end(process, sign=sign, timeout=TIMEOUT)
