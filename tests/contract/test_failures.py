"""docs/failures.md names every way in which what it is about can fail, and nothing that is not there.

Codes are read from the sources: enumerations, sets of codes, and the first argument of each of Altnet's errors.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path

from altnet.common import errors
from altnet.common.bus.asyncapi import published_events
from altnet.common.contracts import preshared
from altnet.common.contracts.keyd import PendingReason
from altnet.common.contracts.lock import ALARMS, REFUSABLE
from altnet.common.contracts.security import SecurityEvent
from altnet.common.noise import failures
from altnet.keyd import refusals
from altnet.keyd.domain import rotations
from altnet.registry.domain import client_keys
from altnet.relay_agent.psk.pair import Trouble

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/failures.md").read_text()
AGENT = "services/relay-agent/src/altnet/relay_agent"
REGISTRY = "services/registry/src/altnet/registry"
ABOUT = (
    "services/keyd/src/altnet/keyd",
    "libs/common/src/altnet/common/noise",
    "libs/common/src/altnet/common/lock",
    f"{AGENT}/psk",
    f"{AGENT}/lock",
    f"{AGENT}/keyd.py",
    f"{AGENT}/rotation.py",
    f"{AGENT}/access_rotation.py",
    f"{REGISTRY}/answers.py",
    f"{REGISTRY}/domain/mesh_keys.py",
    f"{REGISTRY}/domain/client_keys.py",
    f"{REGISTRY}/handlers/access_keys.py",
    f"{REGISTRY}/handlers/client_keys.py",
    f"{REGISTRY}/handlers/identity_keys.py",
    f"{REGISTRY}/handlers/mesh_keys.py",
    f"{REGISTRY}/handlers/revocations.py",
    f"{REGISTRY}/store/revocations.py",
)
"""Where rotations, pre-shared keys, the channel, the lock and revocations are."""
ERRORS = frozenset(
    name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, errors.AltnetError)
) - {"Broken"}  # which has a reason and no code
CODE = re.compile(r"^[a-z][a-z0-9_]*$")


def sources() -> Iterator[Path]:
    for place in ABOUT:
        path = ROOT / place
        assert path.exists(), place
        yield from path.rglob("*.py") if path.is_dir() else (path,)


def raised() -> Iterator[tuple[str, Path]]:
    """Each code that an error is made with there."""
    for path in sources():
        tree = ast.parse(path.read_text())
        named = {
            target.id: node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant)
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ERRORS and node.args:
                first = node.args[0]
                code = first.value if isinstance(first, ast.Constant) else named.get(getattr(first, "id", ""))
                assert isinstance(code, str), f"{path}:{node.lineno}: which code?"
                yield code, path


def names_of(kind: type[StrEnum], *, but: Iterable[StrEnum] = ()) -> set[str]:
    return {str(one) for one in kind} - {str(one) for one in but}


def quoted() -> set[str]:
    return set(re.findall(r"`([^`\n]+)`", PAGE))


def test_each_code_of_an_error_is_named() -> None:
    missing = {code: path.name for code, path in raised() if code not in quoted()}
    assert missing == {}


def test_each_reason_that_is_told_is_named() -> None:
    told = {
        "rolled back": names_of(rotations.Ended),
        "left": names_of(rotations.Left),
        "pending": names_of(PendingReason),
        "pairs": names_of(Trouble),
        "said between pairs": names_of(preshared.Refusal),
        "clients": names_of(client_keys.Outcome, but=[client_keys.Outcome.KEPT]),
        "lock": {*ALARMS, *REFUSABLE},
        "channel": {
            *refusals.TOLD,
            *(one for one in vars(failures).values() if isinstance(one, str) and CODE.match(one)),
        },
    }
    assert {what: codes - quoted() for what, codes in told.items() if codes - quoted()} == {}


def test_each_event_and_metric_that_is_named_is_there() -> None:
    kinds = {one.kind for one in published_events() if issubclass(one, SecurityEvent)}
    events = {name for name in quoted() if re.match(r"^(keyd|registry)\.[a-z_]+\.[a-z_]+$", name)}
    assert events
    assert events <= kinds, events - kinds
    made = set()
    for path in (*ROOT.glob("services/*/src/**/*.py"), *ROOT.glob("libs/common/src/**/*.py")):
        made |= set(re.findall(r"\b(?:counter|gauge|histogram)\(\s*\"([a-z_]+)\"", path.read_text()))
    columns = [line.split("|")[4] for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| -")]
    metrics = {name.partition("{")[0] for column in columns for name in re.findall(r"`([^`]+)`", column)}
    assert metrics
    assert metrics <= made, metrics - made


def test_each_failure_has_a_code_an_event_and_a_metric_or_says_why_not() -> None:
    rows = [
        line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| -", "| what fails"))
    ]
    assert len(rows) > 40
    for row in rows:
        _, what, code, event, metric, _ = row.split("|")
        assert all(cell.strip() for cell in (what, code, event, metric)), row
        assert "`" in event or event.strip().startswith(("API", "none")), row
        assert "`" in metric or metric.strip() == "by kind", row
