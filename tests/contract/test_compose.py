"""docker-compose.yml and the Dockerfile say what the rest of the project says."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from altnet.host.cli import app
from altnet.relay_agent import cli as agent
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parents[2]
ONE_SHOT = {"init", "migrate"}
FOREIGN = {"pg_isready", "wget"}
"""What comes with the images of others."""


@pytest.fixture(scope="module")
def compose() -> Any:
    binary = Path(sys.executable).parent / "docker-compose"
    done = subprocess.run(
        [binary, "--project-directory", ROOT, "-f", ROOT / "docker-compose.yml", "config", "--format", "json"],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def test_every_lasting_container_has_a_health_check(compose: Any) -> None:
    lasting = {name: service for name, service in compose["services"].items() if name not in ONE_SHOT}

    dockerfile = (ROOT / "deploy/docker/Dockerfile").read_text()
    for name, service in lasting.items():
        assert "healthcheck" in service or ("build" in service and "HEALTHCHECK" in dockerfile), name


def test_each_health_check_of_ours_is_a_command_that_exists(
    compose: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dockerfile = (ROOT / "deploy/docker/Dockerfile").read_text()
    in_images = [json.loads(found) for found in re.findall(r"^HEALTHCHECK .*?CMD (\[.*\])$", dockerfile, re.MULTILINE)]
    in_compose = [
        service["healthcheck"]["test"][1:]
        for service in compose["services"].values()
        if service.get("healthcheck", {}).get("test", ["NONE"])[0] == "CMD"
    ]
    monkeypatch.setenv("ALTNET_AGENT_STATE_DIR", str(tmp_path))

    assert len(in_images) == dockerfile.count("HEALTHCHECK")
    for command, *arguments in [*in_images, *in_compose]:
        assert command in {"altnet", "altnet-agent", *FOREIGN}
        if command not in FOREIGN:
            assert _is_understood(command, arguments), arguments


def test_an_unknown_flag_in_a_health_check_is_seen() -> None:
    for command, *arguments in (["altnet-agent", "status", "--nonsense"], ["altnet", "doctor", "--nonsense"]):
        assert not _is_understood(command, arguments)


def test_each_service_folder_with_code_runs_as_a_container_of_its_own(compose: Any) -> None:
    with_code = {path.parent.name for path in ROOT.glob("services/*/src/altnet/*/service.py")}
    served = {s["command"][1] for s in compose["services"].values() if (s.get("command") or [""])[0] == "serve"}

    assert with_code
    assert served == with_code


def test_the_services_run_without_privileges(compose: Any) -> None:
    for name, service in compose["services"].items():
        if service.get("image") == "altnet-control":
            assert service["cap_drop"] == ["ALL"], name
            assert service["read_only"] is True, name


def test_no_password_stands_in_the_file(compose: Any) -> None:
    for name, service in compose["services"].items():
        for key, value in (service.get("environment") or {}).items():
            secret = re.search(r"PASSWORD|SECRET|TOKEN|SEED", key)
            assert not secret or str(value).startswith("/secrets"), f"{name}: {key}"


def test_images_are_built_from_a_base_that_the_builder_chooses(compose: Any) -> None:
    dockerfile = (ROOT / "deploy/docker/Dockerfile").read_text()

    assert dockerfile.index("ARG BASE") < dockerfile.index("FROM ${BASE}")
    assert "BASE" in compose["services"]["registry"]["build"]["args"]
    instructions = [line for line in dockerfile.splitlines() if not line.startswith("#")]
    assert not re.search(r"RUN --mount|<<", "\n".join(instructions)), "must build with the classic builder"
    for target in re.findall(r"^FROM \S+ AS (\S+)", dockerfile, re.MULTILINE):
        assert target in {"base", "control", "agent"}


def _is_understood(command: str, arguments: list[str]) -> bool:
    """Run it here; whether it finds all well is not asked, only whether its parser takes the arguments."""
    if command == "altnet":
        return CliRunner().invoke(app, arguments).exit_code != 2
    try:
        agent.main(arguments)  # argparse leaves by SystemExit, everything else is a returned code
    except SystemExit:
        return False
    return True
