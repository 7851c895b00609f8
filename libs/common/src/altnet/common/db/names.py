"""Names inside SQL text: schemas, roles, tables. Values never come this way; they are parameters."""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = re.compile(r"^[a-z_][a-z0-9_]{0,62}$")


def name(text: str) -> str:
    """Return `text` if Postgres takes it as it is, as one plain lower-case name. Raises `ValueError`."""
    if not _NAME.match(text):
        raise ValueError(f"not a plain name: {text!r}")
    return text


def quoted(text: str) -> str:
    """`text` as one quoted identifier."""
    return '"' + text.replace('"', '""') + '"'


def dotted(text: str) -> str:
    """`registry.relay` with each part quoted."""
    return ".".join(quoted(part) for part in text.split("."))


def literal(text: str) -> str:
    """`text` as a string constant, for statements that take no parameters. Raises `ValueError` for a backslash."""
    if "\\" in text or "\0" in text:
        raise ValueError("a backslash in a string constant")
    return "'" + text.replace("'", "''") + "'"


def owner_role(schema: str) -> str:
    """The role that owns a service's schema and runs its migrations."""
    return f"altnet_{name(schema)}_owner"


def runtime_role(schema: str) -> str:
    """The role that a service works with: rows, not structure."""
    return f"altnet_{name(schema)}"
