"""Where the control plane keeps its own: modes, locks, secrets, addresses."""

import json
import os
import stat
from pathlib import Path

import pytest
from altnet.common.clock import SystemClock
from altnet.common.errors import Conflict, Invalid, NotFound
from altnet.common.files import write_private
from altnet.common.settings import load
from altnet.host.data_dir import DataDir
from altnet.host.secrets import SecretsDir
from altnet.host.settings import HostSettings, split_address


def test_a_data_directory_is_private_from_the_start(tmp_path: Path) -> None:
    data = DataDir(tmp_path / "new" / "place")

    data.prepare()

    assert stat.S_IMODE(data.secrets.stat().st_mode) == 0o700
    assert stat.S_IMODE(data.root.stat().st_mode) & 0o066 == 0


def test_copies_of_the_buss_streams_are_a_number_that_can_be_outvoted() -> None:
    three = load(HostSettings, prefix="ALTNET", env={"ALTNET_BUS__REPLICAS": "3"})

    assert (three.bus.replicas, HostSettings().bus.replicas) == (3, 1)
    with pytest.raises(Invalid) as refusal:
        load(HostSettings, prefix="ALTNET", env={"ALTNET_BUS__REPLICAS": "2"})
    assert refusal.value.field == "/bus/replicas"


def test_two_control_planes_do_not_share_a_data_directory(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    data.prepare()

    with data.held(), pytest.raises(Conflict) as refusal, data.held():
        pass

    assert refusal.value.code == "data_dir_in_use"
    with data.held():
        """The lock is free again."""


def test_ready_is_told_only_while_somebody_holds_the_directory(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    data.prepare()
    data.write_ready({"pid": os.getpid(), "api": []})

    with data.held():
        assert data.read_ready() == {"pid": os.getpid(), "api": []}
    assert data.read_ready() is None


def test_a_private_file_is_replaced_as_a_whole_and_stays_private(tmp_path: Path) -> None:
    target = tmp_path / "secret"
    write_private(target, b"one")

    write_private(target, b"two")

    assert target.read_bytes() == b"two"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["secret"]


def test_secrets_are_made_once_and_found_again(tmp_path: Path) -> None:
    secrets = SecretsDir(tmp_path / "secrets")
    secrets.create(schemas=["registry"], clock=SystemClock())
    before = snapshot(secrets.root)

    secrets.create(schemas=["registry"], clock=SystemClock())

    assert snapshot(secrets.root) == before
    assert secrets.database_password("registry") != secrets.database_password("registry_owner")
    assert secrets.bus_identity(SystemClock()).account


def test_a_new_service_gets_its_passwords_without_changing_the_others(tmp_path: Path) -> None:
    secrets = SecretsDir(tmp_path)
    secrets.create(schemas=["registry"], clock=SystemClock())
    before = secrets.database_password("registry")

    secrets.create(schemas=["registry", "keyd"], clock=SystemClock())

    assert secrets.database_password("registry") == before
    assert secrets.database_password("keyd")


def test_every_secret_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    SecretsDir(tmp_path).create(schemas=["registry"], clock=SystemClock())

    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}

    assert all(mode & 0o077 == 0 for mode in modes.values()), modes


def test_missing_secrets_are_named_with_the_mend(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as refusal:
        SecretsDir(tmp_path).database_password("registry")

    assert "altnet admin init" in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "parts"),
    [("localhost:8420", ("localhost", 8420)), ("[::1]:0", ("::1", 0)), ("0.0.0.0:65535", ("0.0.0.0", 65535))],
)
def test_an_address_to_listen_on_is_read(text: str, parts: tuple[str, int]) -> None:
    assert split_address(text, field="/listen") == parts


@pytest.mark.parametrize("text", ["", "8420", "::1:8420", "host:", "host:x", "host:70000", "[::1]"])
def test_what_is_no_address_names_the_setting(text: str) -> None:
    with pytest.raises(Invalid) as refusal:
        split_address(text, field="/listen")

    assert refusal.value.field == "/listen"


def snapshot(root: Path) -> dict[str, str]:
    files = {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}
    return json.loads(json.dumps(files))
