"""How peerings are written on the command line, and where their passwords come from."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from altnet.common.errors import Invalid
from altnet.host.operator.peerings import password_of, rules


def test_rules_are_written_as_in_routing_policies() -> None:
    said = rules(
        ["10.0.0.0/8", "10.0.0.0/8^16", "10.0.0.0/8^16-24", "10.0.0.0/8^+", "2001:db8::/32^+"], field="/import"
    )
    assert said == [
        {"prefix": "10.0.0.0/8"},
        {"prefix": "10.0.0.0/8", "shortest": 16, "longest": 16},
        {"prefix": "10.0.0.0/8", "shortest": 16, "longest": 24},
        {"prefix": "10.0.0.0/8", "longest": 32},
        {"prefix": "2001:db8::/32", "longest": 128},
    ]
    assert rules(None, field="/import") is None


@pytest.mark.parametrize("text", ["", "^16", "10.0.0.0/8^", "10.0.0.0/8^a", "10.0.0.0/8^16-", "10.0.0.0/8^1234"])
def test_what_is_no_rule_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        rules(["10.0.0.0/8", text], field="/import")
    assert refused.value.field == "/import/1"


def test_a_password_is_the_first_line_of_a_file_or_of_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "password"
    file.write_text("correct-horse\nand more\n")
    assert password_of(file) == "correct-horse"
    monkeypatch.setattr("sys.stdin", io.StringIO("battery-staple\r\n"))
    assert password_of(Path("-")) == "battery-staple"
    assert password_of(None) is None


def test_a_password_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    empty, binary = tmp_path / "empty", tmp_path / "binary"
    empty.write_text("\n")
    binary.write_bytes(b"\xff\xfe\n")
    for file in (empty, binary, tmp_path / "missing", tmp_path):
        with pytest.raises(Invalid) as refused:
            password_of(file)
        assert refused.value.field == "/password-file"
