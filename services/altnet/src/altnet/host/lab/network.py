"""Making a planned lab so, and unmaking it.

`build` looks at what there is and makes only what is missing, so it builds a lab, grows one, and mends one that was
left half-made by a crash at any step. `remove` takes down whatever bears the prefix, whoever made it.

Invariant: only namespaces of the lab's prefix are touched; every other command runs inside them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence

from altnet.common.errors import Unavailable
from altnet.host.lab import namespaces, render
from altnet.host.lab.commands import ip_batch, nft, run
from altnet.host.lab.faults import Faults
from altnet.host.lab.topology import Host, Topology


def build(topology: Topology, *, faults: Faults, absent: Iterable[str] = (), timeout: float) -> list[str]:
    """Make the lab as planned, but for the hosts named in `absent`. Returns the names of the hosts made anew.

    Namespaces of the prefix that the plan does not have are left to `remove`.
    """
    present = topology.without(absent)
    hosts = list(present.hosts.values())
    new = [host for host in hosts if not namespaces.is_live(host.namespace)]
    _make_namespaces(new, timeout=timeout)
    for host in hosts:  # also of those that are there: whoever made them may have been killed right after
        namespaces.write_sysctls(host.namespace, render.sysctls(host))
    _make_links(present, timeout=timeout)
    for host in hosts:
        ip_batch(render.up_lines(present, host), namespace=host.namespace, timeout=timeout)
    for host in hosts:
        ip_batch(render.address_lines(present, host), namespace=host.namespace, timeout=timeout)
        if render.needs_ruleset(host):
            nft(render.ruleset(topology, host, faults), namespace=host.namespace, timeout=timeout)
    return [host.name for host in new]


def apply_faults(topology: Topology, faults: Faults, *, timeout: float) -> None:
    """Give every living router its ruleset for these faults."""
    for host in topology.hosts.values():
        if host.kind == "router" and namespaces.is_live(host.namespace):
            nft(render.ruleset(topology, host, faults), namespace=host.namespace, timeout=timeout)


def remove(names: Iterable[str], *, command_timeout: float, kill_timeout: float) -> int:
    """Kill everything in these namespaces and remove them with all that is in them. Returns how many there were."""
    present = sorted(name for name in names if namespaces.path_of(name).exists())
    live = [name for name in present if namespaces.is_live(name)]
    namespaces.kill_all(live, timeout=kill_timeout)
    for name in live:
        # The kernel removes a namespace's interfaces some time after its name is gone. Whoever makes it anew would
        # meet the far ends of the old links, so they go first.
        lines = [f"link delete dev {device}" for device in sorted(namespaces.interfaces(name) - {"lo"})]
        inside = ["ip", "-n", name, "-force", "-batch", "-"]
        run(inside, stdin="\n".join(lines) + "\n", timeout=command_timeout, check=False)
    # Both forms: a killed `ip netns add` leaves a file without a namespace, and the command then only unlinks it.
    names_lines = "".join(f"netns delete {name}\n" for name in present)
    run(["ip", "-force", "-batch", "-"], stdin=names_lines, timeout=command_timeout, check=False)
    for name in present:
        if namespaces.is_live(name):
            raise Unavailable("namespace_stays", f"the namespace {name} could not be removed.")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(namespaces.path_of(name))
    return len(present)


def _make_namespaces(new: Sequence[Host], *, timeout: float) -> None:
    for host in new:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(namespaces.path_of(host.namespace))
    ip_batch([f"netns add {host.namespace}" for host in new], timeout=timeout)


def _remove_end(namespace: str, name: str, *, timeout: float) -> None:
    try:
        ip_batch([f"link delete dev {name}"], namespace=namespace, timeout=timeout)
    except Unavailable:
        if name in namespaces.interfaces(namespace):
            raise
        # The kernel was quicker.


def _make_links(topology: Topology, *, timeout: float) -> None:
    there = {host.name: namespaces.interfaces(host.namespace) for host in topology.hosts.values()}
    lines = []
    for link in topology.links:
        ends = [port.name in there[port.host] for port in link]
        if all(ends):
            continue
        for port, present in zip(link, ends, strict=True):
            if present:  # its far end died with a host, and the kernel has not cleaned up yet
                _remove_end(topology.host(port.host).namespace, port.name, timeout=timeout)
        lines.append(render.link_line(topology, link))
    ip_batch(lines, timeout=timeout)
    for host in topology.hosts.values():
        if host.bridge and host.bridge not in there[host.name]:
            ip_batch(render.bridge_lines(host), namespace=host.namespace, timeout=timeout)
