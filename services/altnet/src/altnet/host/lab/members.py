"""What runs on the lab's hosts: the control plane, the relays' agents, altnetd. How each starts and what it is told.

Invariant: secrets (join token, keys) travel in files of mode 0600 below the host's directory, never in arguments.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from altnet.common.errors import Unavailable
from altnet.common.files import write_private
from altnet.host.lab import launcher
from altnet.host.lab.api import eventually
from altnet.host.lab.state import LabFiles, Wanted
from altnet.host.lab.topology import CONTROL, Host, Topology

API_PORT: Final = 8420
BUS_PORT: Final = 4222
MESH_PORT: Final = 51820
AGENT: Final = "agent"
ALTNETD: Final = "altnetd"
ALTNET: Final = "altnet"
"""Name of the control plane's process on the control host."""

_RUN_ALTNET: Final = "altnet.host.cli"
_RUN_AGENT: Final = "altnet.relay_agent"
_RUN_ALTNETD: Final = "altnet.client"
"""Modules, run with the Python that runs us: there may be no `altnet` on the PATH of root."""


@dataclass(frozen=True, kw_only=True)
class ControlPlane:
    """A control plane that is ready. `api` is reachable from the operator's side, `inside` from the lab's internet."""

    api: str
    inside: str
    token: str


def control_wanted(topology: Topology, files: LabFiles) -> Wanted:
    """The process of the control plane: everything in one, on embedded Postgres and nats-server."""
    address = f"[{topology.address(CONTROL)}]"
    argv = (
        *(sys.executable, "-m", _RUN_ALTNET, "up", "--json"),
        *("--data-dir", str(data_dir(files))),
        *("--listen", f"{address}:{API_PORT}"),
        *("--bus-listen", f"{address}:{BUS_PORT}"),
        *("--bus-advertise", f"nats://{address}:{BUS_PORT}"),
    )
    return Wanted(host=CONTROL, name=ALTNET, argv=argv, env=dict(files.settings.control_env), inherits_api=True)


def data_dir(files: LabFiles) -> Path:
    return files.host(CONTROL) / "data"


def listen_outside(address: str, port: int) -> socket.socket:
    """A listening socket outside the lab, which the control plane inherits: so the operator's browser reaches it.

    Raises `Unavailable` (`api_port_taken`).
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise Unavailable(
            "api_port_taken",
            f"cannot listen on {address} port {port}: {error.strerror}.",
            mend="Choose another with ALTNET_LAB_API_PORT, or stop what listens there.",
        ) from error
    return listening


def start_control(
    host: Host, wanted: Wanted, *, files: LabFiles, lock: int, env: Mapping[str, str], port: int
) -> tuple[launcher.Process, int]:
    """Start the control plane; returns the process and the port outside on which it answers."""
    ready_file(files).unlink(missing_ok=True)
    with listen_outside(files.settings.api_address, port) as listening:
        process = launcher.start(
            host, wanted.name, wanted.argv, files=files, lock=lock, env=env, inherit=[listening.fileno()]
        )
        return process, int(listening.getsockname()[1])


def ready_file(files: LabFiles) -> Path:
    return data_dir(files) / "ready.json"


def await_control(files: LabFiles, topology: Topology, *, port: int) -> ControlPlane:
    """Wait until the control plane says that it is ready. Raises `Unavailable`, with its last words if it died."""

    def ready() -> bool:
        process = launcher.find(files, CONTROL, ALTNET)
        if process is None:
            words = launcher.last_words(launcher.log_file(files, CONTROL, ALTNET))
            raise _Ended(words)
        return ready_file(files).exists()

    try:
        eventually(
            ready,
            timeout=files.settings.control_ready_timeout,
            poll=files.settings.poll,
            what="the control plane is ready",
            describe=lambda: f"Its log: {launcher.log_file(files, CONTROL, ALTNET)}",
        )
    except _Ended as ended:
        raise Unavailable("control_ended", f"the control plane ended while starting: {ended}") from None
    return control_plane(files, topology, port=port)


def control_plane(files: LabFiles, topology: Topology, *, port: int) -> ControlPlane:
    """How to reach a control plane that is ready. Raises `Unavailable` (`control_not_ready`)."""
    try:
        token = (data_dir(files) / "owner.token").read_text().strip()
        names_api = bool(json.loads(ready_file(files).read_bytes()).get("api"))
    except (OSError, ValueError) as error:
        raise Unavailable("control_not_ready", f"the control plane is not ready: {error}.") from error
    if not names_api:
        raise Unavailable("control_not_ready", "the control plane names no address of its API.")
    address = files.settings.api_address
    return ControlPlane(
        api=f"http://{f'[{address}]' if ':' in address else address}:{port}",
        inside=f"http://[{topology.address(CONTROL)}]:{API_PORT}",
        token=token,
    )


def agent_wanted(host: Host, files: LabFiles) -> Wanted:
    """The agent's process on a relay host."""
    argv = (sys.executable, "-m", _RUN_AGENT, "run", "--config", str(agent_config(files, host.name)))
    env = {"ALTNET_AGENT_JOIN_TOKEN_FILE": str(join_token_file(files, host.name))}
    return Wanted(host=host.name, name=AGENT, argv=argv, env=env)


def write_agent_config(host: Host, topology: Topology, files: LabFiles, *, registry: str, join_token: str) -> None:
    """What the relay's operator would put on its disk: settings and a join token. An existing token is kept."""
    directory = files.make_host(host.name)
    endpoints = [f"[{topology.address(host.name, 6)}]:{MESH_PORT}", f"{topology.address(host.name, 4)}:{MESH_PORT}"]
    settings = {
        "registry_url": registry,
        "name": host.name,
        "state_dir": str(directory / "state"),
        "endpoints": endpoints,
        "region": host.router or "",
        "mesh_port": MESH_PORT,
    }
    # JSON's strings, numbers and lists of strings are TOML's as well.
    toml = "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
    write_private(agent_config(files, host.name), toml.encode())
    write_private(join_token_file(files, host.name), join_token.encode())


def agent_config(files: LabFiles, host: str) -> Path:
    return files.host(host) / "agent.toml"


def agent_socket(files: LabFiles, host: str) -> Path:
    """Where its agent answers `altnet-agent status`; on the disk, so it is reached from outside the host as well."""
    return files.host(host) / "state" / "control.sock"


def join_token_file(files: LabFiles, host: str) -> Path:
    return files.host(host) / "join-token"


def altnetd_wanted(host: Host, files: LabFiles) -> Wanted:
    """The process of altnetd on a client's host."""
    return Wanted(host=host.name, name=ALTNETD, argv=altnetd_argv(host, files, "run"))


def altnetd_argv(host: Host, files: LabFiles, command: str) -> tuple[str, ...]:
    """One of altnetd's commands on a client's host."""
    return (sys.executable, "-m", _RUN_ALTNETD, command, "--settings", str(files.host(host.name) / "client.toml"))


def altnetd_dir(files: LabFiles, host: str) -> Path:
    """altnetd's state directory; `control.sock` in it answers `altnetd status` from outside the host as well."""
    return files.host(host) / "altnetd"


def write_altnetd_settings(host: Host, files: LabFiles, *, registry: str) -> None:
    """What the client's owner would put on its disk."""
    directory = files.make_host(host.name)
    settings = {"registry_url": registry, "name": host.name, "state_dir": str(altnetd_dir(files, host.name))}
    toml = "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
    write_private(directory / "client.toml", toml.encode())


def has_joined(files: LabFiles, host: str) -> bool:
    """Whether altnetd on this host has a configuration to follow."""
    return (altnetd_dir(files, host) / "membership.json").exists()


def unenrolled(hosts: tuple[Host, ...], files: LabFiles) -> tuple[Host, ...]:
    """Relay hosts that were given no join token yet."""
    return tuple(host for host in hosts if not join_token_file(files, host.name).exists())


def environment(env: Mapping[str, str] | None = None) -> Callable[[Wanted], dict[str, str]]:
    """The environment of each process, made of ours."""
    base = dict(os.environ if env is None else env)
    return lambda wanted: launcher.environment(base, wanted.env)


class _Ended(Exception):
    """The control plane is gone; the text is its last words."""
