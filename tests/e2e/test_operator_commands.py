"""The `altnet` command against a real control plane, as an operator at a terminal or a script uses it."""

from __future__ import annotations

import asyncio
import json
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.control_plane import ControlPlane, environment

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Operator:
    """Runs `altnet …` with the first owner's token."""

    plane: ControlPlane

    async def __call__(self, *arguments: str, **env: str) -> Done:
        own = {"ALTNET_API": self.plane.facts["api"][0], "ALTNET_TOKEN_FILE": self.plane.facts["owner_token"], **env}
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "altnet.host.cli", *arguments],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            env=environment(**own),
            timeout=60,
            check=False,
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture
def altnet(control: ControlPlane) -> Operator:
    return Operator(control)


async def test_an_operator_sets_up_a_network_from_the_command_line(altnet: Operator, tmp_path: Path) -> None:
    networks = await altnet("networks", "list", "--json")
    assert [network["prefix"] for network in networks.json] == ["fd42:1337:beef::/48"]

    token = await altnet("join-tokens", "create", "--kind", "relay", "--uses", "2")
    assert token.out.startswith("altj_")
    assert "shown once" in token.err

    service = await altnet(
        "services", "register", "--name", "web", "--port", "80", "--tag", "blue", "--address", "fd00:5::80", "--json"
    )
    assert service.code == 0, service.err
    assert service.json["address"] == "fd00:5::80"
    listed = await altnet("services", "list", "--tag", "blue")
    assert "web" in listed.out
    assert (await altnet("services", "list", "--tag", "red", "--json")).json == []

    change = await altnet("changes", "show", str(service.json["change"]), "--wait", "--json")
    assert change.code == 0
    assert change.json["complete"] is True

    refused = await altnet("services", "remove", "web")
    assert refused.code == 2
    assert "--yes" in refused.err
    assert (await altnet("services", "remove", "web", "--yes")).code == 0

    secret = tmp_path / "ci.token"
    made = await altnet("tokens", "create", "--name", "ci", "--role", "auditor", "--out", str(secret), "--json")
    assert made.code == 0, made.err
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert secret.read_text().strip() not in made.out
    assert (await altnet("relays", "list", ALTNET_TOKEN_FILE=str(secret))).code == 0
    forbidden = await altnet("join-tokens", "create", ALTNET_TOKEN_FILE=str(secret))
    assert forbidden.code == 4
    assert "admin" in forbidden.err

    assert (await altnet("mesh")).code == 0
    assert (await altnet("doctor")).code == 0


async def test_what_goes_wrong_is_one_line_with_the_mend_and_its_own_exit_code(altnet: Operator) -> None:
    unknown = await altnet("relays", "show", "nowhere")
    assert (unknown.code, unknown.err.count("\n")) == (5, 1)

    wrong = await altnet("networks", "create", "Not A Label")
    assert wrong.code == 2
    assert "name" in wrong.err

    taken = await altnet("networks", "create", "default")
    assert taken.code == 6

    nobody = await altnet("relays", "list", ALTNET_TOKEN_FILE="/nonexistent")
    assert nobody.code == 4
    assert "ALTNET_TOKEN_FILE" in nobody.err

    away = await altnet("relays", "list", ALTNET_API="http://127.0.0.1:9")
    assert away.code == 3
    assert "altnet up" in away.err
    for failed in (unknown, wrong, taken, nobody, away):
        assert "Traceback" not in failed.err
