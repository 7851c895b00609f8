"""Background work of the registry: planning and publishing, receipts, liveness, housekeeping.

All of it runs on one replica at a time (`director`); the others listen, and serve requests.
"""
