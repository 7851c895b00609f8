"""What can be done while no agent runs: look at what it would do, and undo all that it did.

Both work from the state directory and the host alone. Invariant: `plan` changes nothing, and `take_down` removes what
carries the agent's mark or stands in its journal, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv6Network

from altnet.common.clock import Clock
from altnet.common.contracts.agent import Versions
from altnet.common.errors import AltnetError, Invalid
from altnet.common.kernel.wireguard import PresharedKey
from altnet.relay_agent.agent import make_planes, make_routing_plane, own_self
from altnet.relay_agent.bird.daemon import STATIC, Found
from altnet.relay_agent.desired import Desired
from altnet.relay_agent.diff import Delete, Operation, compared, describe
from altnet.relay_agent.epochs import KeySet
from altnet.relay_agent.feed import load
from altnet.relay_agent.host import Host
from altnet.relay_agent.journal import Journal
from altnet.relay_agent.lock.accepted import Accepted
from altnet.relay_agent.lock.memory import open_book
from altnet.relay_agent.pieces import PLANES
from altnet.relay_agent.planes import Plane
from altnet.relay_agent.planes.forwarding import restore
from altnet.relay_agent.poke import Poker
from altnet.relay_agent.psk.secrets import Secrets
from altnet.relay_agent.psk.store import loaded_psks
from altnet.relay_agent.settings import AgentSettings
from altnet.relay_agent.state import State, not_enrolled
from altnet.relay_agent.wanted import Wanted


async def plan(
    settings: AgentSettings, *, host: Host, state: State, clock: Clock, versions: Versions, found: Found = STATIC
) -> list[Operation]:
    """The operations from the host as it is to the cached documents. Raises `Invalid` without them."""
    enrolment = state.enrolment()
    if enrolment is None:
        raise not_enrolled()
    desired = Desired(
        relay=enrolment.relay.id, network=enrolment.network.id, prefix=IPv6Network(enrolment.network.prefix)
    )
    load(desired, state)
    if not desired.complete:
        raise Invalid(
            "no_documents",
            "there is nothing to plan yet: the registry's documents have not come.",
            mend="Run the agent until `altnet-agent status` shows a generation.",
        )
    memory = state.lock()
    book = open_book(memory, network=desired.network, pin=settings.lock_fingerprint)
    accepted = Accepted(desired, book, memory)
    identity, slot = state.identity(), enrolment.relay.slot
    remembered = state.clients().attached.items()
    here = frozenset(client for client, told in remembered if told.attached)
    fresh = frozenset(client for client, told in remembered if told.fresh)
    preshared = Secrets({relay: PresharedKey(psk) for relay, psk in loaded_psks(state.pairs()).items()})
    me = own_self(settings, identity, slot=slot, versions=versions, engine=found.engine)
    wanted = Wanted(
        accepted,
        me,
        attached=lambda: here,
        fresh=lambda: fresh,
        keys=lambda: KeySet.of(identity),
        preshared=lambda: preshared,
    )
    wanted.begin()
    planes = {plane.name: plane for plane in _planes(settings, host, state, clock, found=found, trust=True)}
    have = {name: await plane.read() for name, plane in planes.items()}
    pieces = [piece for _, piece in wanted.pieces()]
    return compared(have, pieces, lambda plane, had, want: planes[plane].same(had, want), prune=True)


async def take_down(settings: AgentSettings, *, host: Host, state: State, clock: Clock) -> tuple[list[str], list[str]]:
    """Undo everything; returns what was undone and what could not be, in words."""
    done: list[str] = []
    failed: list[str] = []
    journal = Journal(state)
    planes = {plane.name: plane for plane in _planes(settings, host, state, clock, journal=journal)}
    for name in reversed(PLANES):
        try:
            have = await planes[name].read()
            operations = [Delete(name, key, value) for key, value in have.items()]
            failures = await planes[name].delete(operations)
        except AltnetError as error:
            failed.append(f"{name}: {error}")
            continue
        for operation in operations:
            error_ = failures.get(operation.key)
            if error_ is not None:
                failed.append(f"{name} {describe(operation)}: {error_}")
            else:
                done.append(f"{name} {describe(operation)}")
    for setting in list(journal.owned.sysctls):
        try:
            await restore(host.links, journal, setting)
            done.append(f"setting {setting}")
        except AltnetError as error:
            failed.append(f"setting {setting}: {error}")
    return done, failed


def _planes(
    settings: AgentSettings,
    host: Host,
    state: State,
    clock: Clock,
    *,
    journal: Journal | None = None,
    found: Found = STATIC,
    trust: bool = False,
) -> Sequence[Plane]:
    idle = Poker(host.wireguard, clock=clock, random=lambda: 0.0, timers=settings.timers, enabled=False)
    return make_planes(
        settings,
        host,
        make_routing_plane(settings, host, found, trust=trust),
        identity=state.identity,
        journal=journal or Journal(state),
        poker=idle,
        trust=trust,
    )
