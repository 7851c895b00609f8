"""The `altnet` command finds each of its groups where it is looked for, and loads no other one."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer
from altnet.host.cli import app
from altnet.host.groups import COMMANDS, GROUPS
from typer.testing import CliRunner


@pytest.mark.parametrize("name", [*GROUPS, *COMMANDS])
def test_every_name_leads_to_a_command_with_a_help_of_its_own(name: str) -> None:
    shown = CliRunner().invoke(app, [name, "--help"])
    assert (shown.exit_code, f" {name} " in shown.output) == (0, True)


def test_the_help_names_every_command_once() -> None:
    command = typer.main.get_command(app)
    names = command.list_commands(typer.Context(command))  # type: ignore[attr-defined]  # it is a group
    assert sorted(names) == sorted({*GROUPS, *COMMANDS, "up", "serve", "demo"})
    assert CliRunner().invoke(app, ["--help"]).exit_code == 0


def test_a_command_does_not_load_the_code_of_the_others() -> None:
    script = "import sys, altnet.host.cli as cli; sys.argv = ['altnet', 'serve', '--help']\ntry: cli.main()\nfinally:"
    script += " sys.exit(sorted(set(sys.modules) & {'altnet_sdk', 'httpx', 'altnet.host.lab.lab'}) or None)"
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
