"""Only for this folder's tests."""

import asyncio

# The first async test of a session makes pytest-asyncio ask for the current loop, which asyncio then creates and
# nobody closes: a ResourceWarning, hence an error, when the session ends. With "none" set, it is not created.
asyncio.set_event_loop(None)
