"""Lost updates are refused: a change must name the version that it is based on (RFC 9110 §13.1.1).

A thing's version is its row's counter; its ETag is that number in quotes.
"""

from __future__ import annotations

from typing import Annotated, Final

from altnet.common.errors import PreconditionRequired, Stale
from fastapi import Header

FIELD: Final = "/If-Match"
"""How a problem names the header."""

IfMatch = Annotated[
    str | None,
    Header(alias="If-Match", description="The ETag of the version that is to be changed.", examples=['"7"']),
]
"""Parameter of every handler that changes a thing."""


def etag_of(version: int) -> str:
    """The strong ETag of a version, for the header `ETag`."""
    return f'"{version}"'


def require_match(if_match: str | None, version: int) -> None:
    """Raise unless `if_match` names the present `version`; `*` names any.

    Raises `PreconditionRequired` (`if_match_required`) without the header, `Stale` (`version_changed`) for another
    version. Weak tags match nothing, as RFC 9110 §8.8.3.2 says.
    """
    if if_match is None:
        raise PreconditionRequired(
            "if_match_required",
            "A change must say which version it is based on.",
            field=FIELD,
            mend="Read the thing, and send its ETag as If-Match.",
        )
    tags = [tag.strip() for tag in if_match.split(",")]
    if "*" not in tags and etag_of(version) not in tags:
        raise Stale(
            "version_changed",
            f"Somebody changed it since; its version is now {etag_of(version)}.",
            field=FIELD,
            mend="Read it again, and decide anew.",
        )
