"""What a bench found, and how people and programs read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One number: seconds, MiB, a rate per second or a count. `ratio` is ours to the alternative's."""

    value: float
    unit: str
    ratio: float | None = None
    against: str = ""
    """The alternative's name."""
    note: str = ""
    """For people: what else is worth knowing."""

    def facts(self) -> dict[str, Any]:
        """For the JSON file."""
        found: dict[str, Any] = {"value": _round(self.value), "unit": self.unit}
        if self.ratio is not None:
            found |= {"ratio": _round(self.ratio), "against": self.against}
        return found


def table(measures: Mapping[str, Measure]) -> str:
    """A readable table."""
    rows = [("bench", "value", "unit", "ratio", "against", "")]
    for name, one in measures.items():
        ratio = "" if one.ratio is None else f"{one.ratio:.3g} x"
        rows.append((name, _shown(one.value), one.unit, ratio, one.against, one.note))
    widths = [max(len(row[at]) for row in rows) for at in range(5)]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), row[1].rjust(widths[1]), row[2].ljust(widths[2]), row[3].rjust(widths[3])]
        lines.append("  ".join([*cells, row[4].ljust(widths[4]), row[5]]).rstrip())
    lines.insert(1, "-" * max(len(line) for line in lines[:1]))
    return "\n".join(lines)


def _round(value: float) -> float:
    return float(f"{value:.4g}")


def _shown(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"
