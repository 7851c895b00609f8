"""Rotations followed to their end, one or several at a time, in words or as JSON lines.

Leaves out what starts and steers them. Invariant: it ends when the last one has, or with the first error.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from queue import SimpleQueue
from typing import Final

import typer
from altnet.host.operator.api import Api
from altnet.host.operator.output import note
from altnet.host.operator.streaming import stream
from altnet_sdk.api.rotations import get_rotation
from altnet_sdk.models.rotation import Rotation

AGAIN: Final = 0.3
"""Seconds between two streams."""


def follow(api: Api, rotations: Sequence[str], *, as_json: bool) -> None:
    """Tell each change until all are over. Raises what the API says, and `typer.Exit` (1) if one was rolled back."""
    last: dict[str, str] = {}
    back = False
    for found in _looks(api, rotations[0]) if len(rotations) == 1 else _all_looks(api, rotations):
        text = json.dumps(found.to_dict()) if as_json else _words(found)
        if text != last.get(found.id):
            last[found.id] = text
            if as_json:
                print(text, flush=True)
            else:
                note(text if len(rotations) == 1 else f"{found.kind}: {text}")
        back |= found.ended_at is not None and found.phase != "done"
    if back:
        raise typer.Exit(1)


def _looks(api: Api, rotation: str) -> Iterator[Rotation]:
    """The rotation now and each time that it changes, to its end, by server-sent events. Raises what the API says."""
    found: Rotation = api.ask(get_rotation.sync_detailed, rotation)
    yield found
    while found.ended_at is None:
        for data in stream(api, f"/v1/rotations/{rotation}/watch"):
            yield (found := Rotation.from_dict(json.loads(data)))
        if found.ended_at is None:  # a proxy ended it, or the server, to look at the token again
            time.sleep(AGAIN)


def _all_looks(api: Api, rotations: Sequence[str]) -> Iterator[Rotation]:
    """The same of several, as they come: each has a stream of its own. Raises what the API says of any."""
    heard: SimpleQueue[Rotation | Exception | None] = SimpleQueue()
    api.client.get_httpx_client()  # made here, once, and not by each thread

    def listen(rotation: str) -> None:
        try:
            for found in _looks(api, rotation):
                heard.put(found)
        except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
            heard.put(error)
        else:
            heard.put(None)

    for rotation in rotations:
        # Daemons: whoever stops the command does not wait for a stream's next word.
        threading.Thread(target=listen, args=(rotation,), daemon=True).start()
    running = len(rotations)
    while running:
        match heard.get():
            case None:
                running -= 1
            case Exception() as error:
                raise error
            case Rotation() as found:
                yield found


def _words(found: Rotation) -> str:
    if found.kind == "client":
        counts = ", ".join(f"{name} {count}" for name, count in sorted(found.clients.to_dict().items()))
        return f"{found.phase}{' (paused)' if found.paused else ''}: {counts or 'nobody asked yet'}; {found.problem}"
    names = {part.relay: part.name for part in found.relays}
    taking = [part for part in found.relays if not part.left]
    text = f"{found.phase}{' (paused)' if found.paused else ''}, wave {found.wave}"
    text += f": {sum(part.stage == 'open' for part in taking)} of {len(taking)} relays changing over"
    text += f", {sum(part.switched for part in taking)} links by the next keys" if found.ended_at is None else ""
    waited = sum(part.behind for part in taking)
    if waited and found.ended_at is None:
        text += f", {waited} clients have until {found.until:%Y-%m-%d %H:%M}" if found.until else ""
    for part in found.relays:
        if part.left:
            text += f"; {part.name} is left behind: {part.left}"
    if found.ended:
        text += f"; rolled back: {found.ended} {', '.join(names.get(one, one) for one in found.blamed)}".rstrip()
    return f"{text}; {found.problem}" if found.problem else text
