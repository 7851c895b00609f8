"""`altnet up` by somebody who is not root."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.control_plane import ControlPlane

NOBODY = 65534


@pytest.fixture
def home() -> Iterator[Path]:
    """A home of nobody's own."""
    with tempfile.TemporaryDirectory(prefix="altnet-home-") as folder:
        os.chown(folder, NOBODY, NOBODY)
        yield Path(folder)


@pytest.mark.e2e
@pytest.mark.timeout(120)
async def test_up_without_root_is_ready_and_keeps_its_files_private(home: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED: only root can become somebody else; as an ordinary user every e2e test shows the same")
    python, env = _python_for(NOBODY)
    control = ControlPlane(home / "altnet", user=NOBODY, home=home, python=python, env=env)
    async with control:
        owners = _owners(home / "altnet")
        modes = {oct(path.stat().st_mode & 0o777) for path in (home / "altnet", home / "altnet/secrets")}
        token = (home / "altnet/owner.token").stat().st_mode & 0o777
        async with control.client() as operator:
            networks = await operator.all_of("/v1/networks")
    assert owners == {NOBODY}
    assert modes == {"0o700"}
    assert token == 0o600
    assert [network["prefix"] for network in networks] == ["fd42:1337:beef::/48"]


def _owners(folder: Path) -> set[int]:
    """Of everything below; what Postgres removes meanwhile does not count."""
    found = set()
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            found.add(path.stat().st_uid)
    return found


def _python_for(user: int) -> tuple[str, dict[str, str]]:
    """An interpreter of our version that `user` may run, with our packages in its path."""
    candidates = (sys.executable, f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}")
    env = {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path and Path(path).is_dir()),
        "PATH": os.pathsep.join((sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath))),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    for python in candidates:
        try:
            tried = subprocess.run(
                [python, "-c", "import altnet.host.cli, asyncpg, pydantic_core"],
                user=user,
                group=user,
                extra_groups=[],
                env=env,
                cwd="/",
                capture_output=True,
                check=False,
            )
        except OSError:
            continue
        if tried.returncode == 0:
            return python, env
    pytest.skip(f"NOT TESTED: user {user} can run none of {', '.join(candidates)}")
