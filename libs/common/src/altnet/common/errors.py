"""The failures that Altnet names.

An error says three things: which field (a JSON pointer), why, and how to mend it. It carries a stable
`code` that programs may match on. What an HTTP status or an exit code makes of it is decided at the edge
(`altnet.common.http.problems`, the command lines), never here.

Invariant: no secret ever enters an error's text; callers pass names and identifiers only.
"""

from __future__ import annotations

from typing import ClassVar, Final

UNREADABLE: Final = (ValueError, RecursionError)
"""What decoding raises for bytes that are no value. msgspec's own errors are `ValueError`s, and so is what Python says
of text that is not UTF-8; JSON that is nested too deeply, even in a field that we do not know, gives the other one."""


class AltnetError(Exception):
    """Base of every failure that we raise on purpose.

    `code` is stable and machine readable (`relay_name_taken`), `detail` is a sentence for people,
    `field` a JSON pointer into the input (`/name`) and `mend` a sentence that says what to do.
    """

    kind: ClassVar[str] = "error"

    def __init__(self, code: str, detail: str, *, field: str | None = None, mend: str | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.field = field
        self.mend = mend

    def __str__(self) -> str:
        where = f"{self.field}: " if self.field else ""
        mend = f" {self.mend}" if self.mend else ""
        return f"{where}{self.detail}{mend}"


class Invalid(AltnetError):
    """The input is wrong and will stay wrong."""

    kind = "invalid"


class Unauthenticated(AltnetError):
    """Nobody, or nobody that we can prove."""

    kind = "unauthenticated"


class Forbidden(AltnetError):
    """Somebody, but not allowed to do this."""

    kind = "forbidden"


class NotFound(AltnetError):
    """There is no such thing, or not any more."""

    kind = "not_found"


class Conflict(AltnetError):
    """The input contradicts what exists."""

    kind = "conflict"


class Stale(AltnetError):
    """The caller has seen an older version than the present one."""

    kind = "stale"


class PreconditionRequired(AltnetError):
    """The caller must say which version it means to change."""

    kind = "precondition_required"


class TooLarge(AltnetError):
    """The input is over its bound; it was not read to the end."""

    kind = "too_large"


class Exhausted(AltnetError):
    """A pool has nothing left to give."""

    kind = "exhausted"


class TooMany(AltnetError):
    """The caller asks more often than it may; `after` is in seconds."""

    kind = "too_many"

    def __init__(self, code: str, detail: str, *, after: float, mend: str | None = None) -> None:
        super().__init__(code, detail, mend=mend)
        self.after = after


class Unavailable(AltnetError):
    """Something that we need does not answer now; the same call may succeed later."""

    kind = "unavailable"


class Retry(Exception):
    """A handler's verdict: this failed now and is worth another try after `after` seconds."""

    def __init__(self, reason: str, *, after: float = 1.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after


class Broken(Exception):
    """A handler's verdict: this can never succeed; set it aside and raise an alert."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
