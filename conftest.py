"""Fixtures for every test of the workspace; they live in tests/support, one file per real server."""

import os

from hypothesis import HealthCheck, settings

# Derandomised, so that a run of the suite is a function of the code; ALTNET_HYPOTHESIS=search looks for new examples.
settings.register_profile(
    "suite", max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("search", max_examples=1000, deadline=None)
settings.load_profile(os.environ.get("ALTNET_HYPOTHESIS", "suite"))

pytest_plugins = ["support.postgres", "support.nats", "support.netns"]
