"""A lab client that runs altnetd, as tests ask about it: which relay it uses, and whether what it does goes on.

Invariant: every wait has a bound, and its failure tells how the client and the mesh are.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec
from altnet.client.status import ClientView
from altnet.common.contracts.client import ClientConfig
from altnet.common.control import ask
from altnet.common.errors import AltnetError
from altnet.host.lab import members, tunnel
from altnet.host.lab.lab import Target
from altnet.host.lab.prober import Loss, Prober

from support.netns import Namespace
from support.overlay import Talk
from support.routing import SETTLE, Mesh

NAME: Final = "client1"


@dataclass(frozen=True)
class Place:
    """A host of the lab, where sockets can be opened."""

    namespace: Namespace


@dataclass
class Roamer:
    """The client `client1` of a lab. `first` and `second` are its relays, `others` the rest."""

    mesh: Mesh
    first: str
    second: str

    @property
    def others(self) -> list[str]:
        return [relay for relay in self.mesh.relays if relay not in (self.first, self.second)]

    @property
    def address(self) -> str:
        return self.mesh.overlay(NAME)

    @property
    def peer(self) -> str:
        """A plain client of a relay that is none of ours, at the other end of what we do."""
        plain = ("client2", "client3", "client4")
        return next(host for host in plain if self._relay_of(host) in self.others)

    def _relay_of(self, host: str) -> str:
        files = self.mesh.lab.files
        setconf = tunnel.parse((files.host(host) / "alt0.conf").read_text()).setconf
        topology = self.mesh.lab.topology()
        return next(relay for relay in self.mesh.relays if f"[{topology.address(relay)}]" in setconf)

    def view(self) -> ClientView | None:
        """As `altnetd status` asks; None while none runs."""
        socket = members.altnetd_dir(self.mesh.lab.files, NAME) / "control.sock"
        with contextlib.suppress(AltnetError):
            return asyncio.run(ask(str(socket), "status", ClientView, timeout=5.0, who="altnetd", mend=""))
        return None

    def uses(self, relay: str) -> bool:
        """Whether this relay carries the client, holds it, and says so."""
        view = self.view()
        if view is None or not view.attached or view.health != "ok":
            return False
        return next((it.name for it in view.relays if it.relay == view.relay), "") == relay

    def until_at(self, relay: str) -> None:
        self.mesh.until(lambda: self.uses(relay), f"the client is at {relay}, now {self.view()}")

    def delivers(self, relay: str) -> bool:
        """Whether this relay originates the client's /128: it is in the table that its BIRD announces."""
        said = self.mesh.run(relay, "ip", "-6", "route", "show", "table", "42186", check=False)
        return self.address in said.split() or f"blackhole {self.address} " in said

    def routed_to(self, here: str) -> str:
        """The relay that `here` sends the client's packets to by a route of the client's own; empty: it has none."""
        said = self.mesh.run(here, "ip", "-6", "route", "show", f"{self.address}/128", check=False)
        by_slot = {address.rpartition("::")[2]: name for name, address in self.mesh.addresses.items()}
        word = next((word for word in said.split() if word.startswith("altl")), "")
        return by_slot.get(f"{int(word.removeprefix('altl')):x}", "?") if word else ""

    def until_all_send_to(self, relay: str) -> None:
        """Wait until each other living relay has a route for the client alone, and it leads to `relay`, in the end."""

        def ends(here: str) -> str:
            seen = set()
            while here and here not in seen and here != relay:
                seen.add(here)
                here = self.routed_to(here)
            return here

        self.mesh.until(
            lambda: all(ends(here) == relay for here in self.living),
            f"everybody sends to {relay}: { {here: self.routed_to(here) for here in self.living} }",
        )

    def until_covered(self) -> None:
        """Wait until nobody has a route for the client alone any more: the /64 of its own relay covers it."""
        self.mesh.until(lambda: not any(map(self.routed_to, self.living)), "the roaming route is withdrawn")

    @property
    def living(self) -> list[str]:
        absent = self.mesh.lab._state().absent
        return [relay for relay in self.mesh.relays if relay not in absent]

    def restart(self) -> None:
        """Forget failures, which make it wait longer before it goes home."""
        self.mesh.lab.kill(NAME, Target.ALTNETD)
        self.mesh.lab.heal([NAME])

    @contextlib.contextmanager
    def talk(self) -> Iterator[Talk]:
        """A TCP connection to the other client."""
        here, there = (
            Place(Namespace(self.mesh.namespace(host), self.mesh.lab.files.root)) for host in (NAME, self.peer)
        )
        talk = Talk(here, there, self.mesh.overlay(self.peer))
        try:
            assert talk.goes_on()
            assert talk.local == self.address
            yield talk
        finally:
            talk.end()

    def loss(self, packets: Prober, since: float, what: str) -> Loss:
        """What was lost since; printed."""
        self.mesh.flow(packets)
        self.mesh.run(NAME, "sleep", str(SETTLE))
        loss = packets.window(since, packets.now() - SETTLE)
        out, back = (gap * 1000 for gap in loss.gaps)
        print(f"{what}: longest gap {out:.0f} ms from the client, {back:.0f} ms to it; {loss.lost} packets lost")
        return loss


def roamer(mesh: Mesh) -> Roamer:
    """The client of this lab, at its first relay."""
    file = members.altnetd_dir(mesh.lab.files, NAME) / "configuration.json"
    config = msgspec.json.decode(file.read_bytes(), type=ClientConfig)
    first, second = sorted(config.relays, key=lambda point: point.priority)
    made = Roamer(mesh, first.name, second.name)
    made.until_at(made.first)
    return made
