"""Settings: file, environment, secrets, and what is said about mistakes."""

from __future__ import annotations

from ipaddress import IPv6Network
from pathlib import Path
from typing import Annotated

import msgspec
import pytest
from altnet.common.errors import Invalid
from altnet.common.settings import Secret, Source, load


class Store(msgspec.Struct, frozen=True, kw_only=True):
    host: str
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 5432
    password: Secret = Secret("")
    options: dict[str, int] = {}


class Upstream(msgspec.Struct, frozen=True, kw_only=True):
    url: str
    weight: int = 1


class Toy(msgspec.Struct, frozen=True, kw_only=True):
    database: Store
    bus: Upstream | None = None
    servers: tuple[str, ...] = ()
    upstreams: tuple[Upstream, ...] = ()
    prefix: IPv6Network = IPv6Network("fd42:1337:beef::/48")
    folder: Path | None = None
    debug: bool = False
    timeout: float = 1.5


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "altnet.toml"
    file.write_text(text, encoding="utf-8")
    return file


def refusal(**arguments: object) -> Invalid:
    with pytest.raises(Invalid) as caught:
        load(Toy, prefix="ALTNET", **arguments)  # type: ignore[arg-type]
    assert caught.value.code == "bad_setting"
    return caught.value


def test_the_environment_overrides_the_file_which_overrides_the_defaults(tmp_path: Path) -> None:
    file = write(tmp_path, 'timeout = 3\n[database]\nhost = "from-file"\nport = 1\n')

    found = load(Toy, prefix="ALTNET", env={"ALTNET_DATABASE__PORT": "2"}, file=file)

    assert found.database == Store(host="from-file", port=2)
    assert found.timeout == 3.0
    assert found.debug is False


def test_every_kind_of_value_can_come_from_a_variable() -> None:
    env = {
        "ALTNET_DATABASE__HOST": "db",
        "ALTNET_DATABASE__OPTIONS": '{"a": 1}',
        "ALTNET_SERVERS": "nats://a:4222, nats://b:4222",
        "ALTNET_UPSTREAMS": '[{"url": "x", "weight": 3}]',
        "ALTNET_PREFIX": "fd00:1::/48",
        "ALTNET_FOLDER": "/var/lib/altnet",
        "ALTNET_DEBUG": "true",
        "ALTNET_TIMEOUT": "0.25",
        "ALTNET_BUS__URL": "nats://c",
        "HOME": "/root",
    }

    found = load(Toy, prefix="ALTNET_", env=env)

    assert found == Toy(
        database=Store(host="db", options={"a": 1}),
        bus=Upstream(url="nats://c"),
        servers=("nats://a:4222", "nats://b:4222"),
        upstreams=(Upstream(url="x", weight=3),),
        prefix=IPv6Network("fd00:1::/48"),
        folder=Path("/var/lib/altnet"),
        debug=True,
        timeout=0.25,
    )


def test_a_secret_is_read_from_the_file_that_a_variable_names(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("hunter2\n")
    env = {"ALTNET_DATABASE__HOST": "db", "ALTNET_DATABASE__PASSWORD_FILE": str(secret)}

    found = load(Toy, prefix="ALTNET", env=env)

    assert found.database.password.reveal() == "hunter2"


def test_a_secret_shows_itself_nowhere() -> None:
    found = load(Toy, prefix="A", env={"A_DATABASE__HOST": "db", "A_DATABASE__PASSWORD": "hunter2"})

    shown = f"{found} {found!r} {found.database.password} {found.database.password!r:>40} {[found.database.password]}"
    assert "hunter2" not in shown
    assert found.database.password == Secret("hunter2")
    assert found.database.password != Secret("hunter3")
    assert not Secret("")


def test_a_missing_setting_is_named_with_the_ways_to_set_it(tmp_path: Path) -> None:
    error = refusal(env={}, file=write(tmp_path, ""))

    assert error.field == "/database/host"
    assert "required" in error.detail
    assert error.mend is not None
    assert "ALTNET_DATABASE__HOST" in error.mend
    assert "[database]" in error.mend


@pytest.mark.parametrize(
    ("env", "field"),
    [
        ({"ALTNET_DATABASE__PORT": "many"}, "/database/port"),
        ({"ALTNET_DATABASE__PORT": "70000"}, "/database/port"),
        ({"ALTNET_PREFIX": "fd00::1/48"}, "/prefix"),
        ({"ALTNET_TIMEOUT": ""}, "/timeout"),
        ({"ALTNET_UPSTREAMS": '[{"url": "x"}, {"weight": 1}]'}, "/upstreams/1/url"),
        ({"ALTNET_UPSTREAMS": "[{"}, "/upstreams"),
        ({"ALTNET_DATABASE__PASSWORD_FILE": "/nowhere/at/all"}, "/database/password"),
        ({"ALTNET_DATABASE__PASSWORD": "a", "ALTNET_DATABASE__PASSWORD_FILE": "/dev/null"}, "/database/password"),
        ({"ALTNET_DATABASE__HOTS": "db"}, "/database/hots"),
    ],
)
def test_a_wrong_variable_is_refused_with_its_place(env: dict[str, str], field: str) -> None:
    error = refusal(env={"ALTNET_DATABASE__HOST": "db", **env})

    assert error.field == field


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("databse = 1\n", "/databse"),
        ('[database]\nhost = "x"\nprot = 1\n', "/database/prot"),
        ('[database]\nhost = "x"\n[[upstreams]]\nurl = "u"\nwieght = 1\n', "/upstreams/0/wieght"),
        ("database = 3\n", "/database"),
    ],
)
def test_a_misspelt_key_of_the_file_is_refused_with_its_place(tmp_path: Path, text: str, field: str) -> None:
    error = refusal(env={}, file=write(tmp_path, text))

    assert error.field == field


@pytest.mark.parametrize("content", [b"=", b"\xff\xfe"])
def test_a_file_that_is_not_toml_is_refused_with_its_name(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "altnet.toml"
    file.write_bytes(content)

    assert "altnet.toml" in refusal(env={}, file=file).detail
    assert "nowhere" in refusal(env={}, file=tmp_path / "nowhere").detail


def test_variables_of_other_parts_are_left_alone() -> None:
    env = {"ALTNET_DATABASE__HOST": "db", "ALTNET_REGISTRY__WHATEVER": "1", "ALTNET_LOG": "debug"}

    assert load(Toy, prefix="ALTNET", env=env).database.host == "db"


def test_a_source_reads_one_table_of_a_file_that_several_parts_share(tmp_path: Path) -> None:
    file = write(tmp_path, '[registry.database]\nhost = "r"\n[keyd]\nanything = 1\n')

    found = Source(prefix="ALTNET_REGISTRY", env={}, file=file, section="registry").load(Toy)

    assert found.database.host == "r"


def test_a_wrong_secret_is_not_repeated_in_the_error(tmp_path: Path) -> None:
    file = write(tmp_path, '[database]\nhost = "x"\npassword = 12345678\n')

    error = refusal(env={}, file=file)

    assert error.field == "/database/password"
    assert "12345678" not in str(error)


@pytest.mark.parametrize(
    "text", ["[2001:db8::1]:8420", "[2001:db8::1]:8420,127.0.0.1:8420", '["[2001:db8::1]:8420", "127.0.0.1:8420"]']
)
def test_a_list_of_addresses_in_brackets_is_not_taken_for_json(text: str) -> None:
    toy = load(Toy, prefix="TOY", env={"TOY_SERVERS": text, "TOY_DATABASE__HOST": "db"})

    assert toy.servers[0] == "[2001:db8::1]:8420"
