"""`altnet clients create`: the file and its QR code, and what is left where the file fits none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from altnet.host.operator import clients as commands
from altnet.registry.domain.wgquick import PLACEHOLDER
from altnet_sdk.api.clients import create_client
from typer.testing import CliRunner, Result

SMALL = f"[Interface]\nPrivateKey = {PLACEHOLDER}\n[Peer]\nAllowedIPs = fd42:1337:beef::/48\n"
LARGE = SMALL + ", ".join(f"2001:db8:{number:x}::/48" for number in range(300)) + "\n"


@pytest.fixture
def create(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run it with a registry that answers with this file."""

    def run(text: str, *arguments: str) -> Result:
        def ask(operation: object, *_of: object, **_with: object) -> Any:
            fields = {"id": "cli_1", "name": "phone"}
            return (
                SimpleNamespace(**fields, to_dict=lambda: fields) if operation is create_client.sync_detailed else text
            )

        monkeypatch.setattr(commands, "api_of", lambda _context: SimpleNamespace(ask=ask))
        return CliRunner().invoke(commands.clients, ["create", "--name", "phone", *arguments])

    return run


def test_a_code_is_shown_instead_of_the_file(create: Callable[..., Result]) -> None:
    done = create(SMALL, "--qr")

    assert done.exit_code == 0
    assert "▀" in done.stdout
    assert "PrivateKey" not in done.output


def test_a_file_that_fits_no_code_is_printed_with_the_reason(create: Callable[..., Result]) -> None:
    done = create(LARGE, "--qr")

    assert done.exit_code == 0
    assert "no QR code: The configuration has" in done.stderr
    assert "PrivateKey = " in done.stdout
    assert PLACEHOLDER not in done.stdout


def test_a_file_that_was_written_is_not_printed_too(create: Callable[..., Result], tmp_path: Path) -> None:
    done = create(LARGE, "--qr", "--config", str(tmp_path / "alt.conf"))

    assert "no QR code" in done.stderr
    assert "PrivateKey" not in done.output
    assert "PrivateKey = " in (tmp_path / "alt.conf").read_text()
