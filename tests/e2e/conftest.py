"""A control plane as a process, one for each file that shares it or one for each test that breaks it."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.control_plane import ControlPlane

QUICKER = {
    "ALTNET_HTTP__IDEMPOTENCY_CLAIM": "5",
    "ALTNET_REGISTRY_PLANNING__VERIFY_EVERY": "5",
}
"""Seconds: a claim of a request that died, and the net below lost documents. A minute each in earnest."""


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    """A short folder that the account of Postgres can pass."""
    with tempfile.TemporaryDirectory(prefix="altnet-e2e-") as folder:
        path = Path(folder)
        path.chmod(0o711)
        yield path


@pytest.fixture(scope="module")
def control(root: Path) -> Iterator[ControlPlane]:
    """One for the tests of a file: they leave it running."""
    plane = ControlPlane(root / "data", env=QUICKER)
    asyncio.run(plane.start())
    yield plane
    asyncio.run(plane.stop())
