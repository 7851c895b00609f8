"""The verbs of the lab: up, status, kill, heal, partition, impair, shape, drain, down.

Each verb reads the state, changes it, and makes the host agree. `up` and `heal` are one thing: converge to what is
wanted. Whatever a killed command left half-made, the next one mends or removes.

Invariant: what is wanted is written down before it is made, so nothing is made that `down` would not find.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Final

import msgspec
from altnet.common.errors import AltnetError, Conflict, NotFound
from altnet.host.lab import commands, delays, enrol, faults, killing, launcher, members, namespaces, network, tunnel
from altnet.host.lab.delays import DELAY
from altnet.host.lab.faults import Cut, Impairment, Shape
from altnet.host.lab.members import AGENT, ALTNET, ALTNETD, ControlPlane
from altnet.host.lab.settings import LabSettings
from altnet.host.lab.state import LabFiles, LabState, Wanted
from altnet.host.lab.status import LabStatus, look
from altnet.host.lab.steps import Silent, Steps
from altnet.host.lab.topology import CONTROL, Host, Kind, Spec, Topology, plan

NETWORK_COMMANDS: Final = ("ip", "nft", "mount")
TUNNEL_COMMANDS: Final = ("wg", "wireguard-go")


class Target(StrEnum):
    """What `kill` takes away from a host."""

    AGENT = "agent"
    WIREGUARD = "wireguard"
    BIRD = "bird"
    ALTNETD = "altnetd"
    CONTROL = "control"
    HOST = "host"


class Lab:
    """One lab on this host. Every method raises `AltnetError`s that say what to do."""

    def __init__(
        self, settings: LabSettings, *, steps: Steps | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        self.settings = settings
        self.files = LabFiles(settings)
        self.steps = steps or Silent()
        self._env = dict(os.environ if env is None else env)

    # --- making -----------------------------------------------------------------------------------------------

    def up(self, spec: Spec, *, network_only: bool = False, until: str = "clients") -> LabState:
        """Build the lab, or mend or resize the one that is there. `until` stops early: network, control, relays."""
        commands.require(NETWORK_COMMANDS if network_only else (*NETWORK_COMMANDS, *TUNNEL_COMMANDS))
        stop = "network" if network_only else until
        with self.files.locked() as lock:
            state = self._resized(spec)
            topology = plan(spec)
            self._save(msgspec.structs.replace(state, absent=()))
            self._make_network(topology)
            self._apply_faults(topology, lock)
            self._restart_wanted(topology, lock)
            if stop == "network":
                return self._state()
            control = self._make_control(topology, lock)
            if stop == "control":
                return self._state()
            self._make_relays(topology, control, lock)
            if stop == "relays":
                return self._state()
            self._make_clients(topology, control, lock)
            return self._state()

    def heal(self, names: Sequence[str] = ()) -> LabState:
        """Bring hosts back: their cables, their processes, no cuts, no impaired paths. Without names: all of them.

        The shape stays: it is how the lab is meant to be.
        """
        with self.files.locked() as lock:
            state = self._state()
            topology = plan(state.spec)
            healed = {topology.host(name).name for name in names} or set(topology.hosts)
            self._save(
                msgspec.structs.replace(
                    state,
                    absent=tuple(name for name in state.absent if name not in healed),
                    cuts=faults.untouched_cuts(state.cuts, healed) if names else (),
                    impairments=faults.untouched_paths(state.impairments, healed) if names else (),
                )
            )
            self._make_network(topology)
            self._apply_faults(topology, lock)
            self._restart_wanted(topology, lock, only=healed)
        return self._state()

    def down(self) -> int:
        """Remove the lab and everything that bears its prefix; returns the number of namespaces removed."""
        commands.require(NETWORK_COMMANDS)
        with self.files.locked():
            self._end_control()
            names = namespaces.of_lab(self.settings.prefix)
            with self.steps.step(f"removing {len(names)} namespaces") if names else contextlib.nullcontext():
                removed = network.remove(
                    names, command_timeout=self.settings.command_timeout, kill_timeout=self.settings.kill_timeout
                )
            if self.files.root.exists():
                shutil.rmtree(self.files.root)
        # Two things stay on purpose. The lock file: whoever waits for it holds the file, not its name. The empty
        # /run/wireguard: to remove it would detach what other labs' processes have mounted over it.
        return removed

    # --- breaking ---------------------------------------------------------------------------------------------

    def kill(self, name: str, target: Target | None = None) -> list[str]:
        """Take something away with SIGKILL; returns what was hit. Without a target the host's power fails."""
        with self.files.locked():
            state = self._state()
            host = plan(state.spec).host(name)
            if name in state.absent:
                raise Conflict("host_is_dead", f"{name} is dead already.", mend=f"`altnet lab heal {name}`")
            if target is None or target is Target.HOST:
                with self.steps.step(f"{name} loses its power"):
                    self._save(msgspec.structs.replace(state, absent=(*state.absent, name)))
                    killing.cut_power(host, self.files)
                return [name]
            with self.steps.step(f"killing {target} on {name}"):
                return self._kill_process(host, target)

    def partition(self, one: Sequence[str], other: Sequence[str], *, one_way: bool = False) -> LabState:
        """Drop what goes between two sets of hosts; `one_way` drops only what goes from the first to the second."""
        with self.files.locked() as lock:
            state = self._state()
            topology = plan(state.spec)
            faults.check_edges(topology, one, other)
            cuts = [Cut(sources=tuple(one), targets=tuple(other))]
            if not one_way:
                cuts.append(Cut(sources=tuple(other), targets=tuple(one)))
            state = msgspec.structs.replace(state, cuts=(*state.cuts, *(cut for cut in cuts if cut not in state.cuts)))
            ways = f"from {', '.join(one)} to {', '.join(other)}{'' if one_way else ', or back'}"
            with self.steps.step(f"nothing goes {ways}"):
                self._save(state)
                self._apply_faults(topology, lock)
            return state

    def impair(
        self,
        one: str,
        other: str,
        *,
        cut: bool = False,
        loss: float = 0.0,
        delay: float = 0.0,
        one_way: bool = False,
    ) -> LabState:
        """Make the path between two hosts bad, both ways or only from the first to the second; links stay up.

        `loss` is a share, `delay` is in seconds. What the path had before is replaced; with nothing it is mended.
        """
        with self.files.locked() as lock:
            state = self._state()
            topology = plan(state.spec)
            faults.check_edges(topology, [one], [other])
            ways = [(one, other)] if one_way else [(one, other), (other, one)]
            wanted = [Impairment(source=a, target=b, cut=cut, loss=loss, delay=delay) for a, b in ways]
            with self.steps.step(f"path from {one} to {other}{'' if one_way else ' and back'} changes"):
                self._save(msgspec.structs.replace(state, impairments=faults.impair(state.impairments, wanted)))
                self._apply_faults(topology, lock)
            return self._state()

    def shape(self, shape: Shape) -> LabState:
        """Let relays reach only their neighbours in a chain or a ring over the internet, or all of them again."""
        with self.files.locked() as lock:
            state = msgspec.structs.replace(self._state(), shape=shape)
            with self.steps.step(f"relays reach each other by the shape {shape}"):
                self._save(state)
                self._apply_faults(plan(state.spec), lock)
            return self._state()

    def drain(self, name: str, *, draining: bool = True) -> str:
        """Ask the registry to take a relay out of service, or to put it back; returns its state."""
        if self.topology().host(name).kind is not Kind.RELAY:
            raise Conflict("not_a_relay", f"{name} is no relay.", mend="Only relays are drained.")
        return enrol.open_api(self.control_plane()).change_state(name, "draining" if draining else "active")

    # --- asking -----------------------------------------------------------------------------------------------

    def status(self) -> LabStatus:
        """What is there. Needs no lock: it changes nothing."""
        return look(self.files)

    def exec_argv(self, name: str, argv: Sequence[str]) -> list[str]:
        """The command line that runs `argv` on a host of the lab."""
        topology = self.topology()
        host = topology.host(name)
        if not namespaces.is_live(host.namespace):
            raise Conflict("host_is_dead", f"{name} is dead.", mend=f"`altnet lab heal {name}`")
        self.files.make_host(name)
        launcher.prepare()
        return launcher.enter_argv(host, self.files, argv)

    def topology(self) -> Topology:
        return plan(self._state().spec)

    def control_plane(self) -> ControlPlane:
        """How to reach the lab's control plane. Raises `NotFound` where there is none."""
        state = self._state()
        if state.process(CONTROL, ALTNET) is None or not members.ready_file(self.files).exists():
            raise NotFound("no_control_plane", "the lab has no control plane that is ready.", mend="`altnet lab up`")
        return members.control_plane(self.files, plan(state.spec), port=state.api_port)

    def await_control(self) -> ControlPlane:
        """Wait until the control plane is ready, after a `heal` for one."""
        state = self._state()
        return members.await_control(self.files, plan(state.spec), port=state.api_port)

    # --- parts ------------------------------------------------------------------------------------------------

    def _kill_process(self, host: Host, target: Target) -> list[str]:
        if target is Target.BIRD:
            hit = killing.kill_programs(host, "bird", self.files)
            if not hit:
                raise Conflict("not_running", f"no BIRD runs on {host.name}.")
            return hit
        if target is Target.WIREGUARD:
            hit = killing.kill_programs(host, "wireguard-go", self.files)
            if not hit:
                raise Conflict(
                    "not_running",
                    f"no WireGuard process runs on {host.name}; the kernel's own cannot be killed.",
                )
            return hit
        names = {Target.AGENT: AGENT, Target.ALTNETD: ALTNETD, Target.CONTROL: ALTNET}
        return killing.kill_process(host, names[target], self.files)

    def _make_network(self, topology: Topology) -> None:
        state = self._state()
        beyond = namespaces.of_lab(self.settings.prefix) - {
            host.namespace for host in topology.without(state.absent).hosts.values()
        }
        if beyond:
            network.remove(
                beyond, command_timeout=self.settings.command_timeout, kill_timeout=self.settings.kill_timeout
            )
        for host in topology.hosts.values():
            self.files.make_host(host.name)
        launcher.prepare()
        with self.steps.step(f"network of {len(topology.hosts)} hosts and {len(topology.links)} links"):
            network.build(topology, faults=state.faults, absent=state.absent, timeout=self.settings.command_timeout)

    def _make_control(self, topology: Topology, lock: int) -> ControlPlane:
        state = self._state()
        if state.process(CONTROL, ALTNET) is None:
            self._want(members.control_wanted(topology, self.files))
        with self.steps.step("control plane: Postgres, NATS and the registry"):
            self._start(topology, members.control_wanted(topology, self.files), lock)
            return members.await_control(self.files, topology, port=self._state().api_port)

    def _make_relays(self, topology: Topology, control: ControlPlane, lock: int) -> None:
        relays = topology.of_kind(Kind.RELAY)
        if new := members.unenrolled(relays, self.files):
            with self.steps.step(f"join token for {len(new)} relays"):
                enrol.give_join_tokens(new, topology, self.files, control)
        self._want(*(members.agent_wanted(host, self.files) for host in relays))
        with self.steps.step(f"{len(relays)} relays enrol and link up"):
            for host in relays:
                self._start(topology, members.agent_wanted(host, self.files), lock)
            enrol.await_relays([host.name for host in relays], self.files, control, timeout=self.settings.enrol_timeout)

    def _make_clients(self, topology: Topology, control: ControlPlane, lock: int) -> None:
        clients = topology.of_kind(Kind.CLIENT)
        with self.steps.step(f"{len(clients)} clients join"):
            for number, host in enumerate(clients):
                if topology.roams(host.name):
                    enrol.join(host, self.files, control)
                    self._want(members.altnetd_wanted(host, self.files))
                    self._start(topology, members.altnetd_wanted(host, self.files), lock)
                    continue
                made = enrol.make_client(host, number, self.files, control)
                state = self._state()
                if made not in state.tunnels:
                    others = tuple(one for one in state.tunnels if one.host != host.name)
                    self._save(msgspec.structs.replace(state, tunnels=(*others, made)))
                self._bring_up_tunnel(topology, host, lock)

    def _restart_wanted(self, topology: Topology, lock: int, only: set[str] | None = None) -> None:
        """Start what should run and does not: the control plane first, then agents, then tunnels."""
        state = self._state()
        wanted = [one for one in state.wanted if only is None or one.host in only]
        tunnels = [made for made in state.tunnels if only is None or made.host in only]
        if not wanted and not tunnels:
            return
        with self.steps.step(f"{len(wanted)} processes and {len(tunnels)} tunnels run, or start"):
            for one in sorted(wanted, key=lambda one: one.host != CONTROL):
                self._start(topology, one, lock)
            for made in tunnels:
                self._bring_up_tunnel(topology, topology.host(made.host), lock)

    def _start(self, topology: Topology, wanted: Wanted, lock: int) -> None:
        if launcher.find(self.files, wanted.host, wanted.name) is not None:
            return
        host = topology.host(wanted.host)
        if host.name in self._state().absent:
            return
        env = members.environment(self._env)(wanted)
        if wanted.name == DELAY:
            delays.prepare(host, self.files)
        if not wanted.inherits_api:
            launcher.start(host, wanted.name, wanted.argv, files=self.files, lock=lock, env=env)
            if wanted.name == DELAY:
                delays.await_ready(self.files, host.name)
            return
        port = self._state().api_port or self.settings.api_port
        _, port = members.start_control(host, wanted, files=self.files, lock=lock, env=env, port=port)
        api = f"http://{self.settings.api_address}:{port}"
        self._save(msgspec.structs.replace(self._state(), api_port=port, api=api))

    def _bring_up_tunnel(self, topology: Topology, host: Host, lock: int) -> None:
        state = self._state()
        if host.name in state.absent:
            return
        made = next(one for one in state.tunnels if one.host == host.name)
        config = self.files.root / made.config
        env = launcher.environment(self._env, {"LOG_LEVEL": "error"})
        tunnel.bring_up(host, config, files=self.files, lock=lock, env=env)

    def _apply_faults(self, topology: Topology, lock: int) -> None:
        """Make the internet as bad as the state says: rulesets and delay lines of the living routers."""
        state = self._state()
        network.apply_faults(topology, state.faults, timeout=self.settings.command_timeout)
        lines = delays.wanted(topology, state.impairments, self.files)
        for router in topology.of_kind(Kind.ROUTER):
            present, wanted = state.process(router.name, DELAY), lines.get(router.name)
            if present != wanted:
                self._end_delay(router)
            if wanted is not None:
                self._want(wanted)
                self._start(topology, wanted, lock)
            elif present is not None:
                self._save(
                    msgspec.structs.replace(
                        self._state(), wanted=tuple(one for one in self._state().wanted if one != present)
                    )
                )

    def _end_delay(self, router: Host) -> None:
        process = launcher.find(self.files, router.name, DELAY)
        if process is not None:
            launcher.end(process, sign=signal.SIGKILL, timeout=self.settings.kill_timeout)
        if namespaces.is_live(router.namespace):
            delays.remove_rules(router, timeout=self.settings.command_timeout)

    def _end_control(self) -> None:
        """Let Postgres end in good order: killed, it would leave shared memory behind."""
        process = launcher.find(self.files, CONTROL, ALTNET)
        if process is None:
            return
        with self.steps.step("control plane stops"):
            try:
                launcher.end(process, sign=signal.SIGTERM, timeout=self.settings.stop_grace)
            except AltnetError:
                self.steps.say(f"the control plane did not stop within {self.settings.stop_grace:g} s; it is killed")

    def _resized(self, spec: Spec) -> LabState:
        """The state to start from; what no longer fits in a smaller lab is forgotten."""
        state = self.files.read()
        if state is None:
            return LabState(spec=spec)
        fixed = replace(spec, relays=state.spec.relays, clients=state.spec.clients)
        if fixed != state.spec:
            raise Conflict(
                "lab_has_other_shape",
                f"a lab with {state.spec.routers} routers, {state.spec.clients_per_nat} clients a home and "
                f"{state.spec.roaming} clients that roam is there; "
                "only the numbers of relays and clients can change.",
                mend="`altnet lab down` first.",
            )
        hosts = set(plan(spec).hosts)
        return msgspec.structs.replace(
            state,
            spec=spec,
            wanted=tuple(one for one in state.wanted if one.host in hosts),
            tunnels=tuple(one for one in state.tunnels if one.host in hosts),
            cuts=tuple(cut for cut in state.cuts if {*cut.sources, *cut.targets} <= hosts),
            impairments=tuple(one for one in state.impairments if {one.source, one.target} <= hosts),
        )

    def _want(self, *wanted: Wanted) -> None:
        state = self._state()
        named = {(one.host, one.name) for one in wanted}
        others = tuple(one for one in state.wanted if (one.host, one.name) not in named)
        if (*others, *wanted) != state.wanted:
            self._save(msgspec.structs.replace(state, wanted=(*others, *wanted)))

    def _state(self) -> LabState:
        state = self.files.read()
        if state is None:
            raise NotFound("no_lab", f"there is no lab {self.settings.prefix}.", mend="`altnet lab up` builds one.")
        return state

    def _save(self, state: LabState) -> None:
        self.files.write(state)
