"""Which refusals of the registry are security events: attempts without a right (`altnet.common.db.refusals`).

Who asked is as he says for whoever comes without a bearer: the identifier of the token that he shows, the nkey that he
proved. Of orders between services it is `rpc:<verb>`: the bus says no more than that it was no relay. Leaves out what
is refused before that is known: bodies that cannot be read, and attempts that come too fast.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from altnet.common.contracts.registry import AttemptRefused
from altnet.common.db.engine import Database
from altnet.common.db.refusals import Refusals

ACTOR: Final = "registry"
TOLD: Final = frozenset(
    {
        "bad_join_token",
        "token_kind",
        "token_used",
        "token_expired",
        "token_revoked",
        "bad_key_proof",
        "bad_signature",
        "proof_needed",
        "key_revoked",
        "relay_revoked",
    }
)
"""Codes of attempts to get in, or to get a key in, by what does not give the right to."""


def attempts_refused(db: Database, *, most: int) -> Refusals:
    """`most`: askers with their reasons that are told apart in one period."""
    return Refusals(db, told=TOLD, event=_event, actor=ACTOR, most=most)


def asker_of(verb: str) -> str:
    """Who gives an order that another service should have signed."""
    return f"rpc:{verb}"


def _event(asker: str, reason: str, count: int, since: datetime) -> AttemptRefused:
    return AttemptRefused(actor=asker, reason=reason, count=count, since=since)
