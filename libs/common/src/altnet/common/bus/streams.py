"""The streams that the bus needs: EVT for events, and a KV bucket for each kind of desired document.

`ensure_streams` brings them to what is written here, whatever was there before, so it is run after every connect:
a wiped NATS gets its streams back within a moment. What was in them comes back from Postgres, not from here.
"""

from __future__ import annotations

from typing import Any, Final

from altnet.common import log
from altnet.common.bus import subjects
from altnet.common.bus.connect import Bus
from altnet.common.bus.jsapi import STREAM_NOT_FOUND, JetStreamError, call

_LOG: Final = log.get(__name__)

_NS: Final = 10**9

KEEP_EVENTS: Final = 14 * 86_400
"""Seconds. A consumer that was away for longer reads the rest from the outboxes' ledger (`altnet admin replay`)."""
DEDUP_WINDOW: Final = 600
"""Seconds in which a message id is stored once: longer than an outbox relay needs to try again after a crash."""


def stream_configs(*, replicas: int) -> list[dict[str, Any]]:
    """Each stream as JetStream's API takes it."""
    events = {
        "name": subjects.EVENT_STREAM,
        "description": "What happened, told once, in order",
        "subjects": [subjects.EVENTS],
        "retention": "limits",
        "discard": "old",
        "storage": "file",
        "num_replicas": replicas,
        "max_age": KEEP_EVENTS * _NS,
        "duplicate_window": DEDUP_WINDOW * _NS,
        "allow_atomic": True,  # ADR-50
        "allow_direct": True,
        "deny_delete": True,
    }
    return [events, *(_bucket(name, replicas) for name in (subjects.MESH_BUCKET, subjects.RELAY_BUCKET))]


async def ensure_streams(bus: Bus, *, timeout: float | None = None) -> None:
    """Create or update every stream, with `BusSettings.replicas` copies, so that all who do it agree.

    Raises `JetStreamError` (also where there are fewer servers than copies), `Unavailable`, `Forbidden`.
    """
    for config in stream_configs(replicas=bus.settings.replicas):
        name = config["name"]
        try:
            present = (await call(bus, f"STREAM.INFO.{name}", timeout=timeout))["config"]
        except JetStreamError as error:
            if error.number != STREAM_NOT_FOUND:
                raise
            await call(bus, f"STREAM.CREATE.{name}", config, timeout=timeout)
            _LOG.info("bus_stream_created", stream=name)
            continue
        if any(present.get(key) != value for key, value in config.items()):
            await call(bus, f"STREAM.UPDATE.{name}", present | config, timeout=timeout)
            _LOG.info("bus_stream_updated", stream=name)


def _bucket(name: str, replicas: int) -> dict[str, Any]:
    """A KV bucket (ADR-8): the last value of each key, told on by RePublish once it is stored."""
    return {
        "name": f"KV_{name}",
        "description": f"Desired state: {name}",
        "subjects": [subjects.kv_subject(name, ">")],
        "retention": "limits",
        "discard": "new",
        "storage": "file",
        "num_replicas": replicas,
        "max_msgs_per_subject": 1,
        "duplicate_window": 120 * _NS,
        "allow_atomic": True,
        "allow_direct": True,
        "allow_rollup_hdrs": True,
        "deny_delete": True,
        "republish": {"src": subjects.kv_subject(name, ">"), "dest": subjects.desired(name, ">")},
    }
