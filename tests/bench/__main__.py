"""`python -m tests.bench [--only NAME,…] [--out FILE.json] [--scale N]`."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.report import Measure, table

BENCHES: Final[dict[str, tuple[str, ...]]] = {
    "plan": ("plan_1000_relays", "plan_one_client_1000_relays"),
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


def main() -> None:
    arguments = _parse()
    chosen = _chosen(arguments.only)
    measures: dict[str, Measure] = {}
    failed = []
    for name in chosen:
        _say(f"== {name}")
        module = importlib.import_module(f"bench.bench_{name}")
        begin = time.monotonic()
        try:
            measures |= asyncio.run(module.run(_say, scale=arguments.scale))
        except Exception as error:
            failed.append(name)
            _say(f"   failed: {error!r}")
            if arguments.fail:
                raise
        _say(f"   {name} took {time.monotonic() - begin:.0f} s")
    print(table(measures))
    if arguments.out:
        arguments.out.write_text(json.dumps({name: one.facts() for name, one in measures.items()}, indent=2) + "\n")
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure Altnet.")
    every = ", ".join(BENCHES)
    parser.add_argument("--only", default="", help=f"groups ({every}) or names of measures, with commas")
    parser.add_argument("--out", type=Path, help="write the measures as JSON")
    parser.add_argument("--scale", type=int, default=1000, help="simulated agents, where a bench has some")
    parser.add_argument("--fail", action="store_true", help="stop at the first bench that fails, with its traceback")
    return parser.parse_args()


def _chosen(only: str) -> Sequence[str]:
    wanted = [word.strip() for word in only.split(",") if word.strip()]
    if not wanted:
        return list(BENCHES)
    for word in wanted:
        if not any(word == group or word in names for group, names in BENCHES.items()):
            known = ", ".join(name for group, names in BENCHES.items() for name in (group, *names))
            raise SystemExit(f"there is no bench {word}; there are: {known}")
    return [group for group, names in BENCHES.items() if any(word == group or word in names for word in wanted)]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
