"""Events: what happened, told once, kept in order.

An event is a frozen struct with a `kind` (`registry.relay.registered`) and a `version`. Kinds are never reused:
registering a second class under the same kind and version is an error at import. Metadata travels in headers, so
that a payload says only what happened.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final

import msgspec
from altnet.common.errors import UNREADABLE, Broken
from altnet.common.ids import EventId

HEADER_ID: Final = "Nats-Msg-Id"
HEADER_KIND: Final = "Alt-Kind"
HEADER_VERSION: Final = "Alt-Version"
HEADER_TIME: Final = "Alt-Time"
HEADER_ACTOR: Final = "Alt-Actor"
HEADER_TRACE: Final = "traceparent"

_CLASSES: dict[tuple[str, int], type[Event]] = {}


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Base of every event. Subclasses set `kind` and `version` and decorate with `@event`.

    `subject_id` is the identifier of the thing that it happened to: the last token of the NATS subject and
    the key of ordering.
    """

    kind: ClassVar[str] = ""
    version: ClassVar[int] = 1

    @property
    def subject_id(self) -> str:
        raise NotImplementedError(f"{type(self).__name__} does not say whom it is about")


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """An event with what its headers said."""

    id: EventId
    at: datetime
    actor: str
    event: Event
    trace: str | None = None
    sequence: int | None = None  # of the stream, where it came from one


def event(cls: type[Event]) -> type[Event]:
    """Class decorator: enter an event class into the registry of wire kinds."""
    key = (cls.kind, cls.version)
    if cls.kind.count(".") != 2:
        raise TypeError(f"{cls.__name__}: kind must be owner.thing.happened, not {cls.kind!r}")
    if key in _CLASSES:
        raise TypeError(f"{cls.__name__}: {cls.kind} version {cls.version} is taken by {_CLASSES[key].__name__}")
    _CLASSES[key] = cls
    return cls


def event_classes() -> Iterable[type[Event]]:
    """Every registered class, by kind and version."""
    return [_CLASSES[key] for key in sorted(_CLASSES)]


def encode_event(item: Event) -> bytes:
    """The payload as JSON."""
    return msgspec.json.encode(item)


def decode_event(kind: str, version: int, payload: bytes) -> Event:
    """Read a payload. Raises `Broken` for an unknown kind or a payload that does not fit."""
    cls = _CLASSES.get((kind, version))
    if cls is None:
        raise Broken(f"unknown event {kind} version {version}")
    try:
        return msgspec.json.decode(payload, type=cls)
    except UNREADABLE as error:
        raise Broken(f"{kind} version {version}: {error}") from None
