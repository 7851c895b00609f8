"""A relay reports troubles with its pre-shared keys: each kind becomes a security event."""

from __future__ import annotations

from altnet.common.contracts.keyd import PairReport, PresharedKeyFailed
from altnet.common.db.uow import UnitOfWork
from altnet.keyd.store.events import EMITTER, next_numbers
from prometheus_client import Counter


async def heard_of_troubles(uow: UnitOfWork, relay: str, report: PairReport, *, counter: Counter | None) -> None:
    """Tell of what the relay saw; `counter` has the label `why`."""
    if not report.troubles:
        return
    first = await next_numbers(uow, len(report.troubles))
    for offset, trouble in enumerate(report.troubles):
        uow.emit(
            PresharedKeyFailed(
                emitter=EMITTER,
                number=first + offset,
                relay=relay,
                neighbour=trouble.neighbour,
                why=trouble.why,
                count=trouble.count,
            )
        )
        if counter is not None:
            counter.labels(_known(trouble.why)).inc(trouble.count)


def _known(why: str) -> str:
    # A relay must not be able to make series without end.
    return why if why in _WHYS else "other"


_WHYS = frozenset(
    {
        "no_answer",
        "not_installed",
        "rolled_back",
        "not_acknowledged",
        "tried_other",
        "not_applied",
        "refused",
        "bad_proof",
        "bad_signature",
        "broken",
        "flood",
        "no_identity",
        "no_key",
    }
)
