"""Delay lines in the lab's routers: which are wanted, and their processes made so (`delay` is the process itself).

Invariant: a router has a delay process exactly while a path that begins behind it is delayed.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from altnet.common.errors import Unavailable
from altnet.host.lab import delay, launcher
from altnet.host.lab.commands import run
from altnet.host.lab.faults import Impairment
from altnet.host.lab.state import LabFiles, Wanted
from altnet.host.lab.topology import Host, Topology

DELAY: Final = "delay"
"""Name of the process on a router."""


def wanted(topology: Topology, impairments: Iterable[Impairment], files: LabFiles) -> dict[str, Wanted]:
    """The delay process of each router that needs one, by the router's name."""
    lines: dict[str, list[delay.Line]] = {}
    for one in impairments:
        if one.delay:
            home = topology.home(one.source)
            targets = tuple(str(network) for network in topology.edge(one.target))
            line = delay.Line(arrives=f"to-{home.name}", targets=targets, delay=one.delay)
            lines.setdefault(home.router or "", []).append(line)
    return {
        router: Wanted(
            host=router,
            name=DELAY,
            argv=(
                *(sys.executable, "-m", "altnet.host.lab.delay"),
                *(str(ready_file(files, router)), delay.encode(found[: delay.MOST_LINES])),
            ),
        )
        for router, found in lines.items()
    }


def ready_file(files: LabFiles, router: str) -> Path:
    return files.host(router) / "delay.ready"


def prepare(host: Host, files: LabFiles) -> None:
    """Before the process starts: nothing of an earlier one, which may have been killed, is left."""
    ready_file(files, host.name).unlink(missing_ok=True)
    remove_rules(host, timeout=files.settings.command_timeout)


def await_ready(files: LabFiles, router: str) -> None:
    """Wait until the router's packets go through its lines. Raises `Unavailable` (`delay_not_started`)."""
    deadline = time.monotonic() + files.settings.command_timeout
    while not ready_file(files, router).exists():
        if launcher.find(files, router, DELAY) is None or time.monotonic() > deadline:
            words = launcher.last_words(launcher.log_file(files, router, DELAY))
            raise Unavailable("delay_not_started", f"{router} delays nothing: {words}")
        time.sleep(0.005)  # a file announces itself only by being there; about 0.1 s


def remove_rules(host: Host, *, timeout: float) -> None:
    """Take away the rules that an ended process has left; its devices went with it."""
    lines = []
    for family in ("-4", "-6"):
        said = run(["ip", family, "-j", "rule", "show"], timeout=timeout, namespace=host.namespace).stdout
        numbers = [rule["priority"] for rule in json.loads(said or "[]")]
        first = delay.FIRST_TABLE
        mine = [number for number in numbers if first <= number < first + delay.MOST_LINES]
        lines += [["ip", family, "rule", "delete", "pref", str(number)] for number in mine]
    for line in lines:
        run(line, timeout=timeout, namespace=host.namespace)
