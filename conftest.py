"""Fixtures for every test of the workspace; they live in tests/support, one file per real server."""

import os

import pytest
from altnet.common import heap
from hypothesis import HealthCheck, settings

# Derandomised, so that a run of the suite is a function of the code; ALTNET_HYPOTHESIS=search looks for new examples.
settings.register_profile(
    "suite", max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("search", max_examples=1000, deadline=None)
settings.load_profile(os.environ.get("ALTNET_HYPOTHESIS", "suite"))

pytest_plugins = ["support.postgres", "support.nats", "support.netns", "support.sites"]

LONGEST = ("test_access_rotation.py", "test_preshared_keys.py", "test_client_failover.py", "test_edge_peerings.py")
"""Files that `make test-hosts` begins with: each is one worker's, and the last to end should not be the longest."""
SERVERS = {"postgres_server", "nats_server", "database_factory"}


def pytest_configure() -> None:
    """Three thousand tests stay in memory to the end; the collector of garbage need not look at them."""
    heap.grow()


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    heap.settle()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that start a real server, so that `make test-fast` can leave them out; long files go first."""
    for item in items:
        if SERVERS & set(getattr(item, "fixturenames", ())) or item.path.name.startswith("test_embedded_"):
            item.add_marker(pytest.mark.server)
    items.sort(key=lambda item: (item.path.name not in LONGEST, item.get_closest_marker("slow") is None))
