"""The demo leaves nothing behind, however it is ended: namespaces, processes, files."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from altnet.host.lab import launcher, namespaces
from altnet.host.lab.lab import Lab
from altnet.host.lab.settings import LabSettings
from altnet.host.lab.topology import Spec

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: the demo needs root"),
]

PREFIX = f"td{os.getpid() % 100_000}"
DEMO = "import sys; from altnet.host.demo import run_demo; sys.exit(run_demo(once=True))"


@pytest.fixture
def run_dir() -> Iterator[Path]:
    """Reachable for the user that Postgres runs as, which pytest's own directories are not."""
    directory = Path(tempfile.mkdtemp(prefix="altnet-demo-"))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        Lab(_settings(directory)).down()
        shutil.rmtree(directory)


@pytest.fixture
def demo(run_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """A demo that has begun to build its lab."""
    child = _start(run_dir)
    try:
        _until(lambda: (run_dir / PREFIX / "control" / "altnet.pid").exists())
        yield child
    finally:
        if child.poll() is None:
            child.kill()
            child.communicate()


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_demo_removes_its_lab(
    demo: subprocess.Popen[str], run_dir: Path, sign: signal.Signals, code: int
) -> None:
    pids = namespaces.processes(namespaces.of_lab(PREFIX))

    demo.send_signal(sign)
    said, _ = demo.communicate(timeout=60)

    assert demo.returncode == code, said
    _is_gone(run_dir, pids)


def test_a_second_interrupt_does_not_stop_the_cleaning(demo: subprocess.Popen[str], run_dir: Path) -> None:
    pids = namespaces.processes(namespaces.of_lab(PREFIX))

    for _ in range(5):
        demo.send_signal(signal.SIGINT)
        time.sleep(0.02)  # some of them arrive while it cleans up
    demo.communicate(timeout=60)

    assert demo.returncode == 130
    _is_gone(run_dir, pids)


def test_what_a_killed_demo_leaves_is_removed_by_the_next_one(demo: subprocess.Popen[str], run_dir: Path) -> None:
    demo.kill()
    demo.communicate()
    left = namespaces.processes(namespaces.of_lab(PREFIX))
    assert left

    second = _start(run_dir)
    _until(lambda: not set(left) & set(namespaces.processes(namespaces.of_lab(PREFIX))))
    second.terminate()
    said, _ = second.communicate(timeout=60)

    assert second.returncode == 143, said
    _is_gone(run_dir, left)


def test_two_demos_do_not_share_a_lab(demo: subprocess.Popen[str], run_dir: Path) -> None:
    said, _ = _start(run_dir).communicate(timeout=60)

    assert "a demo runs already" in said
    assert demo.poll() is None


def test_a_lab_that_somebody_built_is_not_replaced(run_dir: Path) -> None:
    Lab(_settings(run_dir)).up(Spec(prefix=PREFIX, relays=1, clients=0), network_only=True)
    child = _start(run_dir)

    said, _ = child.communicate(timeout=60)

    assert child.returncode == 1
    assert f"there is a lab {PREFIX}" in said
    assert Lab(_settings(run_dir)).status().state == "up"


def _settings(run_dir: Path) -> LabSettings:
    return LabSettings(prefix=PREFIX, run_dir=str(run_dir), api_port=0)


def _start(run_dir: Path) -> subprocess.Popen[str]:
    env = os.environ | {"ALTNET_LAB_PREFIX": PREFIX, "ALTNET_LAB_RUN_DIR": str(run_dir), "ALTNET_LAB_API_PORT": "0"}
    argv = [sys.executable, "-c", DEMO]
    return subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _is_gone(run_dir: Path, pids: dict[int, str]) -> None:
    assert namespaces.of_lab(PREFIX) == set()
    assert not (run_dir / PREFIX).exists()
    assert not [pid for pid in pids if launcher.start_time(pid) is not None]


def _until(condition: object, timeout: float = 30.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():  # type: ignore[operator]  # a test helper takes any callable
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.01)
