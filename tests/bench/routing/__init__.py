"""Routing under failure, measured: the systems that are compared, what is done to them, and a picture of it."""
