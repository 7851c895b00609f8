"""Over which access devices a client may come: one, or several while a key of the relay or of the client changes. Pure.

A key of the relay has a device for each door, with a port of its own, and a change of a client's key takes the other
door. So each pair of keys that may be in use has a device where the client's address belongs to it: what is under way
by either is taken, whatever the order in which the two ends change over.

    relay's key      present                     next (from `ready` on, until it is kept or dropped)
    client's key     present at its door         announced one at the other door

Leaves out which of them a client uses now (carriers.py). Invariant: of two ways of a client, no two share a device.
"""

from __future__ import annotations

from typing import NamedTuple

from altnet.common.contracts.desired import DOORS, AccessClient, KeyStage, access_device
from altnet.relay_agent.epochs import Roles


class Way(NamedTuple):
    """An access device, by its number, and the client's key there, as its document writes it."""

    device: int
    key: str


def ways(access: Roles, client: AccessClient) -> tuple[Way, ...]:
    """Where a client may come from, the oldest first: it is never without one."""
    keys = [(client.door, client.key)]
    if client.next_key and client.next_key != client.key:
        keys.append((1 - client.door, client.next_key))
    return tuple(Way(access_device(device, door), key) for device in key_devices(access) for door, key in keys)


def key_devices(access: Roles) -> tuple[int, ...]:
    """The numbers (0 or 1) of the relay's access keys that clients may use, the present one first."""
    following = access.next
    if following is None or following.stage is KeyStage.ASKED:
        return (access.device,)
    return (access.device, following.device)


def used_by(found: tuple[Way, ...], told: int | None) -> Way:
    """The way that a client is answered by: the one that it uses, as far as that is known, else its oldest."""
    return next((way for way in found if way.device == told), found[0])


def doors(clients: tuple[AccessClient, ...]) -> tuple[int, ...]:
    """The doors that are needed: the first one always, so that a relay without clients has an access device."""
    needed = {0, *(client.door for client in clients), *(1 - client.door for client in clients if client.next_key)}
    return tuple(door for door in range(DOORS) if door in needed)
