"""Key epochs: which mesh keys this host has, and which session with a neighbour uses which of them. Pure.

A rotation never edits a live session. The next key has a WireGuard device of its own beside the present one, so packets
that are under way by either are taken, whatever the order and the delay in which the two ends change over:

    asked   a key is made and kept, and only then told to keyd
    ready   device with the neighbours' next keys, without endpoints: everybody is a responder first
    open    initiators speak; a pair's locator route moves when its handshake is seen (rotation.py)
    back    routes return to the present device, whose sessions live
    then    the entry has the next key as its key: the other device goes, and its private key is forgotten

WireGuard shows a handshake at the initiator when it was answered, and at the responder when the initiator has used it:
so who sees it may send, because the other end has the session already. No pair waits for another, and none for a clock.

Leaves out how keys are kept (state.py) and told (rotation.py). Invariant: at each moment each neighbour has a session
whose both ends have its device, if both have heard the same stage or two that follow one another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import msgspec
from altnet.common.contracts.desired import AccessKeys, KeyStage, RelayEntry
from altnet.common.keys import PublicKey
from altnet.relay_agent.state import Identity


@dataclass(frozen=True, kw_only=True)
class KeySet:
    """Public halves of the mesh keys that this host holds, and the number (0 or 1) of the present one's device."""

    key: PublicKey
    device: int = 0
    next_key: PublicKey | None = None
    next_epoch: int = 0

    @classmethod
    def of_access(cls, identity: Identity) -> KeySet:
        """The same of the keys that clients know this host by."""
        following = identity.next_access
        return cls(
            key=identity.access.public(),
            device=identity.access_device,
            next_key=following.public() if following is not None else None,
            next_epoch=identity.next_access_epoch,
        )

    @classmethod
    def of(cls, identity: Identity) -> KeySet:
        following = identity.next_mesh
        return cls(
            key=identity.mesh.public(),
            device=identity.mesh_device,
            next_key=following.public() if following is not None else None,
            next_epoch=identity.next_mesh_epoch,
        )


class Following(msgspec.Struct, frozen=True, kw_only=True):
    """The next key, on its device, as far as the mesh knows of it."""

    device: int
    key: PublicKey
    epoch: int
    stage: KeyStage


class Roles(msgspec.Struct, frozen=True, kw_only=True):
    """What the keys are for, in the light of this relay's own entry."""

    device: int
    key: PublicKey
    epoch: int = 0
    next: Following | None = None
    known: bool = True
    """False where the registry knows another key of this relay than those that are here."""


def roles(keys: KeySet, own: RelayEntry | AccessKeys | None) -> Roles:
    """The entry decides which key is the present one; the host may be behind it or have been away."""
    present = Roles(device=keys.device, key=keys.key)
    if own is None:
        return present
    if keys.next_key is not None and own.key == keys.next_key.base64:
        return Roles(device=1 - keys.device, key=keys.next_key, epoch=own.epoch)
    if own.key != keys.key.base64:
        return msgspec.structs.replace(present, known=False)
    following = None
    if own.next is not None and keys.next_key is not None and own.next.epoch == keys.next_epoch:
        # Not used before the mesh has this very key: a neighbour that took another one could not answer it.
        stage = own.next.stage if own.next.key == keys.next_key.base64 else KeyStage.ASKED
        following = Following(device=1 - keys.device, key=keys.next_key, epoch=keys.next_epoch, stage=stage)
    return msgspec.structs.replace(present, epoch=own.epoch, next=following)


class Session(NamedTuple):
    """One of at most two WireGuard sessions with a neighbour."""

    device: int
    own: PublicKey
    key: str
    """The neighbour's, as its entry writes it."""
    endpoints: tuple[str, ...]
    """Empty: it is not spoken to yet."""
    speaks: bool
    """Whether anybody of the pair speaks first yet."""


class Pair(NamedTuple):
    """The sessions with a neighbour: that of the present keys, and that of the next ones."""

    present: Session | None
    following: Session | None
    open: bool = False
    """Whether the pair may change over."""

    def used(self, switched: bool) -> Session:
        """The one that the locator's route takes."""
        if self.following is not None and (self.present is None or (self.open and switched)):
            return self.following
        assert self.present is not None, "a pair has a session"
        return self.present

    def sessions(self) -> list[Session]:
        return [one for one in self if isinstance(one, Session)]


def pair(mine: Roles, entry: RelayEntry) -> Pair:
    """Which of our keys meets which of the neighbour's: those of one epoch; else the present ones."""
    following, theirs = mine.next, entry.next
    if following is not None and following.stage is not KeyStage.ASKED:
        if theirs is not None and theirs.epoch == following.epoch and _used(theirs.stage) and theirs.key:
            stages = (following.stage, theirs.stage)
            speaks = KeyStage.OPEN in stages or KeyStage.BACK in stages
            new = Session(
                following.device, following.key, theirs.key, at_port(entry.endpoints, theirs.port), speaks=speaks
            )
            return Pair(_present(mine, entry), new, open=speaks and KeyStage.BACK not in stages)
        if theirs is None and entry.epoch == following.epoch:
            # It has heard of the end of the rotation before us, and its other device is gone.
            ends = at_port(entry.endpoints, entry.port)
            return Pair(None, Session(following.device, following.key, entry.key, ends, speaks=True), open=True)
    if following is None and theirs is not None and theirs.epoch == mine.epoch and theirs.key:
        # We have heard of it before the neighbour.
        ends = at_port(entry.endpoints, theirs.port)
        return Pair(Session(mine.device, mine.key, theirs.key, ends, speaks=True), None)
    return Pair(_present(mine, entry), None)


def _present(mine: Roles, entry: RelayEntry) -> Session:
    return Session(mine.device, mine.key, entry.key, at_port(entry.endpoints, entry.port), speaks=True)


def _used(stage: KeyStage) -> bool:
    return stage is not KeyStage.ASKED


def at_port(endpoints: tuple[str, ...], port: int) -> tuple[str, ...]:
    """The same places at another port; 0: as they are."""
    if not port:
        return endpoints
    return tuple(f"{one.rpartition(':')[0]}:{port}" for one in endpoints)
