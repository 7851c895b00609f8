"""The models in docs/models hold, and would not hold without the rules that they are about."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

MODELS = Path(__file__).parents[2] / "docs" / "models"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("spin") is None or shutil.which("gcc") is None,
        reason="NOT TESTED: the models need spin and gcc (deploy/packages/test.txt)",
    ),
]


def errors(directory: Path, model: str, *options: str) -> int:
    """How many the model checker finds in every state that can be reached."""
    shutil.copy(MODELS / model, directory)
    for command in (["spin", "-a", *options, model], ["gcc", "-O2", "-w", "-o", "pan", "pan.c"], ["./pan", "-m100000"]):
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=240)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    assert "max search depth too small" not in done.stdout
    assert "Search not completed" not in done.stdout or "errors: 0" not in done.stdout
    found = re.search(r"errors: ([0-9]+)", done.stdout)
    assert found is not None, done.stdout
    return int(found[1])


def test_a_rotation_never_breaks_a_pair_whatever_is_late_lost_or_killed(tmp_path: Path) -> None:
    assert errors(tmp_path, "rotation.pml") == 0


@pytest.mark.parametrize("broken", ["-DEARLY", "-DBLIND"])
def test_without_its_rules_a_rotation_breaks_pairs(tmp_path: Path, broken: str) -> None:
    assert errors(tmp_path, "rotation.pml", broken) > 0


def test_a_rotation_of_an_access_key_cuts_no_client_off_that_follows_or_has_time(tmp_path: Path) -> None:
    assert errors(tmp_path, "access_rotation.pml") == 0


@pytest.mark.parametrize("broken", ["-DEARLY", "-DBLIND", "-DHASTY", "-DDEAF", "-DNODATE"])
def test_without_its_rules_a_rotation_of_an_access_key_cuts_clients_off(tmp_path: Path, broken: str) -> None:
    assert errors(tmp_path, "access_rotation.pml", broken) > 0
