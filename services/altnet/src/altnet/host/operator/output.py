"""What commands print: a table for people, JSON for scripts, data on standard output only."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

Column = tuple[str, str]
"""Heading, and the field's path (`health`, `applied_mesh.generation`)."""


def show_list(items: Iterable[Any], columns: Sequence[Column], *, as_json: bool) -> None:
    """A listing: a JSON array, or a table whose columns are as wide as they must be."""
    rows = [item.to_dict() for item in items]
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    table = [[heading for heading, _ in columns]] + [[text_of(row, path) for _, path in columns] for row in rows]
    widths = [max(len(line[index]) for line in table) for index in range(len(columns))]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def show_one(item: Any, *, as_json: bool, leave_out: Sequence[str] = ()) -> None:
    """One thing: a JSON object, or its fields line by line."""
    fields = item.to_dict()
    if as_json:
        print(json.dumps(fields, indent=2))
        return
    shown = {name: value for name, value in fields.items() if name not in leave_out and value not in (None, [], {})}
    width = max(map(len, shown), default=0)
    for name in shown:
        print(f"{name.replace('_', ' ').ljust(width)}  {text_of(shown, name)}")


def text_of(row: Any, path: str) -> str:
    """A field for people's eyes."""
    value = row
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.3g}"
        case list():
            return ", ".join(text_of({"item": item}, "item") for item in value) or "-"
        case dict():
            return ", ".join(f"{name}={text_of(value, name)}" for name in value) or "-"
        case str() if len(value) > 18 and value[10:11] == "T":
            return _instant(value)
        case _:
            return str(value)


def note(text: str) -> None:
    """A word to the person, on standard error."""
    print(text, file=sys.stderr, flush=True)


def _instant(text: str) -> str:
    try:
        return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return text
