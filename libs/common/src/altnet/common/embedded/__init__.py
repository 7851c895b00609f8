"""Runners for the servers that `altnet up` and the tests start as child processes."""
