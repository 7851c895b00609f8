"""Server-sent events of the API, for commands that follow something.

Leaves out what the data mean. Invariant: a stream that breaks off ends; whoever follows asks again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import httpx
import msgspec
from altnet.host.operator.api import TIMEOUT, Api, error_of
from altnet_sdk.models.problem import Problem

SILENCE: Final = 60.0
"""Seconds without a byte after which a stream is dead: the server says that it is there four times as often."""


def stream(api: Api, path: str) -> Iterator[str]:
    """The data of each event until the stream ends or breaks off. Raises what a refusal says."""
    http = api.client.get_httpx_client()
    timeout = httpx.Timeout(TIMEOUT, read=SILENCE)
    try:
        with http.stream("GET", path, headers={"Accept": "text/event-stream"}, timeout=timeout) as answer:
            if not answer.is_success:
                answer.read()
                raise error_of(Problem.from_dict(msgspec.json.decode(answer.content)))
            data: list[str] = []
            for line in answer.iter_lines():
                if line.startswith("data:"):
                    data.append(line[5:].removeprefix(" "))
                elif not line and data:
                    yield "\n".join(data)
                    data = []
    except httpx.TransportError:
        return
