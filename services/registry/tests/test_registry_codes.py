"""QR codes of clients' files: what comes out of one is what went in, and what does not fit is said."""

from __future__ import annotations

import pytest
import zxingcpp
from altnet.common.errors import Conflict
from altnet.registry.domain.codes import LARGEST, code_of


def of_bytes(size: int) -> str:
    """A file of so many bytes, with the small letters that keep a code in its byte mode."""
    start = "[Interface]\nAllowedIPs = fd42:1337:beef::/48"
    return (start + ", fd00:5:2::/48" * (size // 15 + 1))[:size]


def decoded(text: str) -> str:
    """As a phone's camera would see it: dark and light pixels, with the quiet zone."""
    rows = [bytes(0 if dark else 255 for dark in row) for row in code_of(text).matrix_iter(scale=4, border=4)]
    pixels = memoryview(b"".join(rows)).cast("B", shape=(len(rows), len(rows[0])))
    found = zxingcpp.read_barcodes(pixels)
    assert len(found) == 1
    return str(found[0].text)


@pytest.mark.parametrize("size", [300, 2_331, 2_332, LARGEST])
def test_what_is_read_from_a_code_is_the_file(size: int) -> None:
    assert decoded(of_bytes(size)) == of_bytes(size)


def test_correction_is_given_up_only_where_the_file_needs_the_room() -> None:
    assert code_of(of_bytes(2_331)).error != "L"
    assert code_of(of_bytes(2_332)).error == "L"


def test_a_file_that_fits_no_code_is_said_so_with_the_way_that_is_left() -> None:
    with pytest.raises(Conflict) as refused:
        code_of(of_bytes(LARGEST + 1))
    assert refused.value.code == "too_large_for_code"
    assert "2954 bytes" in refused.value.detail
    assert "file" in (refused.value.mend or "")
