"""What an authority would say of each relay and client, as the servers show them; and what of it is not said yet.

The servers only propose: who signs compares keys with the hosts themselves (`altnet-agent status`). Invariant: a
statement that counts and covers what is wanted is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from altnet.common.errors import AltnetError, NotFound
from altnet.common.lock.log import Log
from altnet.common.lock.statements import ClientStatement, RelayStatement, SignedStatement, Statement, covers
from altnet.host.operator.api import Api
from altnet_sdk.api.clients import list_clients
from altnet_sdk.api.lock import list_lock_hosts, list_lock_statements
from altnet_sdk.api.peerings import list_peerings
from altnet_sdk.api.relays import list_relays
from altnet_sdk.api.services import list_services
from altnet_sdk.api.sites import list_sites


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A relay or client, what is known to be signed about it, and what would be."""

    id: str
    name: str
    kind: str
    wanted: Statement | None
    """None: a relay that has not shown its identity key yet."""
    known: Statement | None
    """What counts now."""
    certified: bool = True
    """Whether a relay has signed its mesh key: an agent of this version does so by itself."""
    out: bool = False
    """An authority has said that it is out, maybe one that counts no more. The servers may go on listing it."""

    @property
    def lacks(self) -> str:
        """Why it would be refused, or something of it; empty: nothing is lacking. Who is out is to be refused."""
        if self.out:
            return "" if self.known is not None else "another word that it is out: who said so is no authority any more"
        if self.wanted is None:
            return "its identity key (no contact with keyd yet)"
        if self.known is None:
            return "a statement"
        if not suffices(self.known, self.wanted):
            return "a statement about what is new"
        return "" if self.certified else "its own certificate (an old agent?)"

    @property
    def to_sign(self) -> bool:
        """By itself, for what it lacks. Nobody who is out comes back by this, only by name."""
        if self.out:
            return self.known is None and self.wanted is not None
        return self.wanted is not None and (self.known is None or not suffices(self.known, self.wanted))

    @property
    def proposed(self) -> Statement:
        """What is signed where nobody names it: who is out stays out."""
        return revoking(self) if self.out else merged(self)


def subjects_of(
    api: Api, network: Any, log: Log, *, prefixes: Sequence[str] = (), outside: Sequence[str] = ()
) -> list[Subject]:
    """Every relay and client of a network. `prefixes`, `outside`: what relays may besides."""
    told = {one.subject: one for one in api.each(list_lock_statements.sync_detailed, network=network.id)}
    opened = {subject: statement for subject, one in told.items() if (statement := _opened(one)) is not None}
    known = {it: one for it, one in opened.items() if not log.length or told[it].authority in log.authorities}
    out = {subject for subject, one in opened.items() if one.revoked}
    serials = {subject: one.serial for subject, one in told.items()}
    hosts = {one.relay: one for one in api.each(list_lock_hosts.sync_detailed, network=network.id)}
    relays = list(api.each(list_relays.sync_detailed, network=network.id))
    sites = list(api.each(list_sites.sync_detailed, network=network.id))
    peerings = list(api.each(list_peerings.sync_detailed, network=network.id))
    services = list(api.each(list_services.sync_detailed, network=network.id))
    found = []
    for relay in relays:
        host = hosts.get(relay.id)
        may = {prefix for site in sites if relay.id in site.relays for prefix in site.prefixes}
        may |= {network.clients, network.services, *prefixes}  # a client may be anywhere; its key is signed for
        rules = {rule.prefix for one in peerings if one.relay == relay.id and one.enabled for rule in one.imports}
        wanted = None
        if host is not None and host.identity:
            wanted = RelayStatement(
                network=network.id,
                relay=relay.id,
                name=relay.name,
                slot=relay.slot,
                identity=host.identity,
                prefixes=tuple(sorted(may)),
                outside=tuple(sorted({*rules, *outside})),
                serial=serials.get(relay.id, 0) + 1,
            )
        certified = host is not None and any(key.use == "mesh" and key.key == relay.key for key in host.keys)
        found.append(
            Subject(
                id=relay.id,
                name=relay.name,
                kind="relay",
                wanted=wanted,
                known=known.get(relay.id),
                certified=certified,
                out=relay.id in out,
            )
        )
    for client in api.each(list_clients.sync_detailed, network=network.id):
        addresses = [client.address, *(one.address for one in services if one.owner == client.id)]
        statement = ClientStatement(
            network=network.id,
            client=client.id,
            name=client.name,
            key=client.key,
            addresses=tuple(sorted({_host(one) for one in addresses})),
            serial=serials.get(client.id, 0) + 1,
        )
        found.append(
            Subject(
                id=client.id,
                name=client.name,
                kind="client",
                wanted=statement,
                known=known.get(client.id),
                out=client.id in out,
            )
        )
    return found


def suffices(known: Statement, wanted: Statement) -> bool:
    """Whether what is signed covers what is wanted."""
    if known.revoked or type(known) is not type(wanted):
        return False
    if isinstance(known, RelayStatement) and isinstance(wanted, RelayStatement):
        same = (known.slot, known.identity) == (wanted.slot, wanted.identity)
        return same and _all(known.prefixes, wanted.prefixes) and _all(known.outside, wanted.outside)
    assert isinstance(known, ClientStatement)
    assert isinstance(wanted, ClientStatement)
    return known.key == wanted.key and _all(known.addresses, wanted.addresses)


def chosen(subjects: Iterable[Subject], names: Sequence[str]) -> list[Subject]:
    """Those of these names or ids. Raises `NotFound` (`no_such_subject`)."""
    found = []
    for name in names:
        fitting = [one for one in subjects if name in (one.id, one.name)]
        if not fitting:
            raise NotFound("no_such_subject", f"there is no relay or client {name}.", mend="See `altnet lock sign`.")
        found += fitting
    return found


def revoking(one: Subject) -> Statement:
    """The statement that it is out. Raises `NotFound` (`nothing_signed`)."""
    base = one.wanted or one.known
    if base is None:
        raise NotFound("nothing_signed", f"nothing is signed about {one.name}.")
    return msgspec.structs.replace(base, revoked=True)


def merged(one: Subject) -> Statement:
    """The wanted statement, with what relays may by the one before: signing again takes nothing away."""
    assert one.wanted is not None
    if isinstance(one.wanted, RelayStatement) and isinstance(one.known, RelayStatement) and not one.known.revoked:
        return msgspec.structs.replace(
            one.wanted,
            prefixes=tuple(sorted({*one.wanted.prefixes, *one.known.prefixes})),
            outside=tuple(sorted({*one.wanted.outside, *one.known.outside})),
        )
    return one.wanted


def _opened(told: Any) -> Statement | None:
    signed = SignedStatement(statement=told.statement, authority=told.authority, signature=told.signature)
    try:
        return signed.opened()
    except AltnetError:
        return None


def _all(have: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    return all(covers(have, one) for one in wanted)


def _host(address: str) -> str:
    return address if "/" in address else f"{address}/128"


def counted(subjects: Iterable[Subject]) -> Mapping[str, int]:
    """How many lack something, by kind."""
    found = {"relay": 0, "client": 0}
    for one in subjects:
        found[one.kind] += bool(one.lacks)
    return found
