"""The demo, as `make demo` runs it: the whole story holds, it stays up, and Ctrl-C leaves nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from altnet.host.lab import namespaces
from altnet.host.lab.lab import Lab
from altnet.host.lab.settings import LabSettings

pytestmark = [
    pytest.mark.netns,
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: the demo needs root"),
]

PREFIX = f"ts{os.getpid() % 100_000}"
DEMO = "import sys; from altnet.host.demo import run_demo; sys.exit(run_demo(once=False))"


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


def test_every_step_of_the_demo_holds_and_ctrl_c_removes_it(run_dir: Path) -> None:
    env = os.environ | {"ALTNET_LAB_PREFIX": PREFIX, "ALTNET_LAB_RUN_DIR": str(run_dir), "ALTNET_LAB_API_PORT": "0"}
    env["ALTNET_DEMO_WATCH"] = "1.5"  # seconds at each step, for nobody looks on
    demo = subprocess.Popen([sys.executable, "-c", DEMO], env=env, stdout=subprocess.PIPE, text=True)
    assert demo.stdout is not None
    said: list[str] = []
    try:
        for line in demo.stdout:
            said.append(line)
            if "Ctrl-C removes everything" in line:
                break
        text = "".join(said)
        assert "DID NOT HOLD" not in text
        assert text.count("  held: ") == 14, text
        assert Lab(_settings(run_dir)).status().state == "up"

        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=60)
    finally:
        if demo.poll() is None:
            demo.kill()
            demo.communicate()

    assert demo.returncode == 0
    assert namespaces.of_lab(PREFIX) == set()
    assert not (run_dir / PREFIX).exists()


def _settings(run_dir: Path) -> LabSettings:
    return LabSettings(prefix=PREFIX, run_dir=str(run_dir), api_port=0)
