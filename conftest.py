"""Fixtures for every test of the workspace; they live in tests/support, one file per real server."""

pytest_plugins = ["support.postgres", "support.nats"]
