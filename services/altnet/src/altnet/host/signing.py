"""The key that signs operators' access tokens, and its replacement while services run.

Who has this key can make himself an owner's token, so it has to be replaceable at once: `altnet admin
replace-signing-key` writes another one, and every service that was opened here takes it up within a second. Access
tokens of before are refused from then on (they live for five minutes anyway); API tokens are not signed, and stay.

Invariant: of two keys only the newer one counts, and a file that cannot be read changes nothing.
"""

from __future__ import annotations

import asyncio
from typing import Final

from altnet.common import log
from altnet.common.clock import Clock
from altnet.common.errors import NotFound
from altnet.common.http.tokens import TokenIssuer, TokenVerifier
from altnet.host.secrets import SecretsDir
from cryptography.exceptions import UnsupportedAlgorithm

_log = log.get(__name__)

PACE: Final = 0.5
"""Seconds between two looks at the file."""


class SigningKey:
    """One verifier and one issuer for all services of a process, kept equal to the file."""

    def __init__(self, secrets: SecretsDir, clock: Clock) -> None:
        """Raises `NotFound` (`no_secrets`)."""
        self._secrets = secrets
        self._problem = ""
        self._seen = secrets.signing_key_version()
        key = secrets.signing_key()
        self.verifier = TokenVerifier([key.public_key()], clock)
        self.issuer = TokenIssuer(key, clock)

    def look(self) -> bool:
        """Take the file's key up if the file is another one; True if it was."""
        try:
            version = self._secrets.signing_key_version()
            if version == self._seen:
                return False
            key = self._secrets.signing_key()
        except (NotFound, OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:  # TypeError: it is encrypted
            if str(error) != self._problem:  # once, not at each look
                self._problem = str(error)
                _log.error("the key for access tokens cannot be read: the one of before stays", error=self._problem)
            return False
        self.verifier.replace([key.public_key()])
        self.issuer.replace(key)
        self._seen, self._problem = version, ""
        _log.warning("the key for access tokens was replaced: tokens of before are refused")
        return True

    async def follow(self) -> None:
        """Look, until cancelled."""
        while True:
            await asyncio.sleep(PACE)
            self.look()
