"""Every NATS subject, bucket and stream name of Altnet, built in one place.

Version first, identifiers last, so that a prefix is a wildcard. docs/subjects.md is generated from the table below
and from the event classes. An identifier is checked to be one token, so no input can widen a subject.
"""

from __future__ import annotations

import re
from typing import Final

from altnet.common.contracts.envelope import Event

ROOT: Final = "alt.v1"
EVENT_STREAM: Final = "EVT"
EVENTS: Final = f"{ROOT}.evt.>"
MESH_BUCKET: Final = "mesh"
RELAY_BUCKET: Final = "relay"

_TOKEN: Final = re.compile(r"^[A-Za-z0-9_-]{1,64}$")


def token(text: str) -> str:
    """Return `text` if it is one subject token without wildcards; raises `ValueError`."""
    if not _TOKEN.match(text):
        raise ValueError(f"not a subject token: {text!r}")
    return text


def event_subject(event: Event) -> str:
    """`alt.v1.evt.registry.relay.registered.<id>`"""
    return f"{ROOT}.evt.{event.kind}.{token(event.subject_id)}"


def events_of(owner: str) -> str:
    """A filter for all that one owner tells of."""
    return f"{ROOT}.evt.{token(owner)}.>"


def event_filter(owner: str, thing: str = "*", happened: str = "*") -> str:
    """A filter for one owner's events; `*` matches one token."""
    return f"{ROOT}.evt.{owner}.{thing}.{happened}.>"


def relay_status(relay: str) -> str:
    """Heartbeats of one relay."""
    return f"{ROOT}.relay.{token(relay)}.status"


def relay_applied(relay: str) -> str:
    """Acknowledgements of one relay."""
    return f"{ROOT}.relay.{token(relay)}.applied"


def relay_rpc(relay: str, service: str, verb: str) -> str:
    """A relay's request to a service, on the relay's own subjects: the server vouches for who asks."""
    return f"{ROOT}.relay.{token(relay)}.rpc.{token(service)}.{token(verb)}"


def all_relays_rpc(service: str, verb: str) -> str:
    """What a service listens to for requests of relays."""
    return f"{ROOT}.relay.*.rpc.{token(service)}.{token(verb)}"


def ask(relay: str, verb: str) -> str:
    """A question to one relay. Not below `relay`, where the relay itself may publish: only services ask."""
    return f"{ROOT}.ask.{token(relay)}.{token(verb)}"


def pair(network: str, to: str, sender: str) -> str:
    """What a relay says to another one of its network. The server guards who says it: the last token."""
    return f"{ROOT}.pair.{token(network)}.{token(to)}.{token(sender)}"


def all_pairs(network: str, relay: str) -> str:
    """What a relay listens to for the words of others."""
    return f"{ROOT}.pair.{token(network)}.{token(relay)}.*"


ALL_ASKS: Final = f"{ROOT}.ask.*.*"
ALL_STATUS: Final = f"{ROOT}.relay.*.status"
ALL_APPLIED: Final = f"{ROOT}.relay.*.applied"


def relay_of(subject: str) -> str:
    """The relay whose subject this is: `alt.v1.relay.<relay>.<what>`."""
    return subject.split(".")[3]


def sender_of(subject: str) -> str:
    """The relay that said a word to another one: `alt.v1.pair.<network>.<to>.<from>`."""
    return subject.split(".")[5]


def rpc(service: str, verb: str) -> str:
    """A request to a service; its replicas share the queue group named after the service."""
    return f"{ROOT}.rpc.{token(service)}.{token(verb)}"


def mesh_snapshot_key(network: str) -> str:
    """The key of a mesh snapshot in the bucket `mesh`."""
    return f"{token(network)}.snapshot"


def mesh_delta_key(network: str) -> str:
    """The key of a mesh's last delta in the bucket `mesh`; read by its republished subject."""
    return f"{token(network)}.delta"


def lock_key(network: str) -> str:
    """The key of the newest page of a network's lock in the bucket `mesh`; `*` for any network's."""
    return f"{network if network == '*' else token(network)}.lock"


def kv_subject(bucket: str, key: str) -> str:
    """The stream subject of a KV key (ADR-8)."""
    return f"$KV.{bucket}.{key}"


def desired(bucket: str, key: str) -> str:
    """Where the server republishes a KV key, once it is stored."""
    return f"{ROOT}.desired.{bucket}.{key}"


def inbox(name: str) -> str:
    """The prefix of replies to the user `name`; nobody else may listen there."""
    return f"_INBOX_{token(name)}"


def direct_get(bucket: str, key: str) -> str:
    """Subject-appended Direct Get of a KV key (ADR-31): the form that permissions can narrow."""
    return f"$JS.API.DIRECT.GET.KV_{bucket}.{kv_subject(bucket, key)}"
