"""A picture of reachability over time: one panel a failure, one lane a system, as SVG.

The lane is green where packets came both ways and red where they did not; time runs on a logarithmic axis after the
failure, because the systems differ by a factor of a hundred.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from bench.routing.failures import Seen

TITLES: Final = {
    "silent_link": "Link silently dead: packets dropped, interface up",
    "second_link": "The link that took over silently dead as well",
    "healed": "That link heals",
    "dead_relay": "Relay on the way loses its power",
    "one_way": "One direction of a link dead",
    "loss_30": "Link loses 30 % of the packets each way",
    "daemon_restart": "Routing daemon on the way: kill -9, started again",
    "agent_restart": "Agent on the way: kill -9, started again",
    "drain": "Relay on the way drained on purpose",
    "control_plane_dead": "Control plane killed",
}
FIRST: Final = 0.01
"""Seconds: left end of the axis, one packet."""
LAST: Final = 50.0
TICKS: Final = (0.01, 0.03, 0.1, 0.2, 0.5, 1.0, 3.0, 10.0, 30.0)
LEFT, WIDTH, RIGHT = 130, 620, 205
LANE, BAR, PANEL_TOP, PANEL_BOTTOM = 24, 14, 34, 34
GOOD, BAD, FAINT, INK = "#3f9d5a", "#cf3434", "#d7dbe0", "#20262e"


def draw(seen: Iterable[Seen]) -> str:
    """The whole picture."""
    panels: dict[str, list[Seen]] = {}
    for one in seen:
        panels.setdefault(one.failure, []).append(one)
    parts, top = [], 46
    for failure in sorted(panels, key=list(TITLES).index):
        parts += _panel(failure, panels[failure], top)
        top += PANEL_TOP + LANE * len(panels[failure]) + PANEL_BOTTOM
    total = LEFT + WIDTH + RIGHT
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{total}" height="{top}" viewBox="0 0 {total} {top}" '
        f'font-family="DejaVu Sans, Arial, sans-serif" font-size="12" fill="{INK}">'
        f'<rect width="{total}" height="{top}" fill="white"/>'
        f'<text x="16" y="24" font-size="16" font-weight="bold">Reachability after a failure</text>'
        f'<text x="{LEFT + WIDTH + RIGHT - 16}" y="24" text-anchor="end">100 packets a second each way; '
        f'<tspan fill="{GOOD}">came both ways</tspan>, <tspan fill="{BAD}">lost</tspan></text>'
    )
    return head + "".join(parts) + "</svg>\n"


def _panel(failure: str, lanes: Sequence[Seen], top: int) -> list[str]:
    bottom = top + PANEL_TOP + LANE * len(lanes)
    parts = [f'<text x="16" y="{top + 20}" font-size="13" font-weight="bold">{escape(TITLES[failure])}</text>']
    for tick in TICKS:
        at = _x(tick)
        label = f"{tick * 1000:g} ms" if tick < 1 else f"{tick:g} s"
        parts.append(f'<path d="M{at:.1f} {top + PANEL_TOP - 4}V{bottom}" stroke="{FAINT}"/>')
        parts.append(f'<text x="{at:.1f}" y="{bottom + 14}" text-anchor="middle" font-size="10">{label}</text>')
    for number, one in enumerate(lanes):
        y = top + PANEL_TOP + LANE * number + (LANE - BAR) // 2
        parts.append(f'<text x="{LEFT - 8}" y="{y + 11}" text-anchor="end">{escape(one.system)}</text>')
        parts += _lane(one, y)
        words = f"{one.lost} of {one.sent} lost"
        if not one.repaired:
            words = f"not repaired; {words}"
        elif one.lost:
            words = f"gap {_time(one.gap)}; {words}"
        parts.append(f'<text x="{LEFT + WIDTH + 8}" y="{y + 11}">{words}</text>')
    return parts


def _lane(one: Seen, y: int) -> list[str]:
    """Runs of equal packets as one rectangle each. Zero is the first lost packet, or else when the failure began."""
    zero = next((at for at, came in one.timeline if at >= 0 and not came), 0.0)
    runs: list[list[float | bool]] = []
    for at, came in one.timeline:
        since = at - zero + FIRST
        if since < FIRST / 2:
            continue
        if runs and runs[-1][2] == came:
            runs[-1][1] = since
        else:
            if runs:
                runs[-1][1] = since
            runs.append([since, since, came])
    parts = []
    for begin, end, came in runs:
        left, right = _x(float(begin)), _x(float(end) + FIRST / 2)
        colour = GOOD if came else BAD
        width = max(0.8, right - left)
        parts.append(f'<rect x="{left:.1f}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{colour}"/>')
    return parts


def _x(seconds: float) -> float:
    share = math.log(min(max(seconds, FIRST), LAST) / FIRST) / math.log(LAST / FIRST)
    return LEFT + share * WIDTH


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
