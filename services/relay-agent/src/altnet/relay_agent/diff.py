"""What to do to get from what is to what should be. Pure.

Two ways lead to operations. After a change that came from outside, an owner's old pieces are compared with its new
ones: cost follows the change. At a full comparison everything that the host has is compared with everything wanted:
that finds what somebody else altered.

Invariant: what is already as wanted gives no operation, so doing the same twice does nothing the second time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from altnet.relay_agent.pieces import ADDRESSES, LINKS, NEIGHBOURS, ROUTES, Key, Piece, words


class Update(NamedTuple):
    """Make the piece as in `want`. `have` is what is there as far as we know, None where nothing or unknown."""

    plane: str
    key: Key
    want: Any
    have: Any = None


class Delete(NamedTuple):
    """Take away what is there under `key`."""

    plane: str
    key: Key
    have: Any


Operation = Update | Delete

_ON_LINKS = frozenset({ADDRESSES, NEIGHBOURS, ROUTES})


def changed(old: Iterable[Piece], new: Iterable[Piece]) -> list[Operation]:
    """The operations from an owner's `old` pieces to its `new` ones.

    A link that is made anew loses what hangs on it, so its addresses, neighbours and routes are made again too.
    """
    before = {(piece.plane, piece.key): piece.value for piece in old}
    operations: list[Operation] = []
    remade: set[str] = set()
    for plane, key, value in new:
        had = before.pop((plane, key), None)
        if had == value:
            if plane in _ON_LINKS and value.device in remade:
                operations.append(Update(plane, key, value))
            continue
        if plane == LINKS:
            remade.add(value.name)
        operations.append(Update(plane, key, value, had))
    operations.extend(Delete(plane, key, value) for (plane, key), value in before.items())
    return operations


def compared(
    have: Mapping[str, Mapping[Key, Any]],
    want: Iterable[Piece],
    same: Callable[[str, Any, Any], bool],
    *,
    prune: bool,
) -> list[Operation]:
    """The operations from everything that the host `have`s to everything wanted, by plane.

    `same(plane, have, want)` says whether a piece is as wanted. A plane that is missing from `have` could not be
    read: its pieces are left as they are. `prune` takes away what nobody wants; never before both documents are known.
    """
    left = {plane: dict(pieces) for plane, pieces in have.items()}
    operations: list[Operation] = []
    remade: set[str] = set()
    for plane, key, value in want:
        found = left.get(plane)
        if found is None:
            continue
        had = found.pop(key, None)
        if had is not None and same(plane, had, value):
            if not (plane in _ON_LINKS and value.device in remade):
                continue
            had = None
        if plane == LINKS:
            remade.add(value.name)
        operations.append(Update(plane, key, value, had))
    if prune:
        operations.extend(Delete(plane, key, value) for plane, found in left.items() for key, value in found.items())
    return operations


def describe(operation: Operation) -> str:
    """What an operation is about, for people: no piece holds a private key."""
    return words(operation.want if isinstance(operation, Update) else operation.have, operation.key)
