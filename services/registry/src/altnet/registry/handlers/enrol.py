"""Letting a host in, and giving a relay fresh credentials for the bus.

The caller has checked the signature: `nkey` is proven. A token is consumed once per host, however often the host asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec
from altnet.common.contracts.registry import RelayChanged, RelayRegistered
from altnet.common.db.uow import UnitOfWork
from altnet.common.errors import Forbidden, NotFound
from altnet.common.ids import RELAY, Randomness, new_id
from altnet.common.net import AddressPlan
from altnet.registry.domain.endpoints import check_endpoints
from altnet.registry.domain.enrolment import CredentialsRequest, EnrolRequest
from altnet.registry.domain.tokens import TokenKind
from altnet.registry.handlers import admission, snapshots
from altnet.registry.store import allocations, changes, named, networks, relays
from altnet.registry.store.conflicts import CONFLICTS
from altnet.registry.tables import NetworkRow, RelayRow

_KEYS: Final = {"mesh": "key", "access": "access_key", "identity": "identity_key"}
"""What a key is for, and the field that holds it."""


@dataclass(frozen=True)
class Enrolled:
    """`created` is false when the host was known; `change` is None when nothing changed."""

    relay: RelayRow
    network: NetworkRow
    created: bool
    change: int | None


async def enrol_relay(uow: UnitOfWork, request: EnrolRequest, *, rest: float, randomness: Randomness) -> Enrolled:
    """Enrol the host that proved `request.nkey`.

    Raises `Forbidden` (`relay_revoked`, `token_used`, `token_expired`, `token_revoked`, `token_kind`,
    `bad_join_token`), `Conflict` (`name_taken`, `key_taken`), `Exhausted`, `Invalid`.
    """
    uow.conflicts(CONFLICTS)
    known = await relays.by_nkey(uow, request.nkey)
    if known is not None:
        _refuse_revoked(known)
        network = await networks.find(uow.session, known.network_id)
        change = await _update(uow, known, network, _said(known, request))
        return Enrolled(known, network, created=False, change=change)

    token, network = await admission.shown(uow, request.token, kind=TokenKind.RELAY)
    admission.judge(token, uow)
    plan = AddressPlan(network.prefix)
    relay_id = new_id(RELAY, uow.now, randomness)
    keys = _keys(request)
    await named.claim(uow, network=network.id, name=request.name, kind="relay", owner=relay_id, keys=keys)
    slot = await allocations.allocate_slot(uow, network=network.id, plan=plan, owner=relay_id, rest=rest)
    row = RelayRow(
        id=relay_id,
        network_id=network.id,
        name=request.name,
        slot=slot,
        nkey=request.nkey,
        key=request.key,
        access_key=request.access_key,
        identity_key=request.identity_key,
        endpoints=list(request.endpoints),
        mesh_port=request.mesh_port,
        access_port=request.access_port,
        region=request.region or token.labels.get("region", ""),
        labels={**request.labels, **token.labels},
        encapsulations=[str(one) for one in request.encapsulations],
        routing=str(request.routing),
        versions=msgspec.to_builtins(request.versions),
        join_token=token.id,
        created_at=uow.now,
        updated_at=uow.now,
    )
    if not await relays.add(uow, row):
        await admission.refuse_spent(uow, token)
    after = snapshots.of_relay(row, plan)
    change = await changes.record(
        uow,
        lambda number: RelayRegistered(relay=relay_id, after=after, token=token.id, change=number),
        touched=[("relay", relay_id)],
        summary=f"relay {row.name} enrolled",
        network=network.id,
    )
    return Enrolled(row, network, created=True, change=change)


async def renew_credentials(uow: UnitOfWork, relay: str, request: CredentialsRequest) -> Enrolled:
    """Take over what the relay says of its keys and endpoints, before it gets fresh credentials.

    Raises `NotFound` (`no_such_relay`) also where the proven key is another relay's, `Forbidden` (`relay_revoked`).
    """
    uow.conflicts(CONFLICTS)
    row = await relays.by_nkey(uow, request.nkey)
    if row is None or row.id != relay:
        raise NotFound("no_such_relay", "no relay of this identifier has this key.", mend="Enrol again.")
    _refuse_revoked(row)
    network = await networks.find(uow.session, row.network_id)
    said: dict[str, object] = {}
    if row.access_epoch == 0 and row.access_next_epoch is None:
        said["access_key"] = request.access_key  # the same holds for it as for the mesh key
    if row.key_epoch == 0 and row.next_epoch is None:
        said["key"] = request.key  # else keyd alone says which keys the mesh has: this one may be of before a rotation
    if request.identity_key:
        said["identity_key"] = request.identity_key
    if request.routing is not None:
        said["routing"] = str(request.routing)
    if request.endpoints:
        said["endpoints"] = list(check_endpoints(request.endpoints))
    change = await _update(uow, row, network, said)
    return Enrolled(row, network, created=False, change=change)


def _said(known: RelayRow, request: EnrolRequest) -> dict[str, object]:
    """What a host that is known already may change by enrolling again; names, region and labels are the operator's."""
    return {
        "key": request.key,
        **_as_new(known, request),
        "access_key": request.access_key,
        "identity_key": request.identity_key or known.identity_key,
        "routing": str(request.routing),
        "endpoints": list(request.endpoints),
        "mesh_port": request.mesh_port,
        "access_port": request.access_port,
        "encapsulations": [str(one) for one in request.encapsulations],
        "versions": msgspec.to_builtins(request.versions),
    }


def _as_new(known: RelayRow, request: EnrolRequest) -> dict[str, object]:
    """A host that enrols again begins anew: a rotation that it was in goes on without it."""
    none: dict[str, object] = {"key_port": 0}
    fresh: dict[str, object] = {"key_port": 0, "next_epoch": None, "next_stage": None, "next_key": "", "next_port": 0}
    again = fresh if request.key != known.key or known.next_epoch is not None else none
    if request.access_key == known.access_key:
        return again
    access = {"access_next_epoch": None, "access_next_stage": None, "access_next_key": "", "access_until": None}
    return {**again, **access, "access_device": 0}


async def _update(uow: UnitOfWork, row: RelayRow, network: NetworkRow, said: dict[str, object]) -> int | None:
    different = {name: value for name, value in said.items() if getattr(row, name) != value}
    if not different:
        return None
    plan = AddressPlan(network.prefix)
    before = snapshots.of_relay(row, plan)
    if {"key", "access_key", "identity_key"} & different.keys():
        keys = {
            use: (str(said.get(name, getattr(row, name))), f"/{name}")
            for use, name in _KEYS.items()
            if said.get(name, getattr(row, name))
        }
        await named.claim_keys(uow, owner=row.id, keys=keys)
    if "next_key" in different:
        await named.drop_key(uow, owner=row.id, use="mesh_next")
    if "access_next_key" in different:
        await named.drop_key(uow, owner=row.id, use="access_next")
    for name, value in different.items():
        setattr(row, name, value)
    row.version += 1
    row.updated_at = uow.now
    after = snapshots.of_relay(row, plan)
    return await changes.record(
        uow,
        lambda number: RelayChanged(relay=row.id, before=before, after=after, change=number),
        touched=[("relay", row.id)],
        summary=f"relay {row.name} told new {', '.join(sorted(different))}",
        network=network.id,
    )


def _keys(request: EnrolRequest) -> dict[str, tuple[str, str]]:
    return {use: (getattr(request, name), f"/{name}") for use, name in _KEYS.items() if getattr(request, name)}


def _refuse_revoked(row: RelayRow) -> None:
    if row.revoked_at is not None:
        raise Forbidden(
            "relay_revoked",
            "this relay has been revoked.",
            field="/nkey",
            mend="An operator put it out; to let the host in again, remove its state so that it makes new keys.",
        )
