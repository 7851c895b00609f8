"""The tests' own namespaces and prober: they tell the truth, and leave nothing behind."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.netns import NAMESPACES, NamespaceFactory, connect, namespaces, processes, sweep
from support.prober import Prober, Spot

pytestmark = pytest.mark.netns

CUT = "add table inet cut; add chain inet cut in { type filter hook input priority 0; policy accept; }; \
add rule inet cut in meta l4proto udp drop"

KILLED = """
import os, subprocess, sys
sys.path.insert(0, sys.argv[1])
from support.netns import namespaces
with namespaces() as make:
    namespace = make("orphan")
    subprocess.Popen([*namespace.command, "sleep", "600"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print(namespace.name, flush=True)
    os.kill(os.getpid(), 9)
"""


def test_a_namespace_goes_with_the_processes_in_it() -> None:
    with namespaces() as make:
        namespace = make("here")
        child = subprocess.Popen([*namespace.command, "sleep", "600"])
        while not processes(namespace.name):
            time.sleep(0.005)
    assert child.wait(timeout=10) == -9
    assert not (NAMESPACES / namespace.name).exists()
    assert not namespace.sockets.exists()


def test_what_a_killed_run_left_behind_is_swept() -> None:
    support = str(Path(__file__).parents[1])
    run = subprocess.run([sys.executable, "-c", KILLED, support], capture_output=True, text=True, timeout=30)
    name = run.stdout.strip()
    assert (NAMESPACES / name).exists()
    sweep()
    assert not (NAMESPACES / name).exists()
    assert not list(Path("/tmp").glob(f"{name}-*"))


def test_a_thread_comes_back_from_a_namespace_whatever_happens_there(netns_factory: NamespaceFactory) -> None:
    def enter_and_fail() -> None:
        with netns_factory("a").entered():
            seen.append(here())
            raise ZeroDivisionError

    seen = [here()]
    with pytest.raises(ZeroDivisionError):
        enter_and_fail()
    seen.append(here())
    assert seen[0] == seen[2] != seen[1]


def here() -> Path:
    return Path("/proc/thread-self/ns/net").readlink()


def test_the_prober_counts_what_is_lost_and_for_how_long(netns_factory: NamespaceFactory) -> None:
    a, b = netns_factory("a"), netns_factory("b")
    connect(a, b, prefix="2001:db8::")
    with Prober(Spot(a, "2001:db8::1"), Spot(b, "2001:db8::2"), interval=0.01) as prober:
        time.sleep(0.3)
        for end in (a, b):
            end.run("nft", CUT)
        time.sleep(0.4)
        for end in (a, b):
            end.run("nft", "delete table inet cut")
        time.sleep(0.3)
        verdict = prober.finish()
    assert verdict.forward.sent > 50
    for way in (verdict.forward, verdict.backward):
        assert 20 <= way.lost < way.sent
        assert 0.3 < way.longest_gap < 3


def test_the_prober_loses_nothing_on_a_whole_wire(netns_factory: NamespaceFactory) -> None:
    a, b = netns_factory("a"), netns_factory("b")
    connect(a, b, prefix="2001:db8::")
    with Prober(Spot(a, "2001:db8::1"), Spot(b, "2001:db8::2")) as prober:
        time.sleep(0.3)
        verdict = prober.finish()
    assert verdict.forward.sent > 20
    assert (verdict.lost, verdict.refused) == (0, 0)
    assert verdict.forward.worst_latency < 1
