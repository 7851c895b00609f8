"""`python -m tests.bench [--only NAME,…] [--out FILE.json] [--scale N]`."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import inspect
import json
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from bench.report import Measure, table

BENCHES: Final[dict[str, tuple[str, ...]]] = {
    "plan": ("plan_1000_relays", "plan_one_client_1000_relays", "plan_one_relay_1000_relays"),
    "links": (
        "links_1000_relays",
        "links_one_join_1000_relays",
        "links_review_1000_relays",
        "links_path_latency_1000_relays",
        "links_path_hops_1000_relays",
        "links_near_latency_1000_relays",
    ),
    "start": ("ready", "ready_warm", "control_plane_rss", "agent_rss"),
    "agents": (
        "enrol_rate",
        "change_p50_1000_agents",
        "change_p99_1000_agents",
        "change_missing_1000_agents",
        "change_settings_p99_1000_agents",
        "change_one_relay_1000_agents",
        "change_one_relay_woken_1000_agents",
        "change_one_relay_cpu_1000_agents",
        "resync_1000_agents",
        "heartbeats_held",
        "heartbeats_database_writes",
    ),
    "wireguard": ("wg_apply_1000", "wg_apply_10000", "wg_change_one_of_10000"),
    "routes": ("routes_10000",),
    "noise": ("noise_handshakes", "noise_messages"),
    "chaos": ("chaos_lost_updates", "chaos_equal_digests"),
}
"""Module `bench_<key>` and what it measures with 1,000 agents."""

_COMPARED: Final = (
    "failover_dead_relay_gap",
    "failover_silent_link_gap",
    "failover_one_way_gap",
    "failover_second_link_gap",
    "healed_lost",
    "drain_lost",
    "bird_restart_lost",
    "high_loss_lost",
)
ROUTING: Final[dict[str, tuple[str, ...]]] = {
    "plan": BENCHES["plan"],
    "links": BENCHES["links"],
    "routing_failover": (
        *_COMPARED,
        "agent_restart_lost",
        "control_plane_dead_lost",
        *(f"{name}_{system}" for name in _COMPARED for system in ("babeld-fast", "yggdrasil")),
        "failover_dead_relay_gap_babeld",
        "failover_silent_link_gap_babeld",
    ),
    "client_failover": ("failover_client_gap", "failover_client_home_lost"),
    "routing_throughput": ("throughput_1_hop", "throughput_3_hops"),
    "routing_converge": (
        *("converge_8_relays", "converge_16_relays", "converge_32_relays"),
        *("memory_8_relays", "memory_16_relays", "memory_32_relays"),
    ),
}
"""The same for routing (`--suite routing`): what the registry plans for 1,000 relays, then minutes on namespaces."""
KEYD: Final[dict[str, tuple[str, ...]]] = {
    "rotation": ("rotation_lost", "rotation_gap", "rotation_8_relays"),
    "rotation_32": ("rotation_32_relays",),
    "rotation_swarm": ("rotation_1000_relays",),
    "revocation": ("revocation_1000_agents_p99",),
    "noise": ("noise_handshakes", "noise_messages"),
}
"""What keyd does (`--suite keyd`); the rotation needs namespaces."""
SUITES: Final = {"main": BENCHES, "routing": ROUTING, "keyd": KEYD}


def main() -> None:
    arguments = _parse()
    signal.signal(signal.SIGTERM, _end)  # so that what a bench has built is removed
    chosen = _chosen(arguments.only, SUITES[arguments.suite])
    measures: dict[str, Measure] = {}
    failed = []
    for name in chosen:
        _say(f"== {name}")
        module = importlib.import_module(f"bench.bench_{name}")
        begin = time.monotonic()
        try:
            found = module.run(_say, scale=arguments.scale)
            measures |= asyncio.run(found) if inspect.iscoroutine(found) else found
        except Exception as error:
            failed.append(name)
            _say(f"   failed: {error!r}")
            if arguments.fail:
                raise
        _say(f"   {name} took {time.monotonic() - begin:.0f} s{_pressure()}")
    print(table(measures))
    if arguments.out:
        arguments.out.write_text(json.dumps({name: one.facts() for name, one in measures.items()}, indent=2) + "\n")
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure Altnet.")
    every = ", ".join(group for suite in SUITES.values() for group in suite)
    parser.add_argument("--suite", choices=SUITES, default="main", help="what is measured without --only")
    parser.add_argument("--only", default="", help=f"groups ({every}) or names of measures, with commas")
    parser.add_argument("--out", type=Path, help="write the measures as JSON")
    parser.add_argument("--scale", type=int, default=1000, help="simulated agents, where a bench has some")
    parser.add_argument("--fail", action="store_true", help="stop at the first bench that fails, with its traceback")
    return parser.parse_args()


def _chosen(only: str, suite: Mapping[str, Sequence[str]]) -> Sequence[str]:
    wanted = [word.strip() for word in only.split(",") if word.strip()]
    if not wanted:
        return list(suite)
    benches = BENCHES | ROUTING | KEYD
    for word in wanted:
        if not any(word == group or word in names for group, names in benches.items()):
            known = ", ".join(name for group, names in benches.items() for name in (group, *names))
            raise SystemExit(f"there is no bench {word}; there are: {known}")
    return [group for group, names in benches.items() if any(word == group or word in names for word in wanted)]


def _end(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _pressure() -> str:
    """How long tasks had to wait for a processor of late, so that a number from a busy machine is known for one."""
    try:
        words = Path("/proc/pressure/cpu").read_text().split()
    except OSError:
        return ""
    return f"; tasks waited for a processor {words[3].removeprefix('avg300=')} % of the last 5 minutes"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
