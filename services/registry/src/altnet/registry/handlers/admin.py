"""What an administrator does to the installation itself: for the host's commands, and one for the API."""

from __future__ import annotations

from altnet.common.db.uow import UnitOfWork
from altnet.registry.store import changes, worlds


async def rebuild_desired(uow: UnitOfWork) -> None:
    """Have the leader, wherever it runs, put every document again, whatever the buckets seem to hold."""
    await worlds.ask_for_rebuild(uow)


async def renumber_after_restore(uow: UnitOfWork, *, least: int) -> int:
    """Make every document newer than anything that relays may have seen; answers the number reached.

    For a restored backup, before the registry starts: relays refuse what is older than what they have. `least` is a
    number that the lost registry cannot have reached.
    """
    await worlds.forget_documents(uow)
    return await changes.raise_counter(uow, least)
