"""Forgets what was learned over links that are dead.

Routes of a session that ended stay as stale ones, so that a BIRD that starts anew costs nothing. BIRD takes a stale
route only where it has no other, and does not tell a neighbour whose BIRD starts from one that is gone: when all ways
to somebody are stale, the cheapest counts. Measured: a link had died, then the BIRD of the relay on the other way was
restarted, and packets went into the dead link until it was back, a second later.

So once a link has been silent for some time (probe.py) and has no session, its routes go, as long as another session
stands: without one they are the last that this relay knows, and BIRD keeps them for `restart_time`.

Leaves out who finds that a link is dead. Invariant: a session that stands is not touched.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from altnet.common import log
from altnet.relay_agent.bird.config import session_name
from altnet.relay_agent.bird.control import Line
from altnet.relay_agent.bird.state import ProtocolState, protocols

_log = log.get(__name__)


class Answering(Protocol):
    """A connection to BIRD."""

    async def ask(self, command: str) -> list[Line]: ...


async def forget(silent: Collection[int], control: Answering) -> list[str]:
    """Start the sessions of dead links anew, without their routes. `silent`: the links' slots; returns the sessions.

    Raises `BirdRefused`, `Unavailable`.
    """
    names = leftovers(silent, protocols(await control.ask('show protocols all "m*"')))
    for name in names:
        await control.ask(f"restart {name}")
        _log.info("what was learned over a dead link is forgotten", session=name)
    return names


def leftovers(silent: Collection[int], known: Mapping[str, ProtocolState]) -> list[str]:
    """The sessions of dead links that still have routes."""
    if not any(_stands(one) for one in known.values()):
        return []
    dead = [known[name] for name in map(session_name, sorted(silent)) if name in known]
    return [one.name for one in dead if one.imported and not _stands(one)]


def _stands(session: ProtocolState) -> bool:
    return session.info.startswith("Established")
