"""What a principal shows to the bus: a user JWT and the seed that proves it.

On disk it is the `.creds` form that every NATS tool reads, mode 0600, replaced in one step. The seed never shows in
a repr, a log or an error.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from altnet.common.errors import UNREADABLE, Invalid
from altnet.common.files import write_private

_JWT: Final = re.compile(r"-+BEGIN NATS USER JWT-+\s+(\S+)\s+-+END NATS USER JWT-+")
_SEED: Final = re.compile(r"-+BEGIN USER NKEY SEED-+\s+(\S+)\s+-+END USER NKEY SEED-+")

_TEMPLATE: Final = """-----BEGIN NATS USER JWT-----
{jwt}
------END NATS USER JWT------

************************* IMPORTANT *************************
The seed below is a secret: who has it is this user of the bus.
*************************************************************

-----BEGIN USER NKEY SEED-----
{seed}
------END USER NKEY SEED------
"""


@dataclass(frozen=True)
class Credentials:
    """A user JWT and its seed."""

    jwt: str
    seed: bytes = field(repr=False)

    @property
    def claims(self) -> dict[str, Any]:
        """What the JWT says, unverified (the server verifies). Raises `Invalid` (`bad_credentials`)."""
        try:
            middle = self.jwt.split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
        except (IndexError, *UNREADABLE):
            raise _bad("the JWT can not be read") from None
        if not isinstance(claims, dict):
            raise _bad("the JWT can not be read")
        return claims

    @property
    def name(self) -> str:
        """The user's name: a relay's id or a service's name. Its inbox is `_INBOX_<name>.>`."""
        return str(self.claims.get("name", ""))

    @property
    def expires(self) -> datetime | None:
        """When the server will refuse it; None is never."""
        stamp = self.claims.get("exp")
        return None if stamp is None else datetime.fromtimestamp(int(stamp), UTC)

    @classmethod
    def read(cls, path: Path) -> Credentials:
        """Read a `.creds` file. Raises `Invalid` (`bad_credentials`), `FileNotFoundError`."""
        text = path.read_text()
        jwt, seed = _JWT.search(text), _SEED.search(text)
        if jwt is None or seed is None:
            raise _bad(f"{path} is not a credentials file")
        return cls(jwt.group(1), seed.group(1).encode())

    def write(self, path: Path) -> None:
        """Write a `.creds` file with mode 0600, whole or not at all."""
        write_private(path, _TEMPLATE.format(jwt=self.jwt, seed=self.seed.decode()).encode())


def _bad(why: str) -> Invalid:
    return Invalid("bad_credentials", f"{why}.", mend="Enrol again, or have an administrator write the file anew.")
