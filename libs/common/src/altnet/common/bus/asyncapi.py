"""What is published about the bus: an AsyncAPI 3 document, a JSON schema per message, and docs/subjects.md.

All of it follows from the contract classes, `subjects` and `rights`; nothing is written by hand, and a test compares.
It lies here and not beside the contracts because addresses are the bus's. `python -m altnet.common.bus.asyncapi docs`
writes the files under `docs/`; without an argument it prints the AsyncAPI document.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from altnet.common import contracts
from altnet.common.bus import rights, subjects
from altnet.common.contracts import agent, desired, envelope, lock, preshared
from altnet.common.contracts.envelope import Event

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True, kw_only=True)
class Channel:
    """A kind of message that is no event. `{relay}` and `{network}` stand for identifiers."""

    name: str
    address: str
    type: type[msgspec.Struct]
    sender: str
    hearer: str
    compressed: bool = False


_RELAY: Final = "RELAY"
_NETWORK: Final = "NETWORK"

CHANNELS: Final = (
    Channel(
        name="relay.status",
        address=subjects.relay_status(_RELAY),
        type=agent.Heartbeat,
        sender="that relay",
        hearer="registry",
    ),
    Channel(
        name="relay.applied",
        address=subjects.relay_applied(_RELAY),
        type=agent.Applied,
        sender="that relay",
        hearer="registry",
    ),
    Channel(
        name="desired.mesh.snapshot",
        address=subjects.desired(subjects.MESH_BUCKET, subjects.mesh_snapshot_key(_NETWORK)),
        type=desired.MeshSnapshot,
        sender="registry",
        hearer="relays of that network",
        compressed=True,
    ),
    Channel(
        name="desired.mesh.delta",
        address=subjects.desired(subjects.MESH_BUCKET, subjects.mesh_delta_key(_NETWORK)),
        type=desired.MeshDelta,
        sender="registry",
        hearer="relays of that network",
        compressed=True,
    ),
    Channel(
        name="desired.mesh.lock",
        address=subjects.desired(subjects.MESH_BUCKET, subjects.lock_key(_NETWORK)),
        type=lock.LockPage,
        sender="keyd",
        hearer="relays of that network",
        compressed=True,
    ),
    Channel(
        name="desired.relay",
        address=subjects.desired(subjects.RELAY_BUCKET, _RELAY),
        type=desired.RelayDocument,
        sender="registry",
        hearer="that relay",
        compressed=True,
    ),
    Channel(
        name="pair.word",
        address=subjects.pair(_NETWORK, _RELAY, "SENDER"),
        type=preshared.PairMessage,
        sender="the relay that is its last token",
        hearer="that relay",
    ),
)

_PARAMETERS: Final = {
    "relay": "Identifier of a relay, rly_…",
    "network": "Identifier of a network, net_…",
    "sender": "Identifier of the relay that says it",
    "subject_id": "Identifier of what it happened to",
    "service": "Name of a service",
    "verb": "What is asked of it",
}


def published_events() -> list[type[Event]]:
    """Every event class of our own contracts, by kind and version."""
    for module in pkgutil.iter_modules(contracts.__path__):
        importlib.import_module(f"{contracts.__name__}.{module.name}")
    return [cls for cls in envelope.event_classes() if cls.__module__.startswith(f"{contracts.__name__}.")]


def schemas() -> dict[str, dict[str, Any]]:
    """A JSON schema for each event (`<kind>.v<version>`) and each other message, by name."""
    made = {f"{cls.kind}.v{cls.version}": _schema(cls, f"{cls.kind}.v{cls.version}") for cls in published_events()}
    return made | {channel.name: _schema(channel.type, channel.name) for channel in CHANNELS}


def document() -> dict[str, Any]:
    """The AsyncAPI 3.0 document of the bus."""
    events = published_events()
    types: list[type[msgspec.Struct]] = [*events, *(channel.type for channel in CHANNELS)]
    _, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    for cls in events:
        name = f"{cls.kind}.v{cls.version}"
        messages[name] = _message(cls, name, {"headers": {"$ref": "#/components/schemas/EventHeaders"}})
        channel = channels.setdefault(
            cls.kind, _channel(f"{subjects.ROOT}.evt.{cls.kind}.{{subject_id}}", f"Event: {_summary(cls)}")
        )
        channel["messages"][name] = {"$ref": f"#/components/messages/{name}"}
        operations[f"send.{cls.kind}"] = _operation("send", cls.kind, f"By {cls.kind.split('.')[0]}.")
    for entry in CHANNELS:
        extra = {"contentType": "application/zlib"} if entry.compressed else {}
        messages[entry.name] = _message(entry.type, entry.name, extra)
        channel = channels[entry.name] = _channel(_address(entry.address), _summary(entry.type))
        channel["messages"][entry.name] = {"$ref": f"#/components/messages/{entry.name}"}
        operations[f"send.{entry.name}"] = _operation("send", entry.name, f"By {entry.sender}.")
        operations[f"receive.{entry.name}"] = _operation("receive", entry.name, f"By {entry.hearer}.")
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Altnet bus",
            "version": "1.0.0",
            "description": "Events and desired state on NATS. Payloads are JSON; desired documents are compressed "
            "with zlib. Readers ignore fields that they do not know.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": {**components, "EventHeaders": _event_headers()}},
    }


def subjects_page() -> str:
    """docs/subjects.md."""
    rows = [
        (f"{subjects.ROOT}.evt.{{owner}}.{{thing}}.{{happened}}.{{subject_id}}", "an event", "its owner", "services"),
        *((_address(entry.address), _summary(entry.type), entry.sender, entry.hearer) for entry in CHANNELS),
        (_address(subjects.rpc("SERVICE", "VERB")), "a request", "services", "that service"),
        (_address(subjects.relay_rpc(_RELAY, "SERVICE", "VERB")), "a request", "that relay", "that service"),
        (_address(subjects.ask(_RELAY, "VERB")), "a question", "services that may ask", "that relay"),
        (_address(subjects.inbox("USER")) + ".>", "answers", "whoever was asked", "that user"),
    ]
    stored = _address(subjects.kv_subject("BUCKET", "KEY"))
    lines = [
        "# Subjects of the bus",
        "",
        "Generated by `make contracts` from `altnet.common.bus.subjects`, `.rights` and the contract classes.",
        "Version first, identifiers last, so that a prefix is a wildcard.",
        "",
        "| subject | what | said by | heard by |",
        "| --- | --- | --- | --- |",
        *(f"| `{subject}` | {what} | {sender} | {hearer} |" for subject, what, sender, hearer in rows),
        "",
        f"Events are kept in the stream `{subjects.EVENT_STREAM}` and read by durable consumers.",
        f"Desired documents are stored as `{stored}` in the stream `KV_{{bucket}}`, republished by the server as",
        f"`{_address(subjects.desired('BUCKET', 'KEY'))}`, and fetched by",
        f"`{_address(subjects.direct_get('BUCKET', 'KEY'))}`.",
        "",
        "## Events",
        "",
        "| kind | version | what happened |",
        "| --- | --- | --- |",
        *(f"| `{cls.kind}` | {cls.version} | {_summary(cls)} |" for cls in published_events()),
        "",
        "## Rights",
        "",
        "The server enforces these; a relay's are a template that its pass fills in.",
    ]
    users = {"relay": rights.RELAY} | {name: rights.service_rights(name) for name in (*rights.USERS, rights.SYSTEM)}
    for name, allowed in users.items():
        lines += ["", f"### {name}", "", "May publish:", "", *(f"- `{subject}`" for subject in allowed.publish)]
        if allowed.answers:
            lines.append("- one answer to each request it got")
        lines += ["", "May listen to:", "", *(f"- `{subject}`" for subject in allowed.subscribe)]
    return "\n".join(lines) + "\n"


def files() -> dict[str, str]:
    """Every generated file: its path under docs/ and its text."""
    made = {"asyncapi/altnet.json": _text(document()), "subjects.md": subjects_page()}
    return made | {f"asyncapi/schemas/{name}.json": _text(schema) for name, schema in schemas().items()}


def write(docs: Path) -> None:
    """Write `files()` below `docs`, and remove schemas that no class has any more."""
    made = files()
    folder = docs / "asyncapi" / "schemas"
    for old in folder.glob("*.json"):
        if old.relative_to(docs).as_posix() not in made:
            old.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in made.items():
        (docs / name).write_text(text)


def _schema(cls: type[msgspec.Struct], name: str) -> dict[str, Any]:
    return {"$schema": _DIALECT, "$id": f"altnet:{name}", **msgspec.json.schema(cls)}


def _message(cls: type[msgspec.Struct], name: str, extra: Mapping[str, Any]) -> dict[str, Any]:
    payload = {"$ref": f"#/components/schemas/{cls.__name__}"}
    return {"name": name, "title": cls.__name__, "summary": _summary(cls), "payload": payload, **extra}


def _channel(address: str, summary: str) -> dict[str, Any]:
    parameters = {name: {"description": meaning} for name, meaning in _PARAMETERS.items() if f"{{{name}}}" in address}
    return {"address": address, "summary": summary, "messages": {}, "parameters": parameters}


def _operation(action: str, channel: str, summary: str) -> dict[str, Any]:
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "summary": summary}


def _event_headers() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "type": "object",
        "required": [
            envelope.HEADER_ID,
            envelope.HEADER_KIND,
            envelope.HEADER_VERSION,
            envelope.HEADER_TIME,
            envelope.HEADER_ACTOR,
        ],
        "properties": {
            envelope.HEADER_ID: {**text, "description": "The event's identifier; a repetition has the same."},
            envelope.HEADER_KIND: {**text, "description": "owner.thing.happened"},
            envelope.HEADER_VERSION: {**text, "pattern": "^[0-9]+$"},
            envelope.HEADER_TIME: {**text, "format": "date-time"},
            envelope.HEADER_ACTOR: {**text, "description": "Who caused it."},
            envelope.HEADER_TRACE: {**text, "description": "W3C trace context, where there is one."},
        },
    }


def _address(subject: str) -> str:
    for placeholder in (_RELAY, _NETWORK, "SENDER", "SERVICE", "VERB", "BUCKET", "KEY", "USER"):
        subject = subject.replace(placeholder, f"{{{placeholder.lower()}}}")
    return subject


def _summary(cls: type[msgspec.Struct]) -> str:
    return (cls.__doc__ or cls.__name__).strip().splitlines()[0]


def _text(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        write(Path(sys.argv[1]))
    else:
        sys.stdout.write(_text(document()))
