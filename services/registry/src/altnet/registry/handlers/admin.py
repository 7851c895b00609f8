"""What an administrator does to the installation itself: for the host's commands, and one for the API."""

from __future__ import annotations

from altnet.common.contracts.registry import MeshRebuildAsked
from altnet.common.db.uow import UnitOfWork
from altnet.registry.store import changes, worlds


async def rebuild_desired(uow: UnitOfWork) -> int:
    """Have the leader, wherever it runs, put every document again, whatever the buckets seem to hold.

    Answers how many there are; the leader does it when this unit of work has committed.
    """
    await worlds.ask_for_rebuild(uow)
    documents = await worlds.count_documents(uow)
    uow.emit(MeshRebuildAsked(documents=documents))
    return documents


async def renumber_after_restore(uow: UnitOfWork, *, skip: int) -> int:
    """Make every document newer than anything that relays may have seen; answers the number reached.

    For a restored backup, before the registry starts: relays refuse what is older than what they have. `skip` is more
    changes than were accepted since the backup.
    """
    await worlds.forget_documents(uow)
    return await changes.raise_counter(uow, skip)
