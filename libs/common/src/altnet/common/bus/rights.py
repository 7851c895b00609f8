"""Who may say and hear what: the least that each user of the bus needs.

Relays share one template, which the server fills in from the user JWT's name and tags; services have a list each.
Two limits of NATS shape the lists. A wildcard stands for whole tokens, so consumers are allowed by full name
(`DURABLES`). And the server checks where a user publishes, not what reply subject it asks others to answer to:
therefore whoever answers looks at the reply subject (`rpc`), and whoever listens checks that a message was stored
under the subject it hears it on (`connect`, `desired`).

Services may also answer a request they received (`allow_responses`), once and within a minute; so may relays, to
whom those in `ASKERS` can send one. Relays of a network say words to each other (`pair`), under their own name alone;
whoever hears one never answers to the reply subject that it may carry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from altnet.common.bus import subjects

REGISTRY: Final = "registry"
KEYD: Final = "keyd"
DNSD: Final = "dnsd"
EVENTLOG: Final = "eventlog"
ADMIN: Final = "admin"
SYSTEM: Final = "sys"

SERVICES: Final = (REGISTRY, KEYD, DNSD, EVENTLOG)
USERS: Final = (*SERVICES, ADMIN)
"""Users of the application account; `SYSTEM` is the only one of the system account."""

ASKERS: Final = (REGISTRY,)
"""Services that put questions to relays; a service that needs to adds its name here."""

DURABLES: Final[dict[str, tuple[str, ...]]] = {name: (name,) for name in SERVICES}
"""Durable consumers of EVT that a service may make; a service that needs another one adds its name here."""

BUCKETS: Final = (subjects.MESH_BUCKET, subjects.RELAY_BUCKET)
STREAMS: Final = (subjects.EVENT_STREAM, *(f"KV_{bucket}" for bucket in BUCKETS))

ANSWER_WITHIN: Final = 60
"""Seconds a service or a relay has to answer a request; above every rpc deadline."""

NETWORK_TAG: Final = "network"


@dataclass(frozen=True, kw_only=True)
class Rights:
    """Subjects, with NATS wildcards."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    answers: bool = False

    def claims(self) -> dict[str, Any]:
        """As a JWT says it. An empty list would mean "everything", so none is ever empty."""
        said: dict[str, Any] = {"pub": {"allow": list(self.publish)}, "sub": {"allow": list(self.subscribe)}}
        if self.answers:
            said["resp"] = {"max": 1, "ttl": ANSWER_WITHIN * 10**9}
        return said


RELAY: Final = Rights(
    publish=(
        f"{subjects.ROOT}.relay.{{{{name()}}}}.>",
        f"{subjects.ROOT}.pair.{{{{tag({NETWORK_TAG})}}}}.*.{{{{name()}}}}",
        f"$JS.API.DIRECT.GET.KV_{subjects.RELAY_BUCKET}.$KV.{subjects.RELAY_BUCKET}.{{{{name()}}}}",
        f"$JS.API.DIRECT.GET.KV_{subjects.MESH_BUCKET}.$KV.{subjects.MESH_BUCKET}.{{{{tag({NETWORK_TAG})}}}}.>",
    ),
    subscribe=(
        "_INBOX_{{name()}}.>",
        f"{subjects.ROOT}.ask.{{{{name()}}}}.*",
        f"{subjects.ROOT}.pair.{{{{tag({NETWORK_TAG})}}}}.{{{{name()}}}}.*",
        f"{subjects.ROOT}.desired.{subjects.RELAY_BUCKET}.{{{{name()}}}}",
        f"{subjects.ROOT}.desired.{subjects.MESH_BUCKET}.{{{{tag({NETWORK_TAG})}}}}.>",
    ),
    answers=True,
)
"""The template of every relay, filled in by the server."""


def service_rights(name: str) -> Rights:
    """What the user `name` (one of `USERS` or `SYSTEM`) may do. Raises `ValueError` for another."""
    if name == SYSTEM:
        return Rights(
            publish=("$SYS.REQ.CLAIMS.UPDATE", "$SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP"), subscribe=(_replies(SYSTEM),)
        )
    if name == ADMIN:
        return Rights(
            publish=("$JS.API.>", f"{subjects.ROOT}.rpc.*.*"), subscribe=(_replies(ADMIN), f"{subjects.ROOT}.>")
        )
    if name not in SERVICES:
        raise ValueError(f"no such user of the bus: {name}")
    publish = [f"{subjects.ROOT}.evt.{name}.>", f"{subjects.ROOT}.rpc.*.*"]
    publish.append(
        f"$JS.API.DIRECT.GET.{subjects.EVENT_STREAM}"
    )  # to see that its own are all there; durables read all
    subscribe = [_replies(name), subjects.ROOT + f".rpc.{name}.*", subjects.ROOT + f".relay.*.rpc.{name}.*"]
    if name in ASKERS:
        publish.append(subjects.ALL_ASKS)
    for durable in DURABLES[name]:
        publish += _consumer(durable)
    if name == REGISTRY:
        publish += [subjects.kv_subject(bucket, ">") for bucket in BUCKETS]
        publish += [f"$JS.API.DIRECT.GET.KV_{bucket}.{subjects.kv_subject(bucket, '>')}" for bucket in BUCKETS]
        publish += [f"$JS.API.STREAM.{verb}.{stream}" for stream in STREAMS for verb in ("CREATE", "UPDATE", "INFO")]
        publish += [f"$JS.API.STREAM.PURGE.KV_{bucket}" for bucket in BUCKETS]
        subscribe += [subjects.ALL_STATUS, subjects.ALL_APPLIED]
    if name == KEYD:  # signed by others: it could put nothing in there that relays believe
        lock = subjects.kv_subject(subjects.MESH_BUCKET, subjects.lock_key("*"))
        publish += [lock, f"$JS.API.DIRECT.GET.KV_{subjects.MESH_BUCKET}.{lock}"]
    return Rights(publish=tuple(publish), subscribe=tuple(subscribe), answers=True)


def _consumer(durable: str) -> list[str]:
    stream = subjects.EVENT_STREAM
    return [
        f"$JS.API.CONSUMER.CREATE.{stream}.{durable}",  # with several filters
        f"$JS.API.CONSUMER.CREATE.{stream}.{durable}.>",  # with one
        f"$JS.API.CONSUMER.INFO.{stream}.{durable}",
        f"$JS.API.CONSUMER.DELETE.{stream}.{durable}",
        f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}",
        f"$JS.ACK.{stream}.{durable}.>",
    ]


def _replies(name: str) -> str:
    return subjects.inbox(name) + ".>"
