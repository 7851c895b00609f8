"""The settings of a service's REST side. Times in seconds, sizes in bytes."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

KIB: Final = 1024
MIB: Final = 1024 * KIB

Seconds = Annotated[float, msgspec.Meta(gt=0)]


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One group for all services of a process."""

    body_limit: Annotated[int, msgspec.Meta(ge=1 * KIB, le=64 * MIB)] = 1 * MIB
    """Largest request body: the biggest real one, a bulk import of some thousand rows, has half of that."""
    body_timeout: Seconds = 20.0
    """For a whole request body to arrive: 1 MiB in that time is a very slow line; slower is an attack."""
    drain_timeout: Seconds = 2.0
    """For the rest of a refused body to arrive and be thrown away, so that its sender comes to read the answer."""
    ready_timeout: Seconds = 2.0
    """For all readiness checks together: below the 3 s after which common load balancers give up."""
    retry_after: Annotated[int, msgspec.Meta(ge=1)] = 2
    """What a 503 tells the client to wait: a restarting Postgres is back in about that time."""
    heartbeat: Seconds = 15.0
    """Between comments on an idle event stream: below the 30 s … 60 s after which proxies cut idle connections."""
    write_timeout: Seconds = 20.0
    """For a client to take the next piece of an event stream; a stuck one is cut off, and resumes by Last-Event-ID."""
    stream_lifetime: Seconds = 600.0
    """Of an event stream; the client resumes with its token, so a revoked one reads on for no longer than this."""
    shutdown_grace: Seconds = 8.0
    """For open requests to end when the server stops: below the 10 s after which containers are killed."""
    keep_alive: Annotated[int, msgspec.Meta(ge=1)] = 15
    """For which an idle connection is kept."""
    idempotency_keep: Seconds = 86_400.0
    """How long a stored answer is replayed: a day covers a client's own retries."""
    idempotency_claim: Seconds = 60.0
    """After which an unfinished request counts as dead and its key may be used again: far over any request's time."""
    idempotency_sweep: Seconds = 900.0
    """Between two removals of old keys."""
    public_url: str = "/"
    """Where clients reach the API; stands in the OpenAPI document."""
