"""Which refusals in the channel are security events (`altnet.common.db.refusals`); all are counted in a metric."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from altnet.common.contracts.keyd import ChannelRefused
from altnet.common.db.engine import Database
from altnet.common.db.refusals import Refusals
from altnet.common.noise import failures
from altnet.keyd.keyring import ACTOR
from prometheus_client import Counter

TOLD: Final = frozenset(
    {
        failures.REFUSED,
        failures.REPLAYED,
        failures.BAD_FRAME,
        failures.TOO_MANY,
        failures.FULL,
        "identity_revoked",
        "bad_signature",
        "key_taken",
        "first_contact_forged",
        "next_key_taken",
        "key_not_certified",
        "bad_certificate",
    }
)
"""Codes that honest hosts do not cause. A session that is unknown or over is everyday: somebody restarted."""


def channel_refused(db: Database, *, most: int, counter: Counter) -> Refusals:
    """`most`: relays with their reasons that are told apart in one period. `counter` has the label `reason`: codes of
    our own errors, so they are few."""
    return Refusals(
        db, told=TOLD, event=_event, actor=ACTOR, most=most, counted=lambda code: counter.labels(code).inc()
    )


def _event(relay: str, reason: str, count: int, since: datetime) -> ChannelRefused:
    return ChannelRefused(relay=relay, reason=reason, count=count, since=since)
