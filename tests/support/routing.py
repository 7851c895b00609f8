"""A whole lab whose relays route, as tests ask about it: who reaches whom, over which relays, with how much loss.

Paths are read from the kernels' routing tables, hop by hop, so they are what packets take and not what BIRD means to
do. Invariant: every wait has a bound, and its failure tells the lab's state.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv6Address
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec
from altnet.common.contracts.client import ClientConfig
from altnet.common.errors import Unavailable
from altnet.host.lab import commands, enrol, launcher, members, tunnel
from altnet.host.lab.lab import Lab
from altnet.host.lab.namespaces import is_live, of_lab
from altnet.host.lab.prober import Endpoint, Prober
from altnet.host.lab.settings import LabSettings
from altnet.host.lab.topology import Kind, Spec

from support.reach import Reach

WITHIN: Final = 60.0
"""Seconds that a busy machine may take for what an idle one does in one. What is asserted is that it happens."""
STALE: Final = 10
"""Seconds for which a relay keeps its last route to somebody to whom it has no other. The shortest that can be set: the
tests wait for it to end, and BIRD is back in less."""
SIGN_OF_LIFE: Final = 0.25
"""Seconds between two BFD packets: the product's 50 ms are half of what an idle lab costs, and on a busy machine 150 ms
of silence are no dead link. How long a failover takes with 50 ms is measured by the bench and shown by the demo."""
CIRCLE: Final = 5.0
"""Seconds for which hops that are read one after the other may contradict each other."""
SETTLE: Final = 0.5
"""Seconds left to packets on their way before they are counted as lost."""


@dataclass
class Mesh:
    """The lab, and the overlay addresses of its relays."""

    lab: Lab
    spec: Spec
    addresses: dict[str, str]

    @property
    def relays(self) -> list[str]:
        return list(self.addresses)

    def namespace(self, host: str) -> str:
        return self.lab.topology().host(host).namespace

    def overlay(self, host: str) -> str:
        """A relay's or a client's address in the overlay."""
        if host in self.addresses:
            return self.addresses[host]
        if self.lab.topology().roams(host):
            file = members.altnetd_dir(self.lab.files, host) / "configuration.json"
            return msgspec.json.decode(file.read_bytes(), type=ClientConfig).addresses[0].removesuffix("/128")
        return str(tunnel.parse((self.lab.files.host(host) / "alt0.conf").read_text()).addresses[0].ip)

    def run(self, host: str, *argv: str, check: bool = True, timeout: float = 30.0) -> str:
        done = commands.run(argv, namespace=self.namespace(host), timeout=timeout, check=check)
        return done.stdout + done.stderr

    @contextlib.contextmanager
    def stream(self, one: str, other: str, *, rate: float = 100.0, port: int = 7777) -> Iterator[Prober]:
        """100 packets a second each way, flowing when it is handed over."""
        ends = [Endpoint(namespace=self.namespace(host), address=self.overlay(host)) for host in (one, other)]
        with Prober(*ends, rate=rate, port=port) as packets:
            self.flow(packets)
            yield packets

    def flow(self, packets: Prober) -> None:
        """Wait until packets that are sent from now on come both ways."""
        if packets.flows(since=packets.now(), timeout=WITHIN) is None:
            raise AssertionError(f"no packets come through: {self.describe()}")

    def lost(self, packets: Prober, since: float) -> int:
        time.sleep(SETTLE)
        return packets.window(since, packets.now() - SETTLE).lost

    def longest_gap(self, packets: Prober, since: float) -> float:
        """Seconds of the longest silence from then on, of the worse direction."""
        time.sleep(SETTLE)
        return packets.window(since, packets.now() - SETTLE).longest_gap

    def sessions(self) -> dict[tuple[str, str], tuple[str, datetime]]:
        """The state of each relay's session with each other one, and since when it is so, by BIRD's word.

        One that is made anew, however quickly, has an instant a second later at least (`unlike`).
        """
        by_slot = {f"m{int(IPv6Address(address)) & 0xFFFF}": name for name, address in self.addresses.items()}
        found = {}
        for name in self.relays:
            control = str(self.lab.files.host(name) / "state" / "bird" / "bird.ctl")
            for line in self.run(name, "birdc", "-s", control, "show", "protocols").splitlines():
                words = line.split()
                if words and words[0] in by_slot:
                    since = datetime.fromisoformat(f"{words[4]} {words[5]}")
                    found[name, by_slot[words[0]]] = " ".join([words[3], *words[6:]]), since
        return found

    def path(self, one: str, other: str) -> list[str]:
        """The relays that a packet from one relay to another comes to, the last one included; empty: no route.

        Hops are read one after the other, so while routes change they may make a circle: it is read again. One that
        stays is a loop, and an `AssertionError`.
        """
        deadline = time.monotonic() + CIRCLE
        while (found := self._walk(one, other)) is None:
            assert time.monotonic() < deadline, f"a loop between {one} and {other} for {CIRCLE:g} s. {self.describe()}"
            time.sleep(0.1)
        return found

    def _walk(self, one: str, other: str) -> list[str] | None:
        """The path as it is read once; None for a circle."""
        target, here, found = self.addresses[other], one, list[str]()
        by_slot = {int(IPv6Address(address)) & 0xFFFF: name for name, address in self.addresses.items()}
        while here != other:
            try:
                said = self.run(here, "ip", "-6", "-j", "route", "get", target, check=False)
                device = str(json.loads(said)[0]["dev"])
                here = by_slot[int(device.removeprefix("altl"))]
            except (ValueError, KeyError, IndexError, Unavailable):  # a host that was killed is no longer there
                return []
            found.append(here)
            if len(found) > len(self.addresses):
                return None
        return found

    def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + WITHIN
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"{what}: not within {WITHIN:g} s. {self.describe()}")
            time.sleep(0.2)

    def until_path(self, one: str, other: str, good: Callable[[list[str]], bool]) -> list[str]:
        """Wait for a path between two relays that is good in both directions; returns the one forth."""
        self.until(
            lambda: good(self.path(one, other)) and good(self.path(other, one)),
            f"{one} to {other} takes the wanted path, now {self.path(one, other)} and back {self.path(other, one)}",
        )
        return self.path(one, other)

    def until_whole(self, *relays: str) -> None:
        """Wait until each of these relays (all of them) reaches each other one."""
        names = relays or tuple(self.addresses)
        reach = Reach({self.namespace(name): self.addresses[name] for name in names})
        try:
            if reach.complete(timeout=WITHIN) is None:
                left = {(names[one], names[other]) for one, other in reach.missing(within=1)}
                raise AssertionError(f"not reached: {sorted(left)}. {self.describe()}")
        finally:
            reach.close()

    def cut_first_link(self, one: str, other: str, *, one_way: bool = False) -> str:
        """Silently cut the link that traffic between two relays leaves the first one by, and wait until none of it
        goes there; returns the relay at its other end. Which link it is depends on what the agents measured."""
        first = self.path(one, other)[0]
        self.lab.impair(one, first, cut=True, one_way=one_way)
        self.until(
            lambda: all(
                path and not _uses([start, *path], one, first)
                for start, path in ((one, self.path(one, other)), (other, self.path(other, one)))
            ),
            f"{one} and {other} leave the link from {one} to {first}",
        )
        return first

    def until_all_links(self) -> None:
        """Wait until every relay has its sessions with every other again: what a healed lab looks like."""
        self.until_sessions(dict.fromkeys(self.relays, len(self.relays) - 1))
        self.until_whole()

    def until_sessions(self, wanted: dict[str, int]) -> None:
        """Wait until each of these relays has that many BGP sessions, by its agent's word."""

        def established() -> dict[str, int]:
            routing = {host["name"]: host["routing"] for host in self.lab.status().hosts}
            return {name: (routing[name] or {}).get("established", -1) for name in wanted}

        self.until(lambda: established() == wanted, f"sessions are {wanted}")

    def until_in_sync(self) -> None:
        control = self.lab.await_control()
        enrol.await_relays(self.relays, self.lab.files, control, timeout=WITHIN)

    def drain(self, relay: str, *, draining: bool = True) -> None:
        self.lab.drain(relay, draining=draining)

    def describe(self) -> str:
        """What is known of every living relay's routing, for a failure's message."""
        state = self.lab._state()
        parts = [f"cuts {state.cuts}, impaired {state.impairments}, absent {state.absent}"]
        living = [host for host in self.lab.topology().of_kind(Kind.RELAY) if is_live(host.namespace)]
        for host in living:
            parts.append(f"{host.name}: {self.run(host.name, 'ip', '-6', 'route', 'show', check=False)}")
            control = next(self.lab.files.host(host.name).rglob("bird.ctl"), None)
            if control is None:
                parts.append("it has no BIRD")
            else:
                asked = ("birdc", "-s", str(control), "show", "protocols")
                parts.append(self.run(host.name, *asked, check=False))
            parts.append(launcher.last_words(launcher.log_file(self.lab.files, host.name, members.AGENT), 12))
        return "\n".join(parts)


def _uses(path: list[str], one: str, other: str) -> bool:
    return any({here, there} == {one, other} for here, there in pairwise(path))


@contextlib.contextmanager
def mesh(spec: Spec) -> Iterator[Mesh]:
    """A lab that is up and whose relays reach each other. Removed at the end."""
    directory = Path(tempfile.mkdtemp(prefix="altnet-lab-"))
    directory.chmod(0o755)  # reachable for the user that Postgres runs as, which pytest's own directories are not
    lab = Lab(LabSettings(prefix=spec.prefix, run_dir=str(directory), api_port=0, enrol_timeout=180.0))
    try:
        lab.up(spec, until="control")
        enrol.open_api(lab.control_plane()).change_settings(restart_time=STALE, bfd_interval=SIGN_OF_LIFE)
        lab.up(spec)
        relays = enrol.open_api(lab.control_plane()).relays()
        by_name = {str(relay.name): str(relay.address) for relay in relays}
        names = [host.name for host in lab.topology().of_kind(Kind.RELAY)]
        made = Mesh(lab=lab, spec=spec, addresses={name: by_name[name] for name in names})
        made.until_whole()
        yield made
    finally:
        lab.down()
        shutil.rmtree(directory, ignore_errors=True)
        assert of_lab(spec.prefix) == set()


def unlike(
    before: Mapping[tuple[str, str], tuple[str, datetime]], after: Mapping[tuple[str, str], tuple[str, datetime]]
) -> set[tuple[str, str]]:
    """Of which sessions BIRD tells something else. It works out the instant anew each time, to a millisecond or so."""
    same = {pair for pair, (state, since) in before.items() if state == after[pair][0] and near(since, after[pair][1])}
    return set(before) - same


def near(one: datetime, other: datetime) -> bool:
    return abs((one - other).total_seconds()) < 0.1


def heal(mesh: Mesh) -> None:
    """Everything as new: hosts, paths, drained relays."""
    lab = mesh.lab
    lab.heal()
    control = lab.await_control()
    for relay in enrol.open_api(control).relays():
        if str(relay.state) != "active":
            lab.drain(str(relay.name), draining=False)
    mesh.until_in_sync()
    mesh.until_whole()
