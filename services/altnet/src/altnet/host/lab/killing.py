"""Taking things away from one host, at once: its power, one process, its WireGuard.

Invariant: only processes that live in the host's namespace are hit.
"""

from __future__ import annotations

import signal

from altnet.common.errors import Conflict
from altnet.host.lab import commands, launcher, namespaces, network
from altnet.host.lab.state import LabFiles
from altnet.host.lab.topology import UPLINK, Host


def cut_power(host: Host, files: LabFiles) -> None:
    """Everything of the host is gone but its disk. Its cable first: a host without power says no last words."""
    settings = files.settings
    cable = ["ip", "-n", host.namespace, "link", "set", "dev", UPLINK, "down"]
    commands.run(cable, timeout=settings.command_timeout, check=False)  # it may have none, half-made or broken
    network.remove([host.namespace], command_timeout=settings.command_timeout, kill_timeout=settings.kill_timeout)
    for left in files.wireguard(host.name).iterdir():
        left.unlink()


def kill_process(host: Host, name: str, files: LabFiles) -> list[str]:
    """Kill the process that the lab started under this name. Raises `Conflict` (`not_running`)."""
    process = launcher.find(files, host.name, name)
    if process is None:
        raise Conflict("not_running", f"no {name} runs on {host.name}.", mend=f"`altnet lab heal {host.name}`")
    launcher.end(process, sign=signal.SIGKILL, timeout=files.settings.kill_timeout)
    return [f"{name} ({process.pid})"]


def kill_programs(host: Host, program: str, files: LabFiles) -> list[str]:
    """Kill every process of this program, whoever started it; returns what was hit, maybe nothing."""
    hit = []
    for pid in namespaces.processes([host.namespace]):
        started = launcher.start_time(pid)
        if started is None or launcher.command_name(pid) != program:
            continue
        if launcher.end(launcher.Process(pid, started), sign=signal.SIGKILL, timeout=files.settings.kill_timeout):
            hit.append(f"{program} ({pid})")
    return hit
