"""Who asks, and what they may do.

Roles order people's power: owner > admin > auditor; an agent is none of them. Scopes narrow what one token may touch,
whatever its holder's role: `<resource>:<read|write>`, where the resource is a route's tag. Both must allow a request.

Invariant: without a scope nothing is allowed; nothing is derived from a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from altnet.common.errors import Invalid

EVERYTHING: Final = frozenset({"*"})
"""The scopes of a token that is not narrowed."""

_SCOPE: Final = re.compile(r"^(?:\*|[a-z][a-z0-9_-]{0,62}:(?:read|write|\*)|\*:(?:read|write))$")


class Role(StrEnum):
    """What somebody is to the network."""

    OWNER = "owner"
    """Everything, also other people's roles and keys."""
    ADMIN = "admin"
    """Everything about the network's things."""
    AUDITOR = "auditor"
    """Reads everything, changes nothing."""
    AGENT = "agent"
    """A machine of the network: only what is meant for machines."""

    def covers(self, needed: Role) -> bool:
        """Whether somebody of this role may do what `needed` may."""
        if Role.AGENT in (self, needed):
            return self is needed
        order = (Role.OWNER, Role.ADMIN, Role.AUDITOR)
        return order.index(self) <= order.index(needed)


@dataclass(frozen=True)
class Principal:
    """Somebody who has proved who they are. `token_id` is the credential's, for revocation and audit."""

    id: str
    role: Role
    scopes: frozenset[str]
    token_id: str

    def may(self, scope: str | None) -> bool:
        """Whether the credential reaches `scope` (`relays:write`); None asks for an unnarrowed one. Writing
        includes reading."""
        if "*" in self.scopes:
            return True
        if scope is None:
            return False
        resource, _, action = scope.partition(":")
        actions = (action, "write") if action == "read" else (action,)
        return any(
            wanted in self.scopes for act in actions for wanted in (f"{resource}:{act}", f"{resource}:*", f"*:{act}")
        )


def check_scopes(scopes: Iterable[str], *, field: str | None = None) -> frozenset[str]:
    """The scopes as a set, if each is well formed. Raises `Invalid` (`bad_scope`)."""
    found = frozenset(scopes)
    for scope in found:
        if not _SCOPE.match(scope):
            raise Invalid(
                "bad_scope",
                "a scope is written <resource>:<read|write>.",
                field=field,
                mend="For example relays:write, or * for everything.",
            )
    return found
