"""`altnetd` as its user meets it: what it prints, what it keeps, what it refuses."""

from __future__ import annotations

import json
import stat
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
from altnet.client.cli import main
from altnet.client.state import DiskState, Identity, Membership
from altnet.common.contracts.client import AccessPoint, ClientConfig
from altnet.common.errors import Conflict, Invalid
from altnet.common.files import write_private

CONFIG = ClientConfig(
    client="cli_1",
    name="laptop",
    network="default",
    prefix="fd42:1337:beef::/48",
    addresses=("fd42:1337:beef:1001::500/128",),
    routes=("fd42:1337:beef::/48",),
    mtu=1280,
    keepalive=25,
    relays=(
        AccessPoint(
            relay="rly_1",
            name="one",
            key="K",
            endpoints=("one.example:51830",),
            address="fd42:1337:beef:1001::1",
            priority=0,
        ),
    ),
    movable=True,
)
SECRET = "the-secret-of-this-client"
TOKEN = "the-join-token"


class _Registry(BaseHTTPRequestHandler):
    asked: ClassVar[list[dict[str, Any]]] = []
    status = 201

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        _Registry.asked.append({"path": self.path, **json.loads(self.rfile.read(length))})
        body: dict[str, Any] = {
            "client": {"id": "cli_1", "name": "laptop", "more": 1},
            "configuration": {**msgspec.to_builtins(CONFIG), "text": "a wg-quick file"},
            "secret": SECRET,
        }
        if self.status >= 400:
            body = {"code": "token_used", "detail": "the join token is used.", "errors": [{"pointer": "/token"}]}
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def registry() -> Iterator[str]:
    _Registry.asked, _Registry.status = [], 201
    server = HTTPServer(("127.0.0.1", 0), _Registry)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def run(*arguments: str) -> int:
    return main(arguments, env={})


def test_joining_keeps_key_secret_and_configuration_private_and_sends_the_public_key_alone(
    registry: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    home = tmp_path / "state"
    flags = ("--state-dir", str(home), "--registry", registry, "--token-file", str(token), "--name", "laptop")
    assert run("join", *flags, "--label", "os=linux", "--json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["client"] == "cli_1"
    (asked,) = _Registry.asked
    assert run("key", "--state-dir", str(home)) == 0
    public = capsys.readouterr().out.strip()
    private = msgspec.json.decode((home / "identity.json").read_bytes(), type=Identity).private_key
    assert asked == {
        "path": "/v1/join",
        "token": TOKEN,
        "key": public,
        "name": "laptop",
        "region": "",
        "labels": {"os": "linux"},
        "movable": True,
    }
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    for name in ("identity.json", "membership.json", "configuration.json"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600
    state = DiskState(home)
    assert state.configuration() == CONFIG
    membership = state.membership()
    assert membership == Membership(client="cli_1", registry_url=registry, secret=SECRET)
    for shown in (said.out, said.err, repr(membership), repr(state.identity()), repr(CONFIG)):
        assert not {text for text in (SECRET, TOKEN, private) if text in shown}

    assert run("status", "--state-dir", str(home)) == 3
    assert "not running" in capsys.readouterr().out


def test_a_token_that_is_refused_leaves_nothing_but_the_key(
    registry: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _Registry.status = 403
    token = tmp_path / "token"
    token.write_text(TOKEN)
    home = tmp_path / "state"
    flags = ("--state-dir", str(home), "--registry", registry, "--token-file", str(token), "--json")
    assert run("join", *flags) == 1
    said = json.loads(capsys.readouterr().out)["error"]
    assert (said["code"], said["field"]) == ("token_used", "/token")
    assert {file.name for file in home.iterdir()} == {"identity.json", "altnetd.lock"}


@pytest.mark.parametrize(
    ("arguments", "code", "field"),
    [
        (("join",), "bad_setting", "/registry_url"),
        (("join", "--registry", "ftp://x"), "bad_setting", "/registry_url"),
        (("join", "--registry", "http://127.0.0.1:9"), "no_join_token", "/join_token"),
        (("join", "--name", "not a label"), "bad_setting", "/name"),
        (("run", "--interface", "Upper"), "bad_setting", "/interface"),
        (("run",), "not_joined", None),
        (("run", "--config", "/nowhere"), "bad_setting", "/config"),
        (("status",), "not_joined", None),
    ],
)
def test_wrong_use_is_refused_with_the_field_and_the_mend(
    arguments: tuple[str, ...], code: str, field: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments, "--state-dir", str(tmp_path / "state"), "--json") == 2
    said = json.loads(capsys.readouterr().out)["error"]
    assert (said["code"], said["field"]) == (code, field)
    assert said["mend"] or field == "/config"


def test_a_broken_file_is_named_and_never_quoted(tmp_path: Path) -> None:
    home = tmp_path / "state"
    state = DiskState(home)
    state.identity()
    write_private(home / "identity.json", b'{"private_key": "c2VjcmV0"}')
    write_private(home / "membership.json", b'{"client": "cli_1", "secret": "c2VjcmV0"}')
    for read in (state.identity, state.membership):
        with pytest.raises(Invalid) as error:
            read()
        assert error.value.code == "state_corrupt"
        assert "c2VjcmV0" not in str(error.value)
    (home / "identity.json").unlink()
    with pytest.raises(Invalid, match="missing"):
        state.identity()


def test_two_altnetd_do_not_share_a_state_directory(tmp_path: Path) -> None:
    one, other = DiskState(tmp_path / "state"), DiskState(tmp_path / "state")
    one.hold()
    with pytest.raises(Conflict) as error:
        other.hold()
    assert error.value.code == "already_running"
    one.release()
    other.hold()
    other.release()
