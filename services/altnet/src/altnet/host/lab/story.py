"""The demo's story: what is shown, in which order, and what it takes for each step to hold.

Knows the lab's verbs and the API, and nothing that a user could not do with `altnet lab`. Leaves out the terminal,
signals and cleaning up (`altnet.host.demo`).
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec
from altnet.common.errors import Unavailable
from altnet.host.lab import commands, enrol, tunnel
from altnet.host.lab.api import eventually
from altnet.host.lab.lab import Lab, Target
from altnet.host.lab.prober import Endpoint, Loss, Prober
from altnet.host.lab.settings import Seconds
from altnet.host.lab.steps import Steps
from altnet.host.lab.topology import Kind, Spec

ONE: Final = "client1"
OTHER: Final = "client2"


class DemoSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How long the story waits, and what it takes for a step to hold. Times in seconds."""

    rate: float = 100.0
    """Packets a second and direction: enough to see an outage of 10 ms."""
    watch: Seconds = 3.0
    """How long traffic is watched while something is dead: longer than any timer that would have moved it."""
    handshake_timeout: Seconds = 30.0
    """Until every relay has a session with every other; under a second in health, 5 s when two collide."""
    flow_timeout: Seconds = 30.0
    """Until the first packet arrives after a relay's host is back. WireGuard in a client notices after 15 s that its
    relay has forgotten the session, and tries again every 5 s."""
    sync_timeout: Seconds = 60.0
    """Until a restarted agent, or everybody after a restart of the control plane, has applied what is desired."""
    settle: Seconds = 0.3
    """Left to packets on their way before they are counted as lost."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One step of the story: what was measured, in words and in numbers, and whether it was as it should be."""

    step: str
    measured: str
    held: bool
    numbers: dict[str, float] = field(default_factory=dict)


class Story:
    """The steps, in order. Each returns its outcome; an `AltnetError` of a step ends the story."""

    def __init__(self, lab: Lab, spec: Spec, settings: DemoSettings, steps: Steps) -> None:
        self.lab, self.spec, self.settings, self.steps = lab, spec, settings, steps
        self._prober: Prober | None = None
        self._relay = "relay1"

    def tell(self, hears: Callable[[Outcome], None]) -> None:
        """The whole story; `hears` gets each outcome as it is there."""
        for step in (self.control, self.enrolment, self.handshakes, self.clients, self.ping):
            hears(step())
        with self._traffic() as prober:
            self._prober = prober
            for step in (
                self.steady,
                self.keys_rotate,
                self.link_dies,
                self.agent_dies,
                self.host_dies,
                self.control_dies,
                self.host_restarts_alone,
                self.control_returns,
                self.relay_is_revoked,
            ):
                hears(step())

    def control(self) -> Outcome:
        took = _timed(lambda: self.lab.up(self.spec, until="control"))
        self.steps.say(f"The control plane is ready; its API is at {self.lab.control_plane().api}.")
        return _outcome("control plane ready", took)

    def enrolment(self) -> Outcome:
        took = _timed(lambda: self.lab.up(self.spec, until="relays"))
        relays = enrol.open_api(self.lab.control_plane()).relays()
        for relay in relays:
            self.steps.say(f"  {relay.name} has enrolled and owns {relay.address}")
        return _outcome(f"{len(relays)} relays enrolled and in sync", took, held=len(relays) == self.spec.relays)

    def handshakes(self) -> Outcome:
        began = time.monotonic()
        expected = self.spec.relays * (self.spec.relays - 1)
        with self.steps.step("WireGuard handshakes between all relays"):
            eventually(
                lambda: self._sessions() >= expected,
                timeout=self.settings.handshake_timeout,
                poll=self.lab.settings.poll,
                what=f"{expected} ends of links have a session",
                describe=lambda: f"{self._sessions()} have.",
            )
        return _outcome(f"handshakes of {expected // 2} links", time.monotonic() - began)

    def clients(self) -> Outcome:
        took = _timed(lambda: self.lab.up(self.spec))
        for name in (ONE, OTHER):
            self.steps.say(f"  {name}, behind its home router, has {self._overlay(name)}")
        return _outcome(f"{self.spec.clients} clients joined", took)

    def ping(self) -> Outcome:
        self.steps.say(f"{ONE} pings {OTHER}: through its relay, over a link, to the other client's relay, and back.")
        namespace = self.lab.topology().host(ONE).namespace
        target = self._overlay(OTHER)
        # The first one may wait for a handshake; and in the first seconds a third relay has been seen on the way.
        waited = eventually(
            lambda: _hops(_ping(namespace, target, count=1).stdout) == 2,
            timeout=self.settings.flow_timeout,
            poll=self.lab.settings.poll,
            what=f"{OTHER} answers over the link between the two relays",
        )
        said = _ping(namespace, target, count=5).stdout
        received = int(_find(r"(\d+) received", said) or 0)
        hops = _hops(said)
        rtt = float(_find(r"= [\d.]+/([\d.]+)/", said) or 0)
        return Outcome(
            step=f"ping {ONE} to {OTHER}",
            measured=f"{received} of 5 answered, {rtt:.1f} ms, {hops} relays on the way, after {waited:.1f} s",
            held=received == 5 and hops == 2,
            numbers={"rtt": rtt / 1000, "hops": hops, "seconds": waited},
        )

    def steady(self) -> Outcome:
        self.steps.say(f"From here on {ONE} and {OTHER} exchange {self.settings.rate:.0f} packets a second each way.")
        since = self.prober.now()
        return self._unharmed("traffic while nothing happens", since)

    def keys_rotate(self) -> Outcome:
        api = enrol.open_api(self.lab.control_plane())
        self.steps.say(
            "Every relay replaces its mesh key: a second device beside the first, link by link, then the old one goes."
        )
        self._soon(lambda: api.proven() == self.spec.relays, "every host has proven its identity")
        since, began = self.prober.now(), time.monotonic()
        rotation = api.rotate(drain=1)
        shown = ""
        with self.steps.step("all keys of the mesh are rotated"):

            def is_over() -> bool:
                nonlocal shown
                now = api.rotation(rotation.id)
                stage = f"{now.phase}, wave {now.wave}" if str(now.phase) == "connect" else str(now.phase)
                if stage != shown:
                    shown = stage
                    self.steps.say(f"  {stage}")
                return now.ended_at is not None

            self._soon(is_over, "the rotation is over")
        took = time.monotonic() - began
        done = api.rotation(rotation.id)
        kept = done.phase == "done" and not any(relay.left for relay in done.relays)
        outcome = self._unharmed("all keys of the mesh are rotated", since)
        words = f"{len(done.relays)} relays in {took:.1f} s" if kept else f"{done.phase}: {done.ended}"
        return replace(_with(outcome, words, rotation=took), held=outcome.held and kept)

    def link_dies(self) -> Outcome:
        one, other = (relay.name for relay in enrol.open_api(self.lab.control_plane()).relays()[:2])
        self.steps.say(
            f"The path between {one} and {other} dies silently: what they send each other is dropped, and nobody is "
            "told. BIRD on both misses the other's signs of life and takes a way over a third relay."
        )
        name, since = "link silently dead, then back", self.prober.now()
        self.lab.impair(one, other, cut=True)
        flows = self.prober.flows(since=self.prober.now(), timeout=self.settings.flow_timeout)
        if flows is None:
            return Outcome(step=name, measured=f"no way round after {self.settings.flow_timeout:g} s", held=False)
        time.sleep(self.settings.settle)
        loss = self.prober.window(since, self.prober.now() - self.settings.settle)
        self.steps.say(f"Traffic went on after {loss.longest_gap * 1000:.0f} ms. Now the path comes back.")
        healed = self.prober.now()
        self.lab.impair(one, other)
        back = self._unharmed(name, healed)
        words = f"way round after {loss.longest_gap * 1000:.0f} ms, {loss.lost} packets lost; {back.measured} on return"
        numbers = {"gap": loss.longest_gap, "lost": loss.lost, "lost_on_return": back.numbers["lost"]}
        return Outcome(step=name, measured=words, held=back.held, numbers=numbers)

    def agent_dies(self) -> Outcome:
        self.steps.say(f"The agent of {self._relay} is killed (kill -9). WireGuard and the routes stay as they are.")
        since = self.prober.now()
        self.lab.kill(self._relay, Target.AGENT)
        time.sleep(self.settings.watch)
        restarted = time.monotonic()
        with self.steps.step(f"{self._relay}'s agent starts again and compares"):
            self.lab.heal([self._relay])
            self._await_sync([self._relay])
        back = time.monotonic() - restarted
        return _with(self._unharmed("agent killed, restarted", since), f"in sync after {back:.1f} s", sync=back)

    def host_dies(self) -> Outcome:
        self.steps.say(f"The host of {self._relay} loses its power: processes and interfaces are gone.")
        return self._power_cycle("relay's host dies and comes back")

    def control_dies(self) -> Outcome:
        self.steps.say("The control plane is killed (kill -9): registry, Postgres and NATS.")
        since = self.prober.now()
        self.lab.kill("control")
        return self._unharmed("control plane killed", since)

    def host_restarts_alone(self) -> Outcome:
        self.steps.say(f"While it is dead, {self._relay}'s host loses power again: it must start from its own disk.")
        return self._power_cycle("relay's host restarts without control plane")

    def control_returns(self) -> Outcome:
        since = self.prober.now()
        began = time.monotonic()
        with self.steps.step("the control plane comes back, every relay reports in sync"):
            self.lab.heal(["control"])
            self.lab.await_control()
            self._await_sync([host.name for host in self.lab.topology().of_kind(Kind.RELAY)])
        took = time.monotonic() - began
        return _with(self._unharmed("control plane back", since), f"all in sync after {took:.1f} s", sync=took)

    def relay_is_revoked(self) -> Outcome:
        """One that joins for it: who looks round afterwards finds the lab as it was."""
        larger = replace(self.spec, relays=self.spec.relays + 1)
        name = f"relay{larger.relays}"
        with self.steps.step(f"{name} joins"):
            self.lab.up(larger)
        api = enrol.open_api(self.lab.control_plane())
        (stolen,) = [relay for relay in api.relays() if relay.name == name]
        others = [host.name for host in self.lab.topology().of_kind(Kind.RELAY) if host.name != name]
        self._soon(lambda: all(str(stolen.key) in self._peers(other) for other in others), f"all have {name} as a peer")
        self.steps.say(f"{name} is stolen, and revoked: nobody may speak with it any more.")
        since, began = self.prober.now(), time.monotonic()
        api.revoke(relay=str(stolen.id), reason="stolen")
        left = others
        while left := [other for other in left if str(stolen.key) in self._peers(other)]:
            if time.monotonic() - began > self.settings.sync_timeout:
                return Outcome(step="relay revoked", measured=f"{', '.join(left)} still have it as a peer", held=False)
        took = time.monotonic() - began
        # Whatever it carried at that moment is lost with it: a stolen relay is not asked to let go gently.
        flows = self.prober.flows(since=self.prober.now(), timeout=self.settings.flow_timeout)
        outcome = replace(self._unharmed("relay revoked", since), held=flows is not None)
        with self.steps.step(f"{name} is taken away"):
            self.lab.up(self.spec)
        return _with(outcome, f"dropped by {len(others)} relays after {took:.1f} s", dropped=took)

    @property
    def prober(self) -> Prober:
        assert self._prober is not None, "traffic starts before it is watched"
        return self._prober

    def _power_cycle(self, name: str) -> Outcome:
        cut = self.prober.now()
        self.lab.kill(self._relay)
        time.sleep(self.settings.watch)
        with self.steps.step(f"{self._relay} boots and forwards again from what it kept on disk"):
            self.lab.heal([self._relay])
            on = self.prober.now()
            flows = self.prober.flows(since=on, timeout=self.settings.flow_timeout)
        if flows is None:
            return Outcome(
                step=name, measured=f"no traffic {self.settings.flow_timeout:g} s after power-on", held=False
            )
        loss = self.prober.window(cut, flows)
        return Outcome(
            step=name,
            measured=f"traffic {flows - on:.1f} s after power-on ({loss.lost} packets lost meanwhile)",
            held=True,
            numbers={"recovery": flows - on, "outage": flows - cut, "lost": loss.lost},
        )

    def _unharmed(self, name: str, since: float) -> Outcome:
        """Watch the traffic; not one packet may be missing since `since`."""
        remaining = self.settings.watch - (self.prober.now() - since)
        time.sleep(max(0.0, remaining) + self.settings.settle)
        loss = self.prober.window(since, self.prober.now() - self.settings.settle)
        return Outcome(step=name, measured=_words(loss), held=loss.sent > 0 and loss.lost == 0, numbers=_numbers(loss))

    @contextlib.contextmanager
    def _traffic(self) -> Iterator[Prober]:
        topology = self.lab.topology()
        ends = [Endpoint(namespace=topology.host(name).namespace, address=self._overlay(name)) for name in (ONE, OTHER)]
        with Prober(ends[0], ends[1], rate=self.settings.rate) as prober:
            if prober.flows(since=prober.now(), timeout=self.settings.flow_timeout) is None:
                raise Unavailable("no_traffic", f"no packet gets from {ONE} to {OTHER}, although a ping did.")
            yield prober

    def _await_sync(self, names: list[str]) -> None:
        enrol.await_relays(names, self.lab.files, self.lab.control_plane(), timeout=self.settings.sync_timeout)

    def _soon(self, ask: Callable[[], bool], what: str) -> None:
        eventually(ask, timeout=self.settings.sync_timeout, poll=self.lab.settings.poll, what=what)

    def _sessions(self) -> int:
        """Ends of links with a completed handshake, as WireGuard itself says on each relay."""
        count = 0
        for host in self.lab.topology().of_kind(Kind.RELAY):
            show = self.lab.exec_argv(host.name, ["wg", "show", "all", "latest-handshakes"])
            said = commands.run(show, timeout=self.lab.settings.command_timeout).stdout
            count += sum(1 for line in said.splitlines() if line.split()[-1] != "0")
        return count

    def _peers(self, relay: str) -> set[str]:
        """Public keys of every peer of a relay, as WireGuard itself says."""
        show = self.lab.exec_argv(relay, ["wg", "show", "all", "peers"])
        return set(commands.run(show, timeout=self.lab.settings.command_timeout).stdout.split())

    def _overlay(self, name: str) -> str:
        config = self.lab.files.host(name) / "alt0.conf"
        return str(tunnel.parse(config.read_text()).addresses[0].ip)


def _ping(namespace: str, target: str, *, count: int) -> subprocess.CompletedProcess[str]:
    argv = ["ping", "-6", "-n", "-c", str(count), "-i", "0.2", "-W", "1", target]
    return commands.run(argv, timeout=30, namespace=namespace, check=False)


def _find(pattern: str, text: str) -> str | None:
    found = re.search(pattern, text)
    return found.group(1) if found else None


def _timed(action: Callable[[], object]) -> float:
    began = time.monotonic()
    action()
    return time.monotonic() - began


def _hops(said: str) -> int:
    """The relays on the way of what answered; 0 where nothing did."""
    return 64 - int(_find(r"ttl=(\d+)", said) or 64)


def _outcome(step: str, seconds: float, *, held: bool = True) -> Outcome:
    return Outcome(step=step, measured=f"{seconds:.1f} s", held=held, numbers={"seconds": seconds})


def _with(outcome: Outcome, words: str, **numbers: float) -> Outcome:
    return replace(outcome, measured=f"{outcome.measured}; {words}", numbers=outcome.numbers | numbers)


def _words(loss: Loss) -> str:
    return f"{loss.lost} of {loss.sent} packets lost, longest gap {loss.longest_gap * 1000:.0f} ms"


def _numbers(loss: Loss) -> dict[str, float]:
    return {"sent": loss.sent, "lost": loss.lost, "longest_gap": loss.longest_gap}
