"""The first start of `altnet up`: where its data lie, which prefix it is asked for, and what it tells a person."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from altnet.common.db.settings import DatabaseSettings
from altnet.host import hosting
from altnet.host import up as running
from altnet.host.cli import app
from altnet.host.data_dir import DataDir, default_root
from altnet.host.up import Up
from typer.testing import CliRunner, Result


def test_data_lie_in_the_users_own_data_folder_and_for_root_in_the_systems(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert default_root() == tmp_path / ".local/share/altnet"
    monkeypatch.setenv("XDG_DATA_HOME", "")  # as unset (XDG base directory specification)
    assert default_root() == tmp_path / ".local/share/altnet"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert default_root() == tmp_path / "data/altnet"

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_root() == Path("/var/lib/altnet")


@pytest.mark.parametrize(("user", "mode"), [(1000, 0o700), (0, 0o711)], ids=["a user", "root"])
def test_nobody_else_looks_into_the_data_folder_whatever_the_umask_and_whatever_was_there(
    user: int, mode: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Root's may be passed, and not read: Postgres, which refuses to be root, lies below it."""
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    fresh, open_before = DataDir(tmp_path / "altnet"), DataDir(tmp_path / "open")
    open_before.root.mkdir()
    open_before.root.chmod(0o777)
    umask = os.umask(0)
    try:
        for data in (fresh, open_before):
            data.prepare()
    finally:
        os.umask(umask)

    for data in (fresh, open_before):
        assert stat.S_IMODE(data.root.stat().st_mode) == mode
        assert stat.S_IMODE(data.secrets.stat().st_mode) == 0o700
    fresh.write_ready({"api": []})
    assert stat.S_IMODE(fresh.ready_file.stat().st_mode) == 0o600


@dataclass
class Start:
    """What `altnet up` was to run with, and what it said when that was ready."""

    env: Mapping[str, str] = field(default_factory=dict)
    data: DataDir | None = None

    def __call__(self, *flags: str, **env: str) -> Result:
        return CliRunner().invoke(app, ["up", *flags], env=env)


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Start]:
    """An `altnet up` that starts nothing and is ready at once."""
    start = Start()

    async def run_up(data: DataDir, *, env: Mapping[str, str], ready: Any, **_: Any) -> None:
        start.env, start.data = dict(env), data
        place = DatabaseSettings(host="/run/x", port=5432, name="altnet", user="nobody")
        ready(
            Up(
                api=["http://127.0.0.1:8420"],
                bus=["nats://127.0.0.1:4222"],
                owner_token=data.owner_token,
                data_dir=data.root,
                database=place,
                bus_local="nats://127.0.0.1:4222",
                seconds=4.2,
            )
        )

    monkeypatch.setattr(running, "run_up", run_up)
    monkeypatch.setattr(hosting, "load_service", lambda name: name)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return start


def test_a_random_prefix_is_the_registrys_setting(start: Start) -> None:
    assert start("--prefix", "random").exit_code == 0
    assert start.env["ALTNET_REGISTRY_NETWORK__PREFIX"] == "random"
    assert start().exit_code == 0
    assert "ALTNET_REGISTRY_NETWORK__PREFIX" not in start.env


def test_a_person_is_told_where_everything_is_and_how_to_use_the_token(start: Start, tmp_path: Path) -> None:
    result = start()

    assert result.exit_code == 0, result.output
    assert result.stdout == "", "words are for standard error"
    said = result.stderr
    assert start.data is not None
    assert start.data.root == tmp_path / "altnet"
    for fact in ("ready after 4.2 s", "http://127.0.0.1:8420", "nats://127.0.0.1:4222"):
        assert fact in said
    token = tmp_path / "altnet/owner.token"
    assert re.search(rf"owner token +{re.escape(str(token))}", said)
    assert f'curl -H "Authorization: Bearer $(cat {token})" http://127.0.0.1:8420/v1/networks' in said
    assert "altnet networks list" in said
    assert "export" not in said, "commands of the same user find the token there by themselves"


def test_where_commands_would_not_find_the_token_a_person_is_told_what_to_set(start: Start, tmp_path: Path) -> None:
    result = start("--data-dir", str(tmp_path / "else where"), "--listen", "127.0.0.1:9999")

    assert result.exit_code == 0, result.output
    assert f"export ALTNET_TOKEN_FILE='{tmp_path}/else where/owner.token'" in result.stderr
    assert "export ALTNET_API=http://127.0.0.1:8420" in result.stderr


def test_a_script_gets_the_facts_in_one_line_of_json(start: Start, tmp_path: Path) -> None:
    result = start("--json")

    assert result.stderr == ""
    assert result.stdout.count("\n") == 1
    facts = json.loads(result.stdout)
    assert (facts["api"], facts["owner_token"]) == (["http://127.0.0.1:8420"], str(tmp_path / "altnet/owner.token"))
