"""An event of no service, for tests of the database rooms."""

from __future__ import annotations

from typing import ClassVar

import pytest
from altnet.common.contracts import envelope
from altnet.common.contracts.envelope import Event


class ThingChanged(Event, frozen=True, kw_only=True):
    """Not entered into the registry of kinds, which other tests compare with golden files; see `readable`."""

    kind: ClassVar[str] = "registry.thing.changed"
    version: ClassVar[int] = 1

    thing: str
    number: int = 0

    @property
    def subject_id(self) -> str:
        return self.thing


def readable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `decode_event` know it, for this test."""
    monkeypatch.setitem(envelope._CLASSES, (ThingChanged.kind, ThingChanged.version), ThingChanged)
