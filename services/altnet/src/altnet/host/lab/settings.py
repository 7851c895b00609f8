"""What the lab waits for and how long, each with its unit and its reason.

Read from the environment (`ALTNET_LAB_PREFIX=lab2`); every one has a default that suits a laptop.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

import msgspec
from altnet.common.errors import Invalid

Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]

PREFIX_SHAPE: Final = re.compile(r"^[a-z][a-z0-9]{0,9}$")


class LabSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one lab. Two labs with different prefixes and ports live side by side."""

    prefix: str = "altlab"
    """First part of every namespace's name: `altlab-relay1`. No hyphen, so that no prefix contains another's names."""
    run_dir: str = "/run/altnet-lab"
    """Holds one directory a lab: state, logs, the hosts' disks. Gone after a reboot, like the namespaces."""
    api_address: str = "127.0.0.1"
    """Where the operator's browser reaches the lab's API, outside the namespaces."""
    api_port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8420
    """0 takes any free port, for tests that run side by side."""
    control_env: dict[str, str] = {}
    """Settings of the lab's control plane as it reads them from its environment (`ALTNET_REGISTRY_…`). What stands in
    ours is not passed on. Kept in the lab's state, so nothing secret belongs here."""
    lock_timeout: Seconds = 60.0
    """Wait for another `altnet lab` command on this lab; the longest of them takes less."""
    command_timeout: Seconds = 20.0
    """One `ip`, `nft`, `wg` or `tc`: milliseconds in health, seconds on a machine that swaps."""
    stop_grace: Seconds = 8.0
    """Between SIGTERM and SIGKILL of the control plane: what Postgres takes for a clean stop."""
    kill_timeout: Seconds = 10.0
    """From SIGKILL until the process is gone; longer means that it hangs in the kernel."""
    socket_timeout: Seconds = 10.0
    """From the start of wireguard-go to its control socket: about 10 ms in health."""
    control_ready_timeout: Seconds = 90.0
    """From the start of `altnet up` to its `ready.json`: 5 s in health, most of it the first initdb."""
    enrol_timeout: Seconds = 60.0
    """From the start of the agents until the registry lists all of them as applied."""
    change_wait: Seconds = 5.0
    """One request that waits for a change to be applied; asked again until `enrol_timeout`."""
    agent_timeout: Seconds = 5.0
    """One question on an agent's control socket."""
    poll: Seconds = 0.1
    """Between two looks at something that announces itself in no other way."""


def check_prefix(prefix: str) -> str:
    """Return `prefix` if it may start a namespace's name. Raises `Invalid` (`bad_lab_prefix`)."""
    if not PREFIX_SHAPE.match(prefix):
        raise Invalid(
            "bad_lab_prefix",
            f"{prefix!r} is not a lab's prefix.",
            field="/prefix",
            mend="Use up to 10 lower-case letters and digits, a letter first.",
        )
    return prefix
