"""Operators' API tokens, which the registry keeps: looked up there at each request, so a revocation holds at once.

Only the hash of a token's 256 random bits crosses the bus; nobody can make the token from it.
"""

from __future__ import annotations

from typing import Final

from altnet.common.bus import rpc
from altnet.common.bus.connect import Bus
from altnet.common.contracts.registry import API_TOKEN_VERB, ApiTokenQuery, KnownApiToken
from altnet.common.errors import NotFound
from altnet.common.http.auth import LookUp, Role, StoredApiToken
from altnet.common.ids import ApiTokenId

TIMEOUT: Final = 3.0
"""Seconds for the registry's answer: a person waits for it."""


def look_up(bus: Bus) -> LookUp:
    """For `ChainAuthenticator`. Raises `Unavailable` where the registry does not answer."""

    async def find(token: ApiTokenId) -> StoredApiToken | None:
        try:
            known = await rpc.call(
                bus, "registry", API_TOKEN_VERB, ApiTokenQuery(token=token), KnownApiToken, timeout=TIMEOUT
            )
        except NotFound:
            return None
        return StoredApiToken(
            id=token,
            digest=known.digest,
            principal=known.principal,
            role=Role(known.role),
            scopes=frozenset(known.scopes),
            expires=known.expires,
            revoked=known.revoked,
        )

    return find
