"""`altnet relays links` as people read it."""

from __future__ import annotations

import pytest
from altnet.host.operator.output import show_list
from altnet.host.operator.relays import LINK_COLUMNS
from altnet_sdk.models.link import Link


def test_a_link_is_shown_by_its_ends_its_latency_and_why_it_exists(capsys: pytest.CaptureFixture[str]) -> None:
    told = {
        "id": "rly_a.rly_b",
        "network": "net_x",
        "one": {"relay": "rly_a", "name": "berlin", "region": "eu"},
        "other": {"relay": "rly_b", "name": "ohio", "region": "us"},
        "kind": "region",
        "why": "one of at least two that connect the regions eu and us",
        "latency": 98.25,
        "measured_at": "2026-05-01T12:00:00Z",
        "chosen_at": None,
    }
    show_list([Link.from_dict(told)], LINK_COLUMNS, as_json=False)
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["ONE", "OTHER", "MS", "KIND", "WHY"]
    assert row.split(maxsplit=4) == ["berlin", "ohio", "98.2", "region", told["why"]]
