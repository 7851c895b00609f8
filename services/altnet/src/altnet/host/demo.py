"""`altnet demo`: the whole product on one host, told in plain words and measured as it goes.

A lab comes up, relays enrol, clients talk across the mesh, and while a steady stream of packets is counted, parts of it
are killed and come back (`altnet.host.lab.story`). Here is what is around the story: the terminal, signals, the end.

Invariant: however it ends (its end, an error, Ctrl-C, SIGTERM), the lab is removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any, NoReturn

import msgspec
from altnet.common.errors import AltnetError, Conflict, Unavailable
from altnet.common.settings import load
from altnet.host.lab import commands, members, tunnel
from altnet.host.lab.lab import NETWORK_COMMANDS, TUNNEL_COMMANDS, Lab
from altnet.host.lab.settings import LabSettings
from altnet.host.lab.steps import Silent, Spoken, Steps
from altnet.host.lab.story import ONE, OTHER, DemoSettings, Outcome, Story
from altnet.host.lab.topology import Spec
from rich.console import Console
from rich.table import Table


class Ended(BaseException):
    """SIGINT or SIGTERM: stop telling and clean up."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run_demo(*, once: bool, json: bool = False, prefix: str | None = None, relays: int = 4) -> int:
    """Tell the story; returns the exit code. Without `once` (and `json`) the lab stays up until it is interrupted.

    0: every step held. 1: one did not, or an error. 128 and the signal's number: interrupted before the end.
    """
    console = Console(stderr=True) if json else Console()
    steps: Steps = Silent() if json else Spoken(console, clock=True, quiet_below=1.0)
    told: list[int] = []
    with _ended_by_signals():
        try:
            with _only_demo(prefix, steps) as lab:
                told.append(_tell(lab, console, steps, relays=relays, json=json, stays=not once))
                if not once and not json and lab.files.state_file.exists():
                    _stay(console, lab)
        except Ended as ended:
            return told[0] if told else 128 + ended.number
        except AltnetError as error:
            print(f"altnet demo: {error}", file=sys.stderr)
            if json and not told:
                _print_json([], error)
            return 1
    return told[0]


def _tell(lab: Lab, console: Console, steps: Steps, *, relays: int, json: bool, stays: bool) -> int:
    """The story and its summary; returns the exit code."""
    outcomes: list[Outcome] = []
    failure: AltnetError | None = None
    spec = Spec(prefix=lab.settings.prefix, relays=relays, clients=2)
    try:
        Story(lab, spec, _load(DemoSettings, "ALTNET_DEMO"), steps).tell(
            lambda outcome: _hear(outcome, outcomes, steps)
        )
    except AltnetError as error:
        failure = error
    held = failure is None and all(outcome.held for outcome in outcomes)
    if json:
        _print_json(outcomes, failure)
    else:
        _summary(console, outcomes, failure)
    if failure is not None and not stays:
        _show_logs(console, lab)
    return 0 if held else 1


@contextlib.contextmanager
def _only_demo(prefix: str | None, steps: Steps) -> Iterator[Lab]:
    """The lab of this demo: nobody else's, what an earlier demo left is removed first, and removed at the end."""
    commands.require_root(os.geteuid())
    commands.require((*NETWORK_COMMANDS, *TUNNEL_COMMANDS, "ping"))
    settings = _load(LabSettings, "ALTNET_LAB", {"ALTNET_LAB_PREFIX": prefix} if prefix else {})
    lab = Lab(_with_free_port(settings), steps=steps)
    lab.files.run_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
    mark = lab.files.root / "demo"
    with (lab.files.run_dir / f"{settings.prefix}.demo.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(
                "demo_runs", "a demo runs already.", mend="End it, or give this one another --prefix."
            ) from None
        if lab.files.state_file.exists() and not mark.exists():
            raise Conflict(
                "lab_exists",
                f"there is a lab {settings.prefix}, and the demo would replace it.",
                mend="`altnet lab down` removes it; or give the demo another --prefix.",
            )
        try:
            lab.down()
            lab.files.root.mkdir(mode=0o755)
            mark.touch()
            yield lab
        finally:
            try:
                _clean_up(lab)
            except Ended:  # it came in the instant before signals were ignored
                _clean_up(lab)


def _with_free_port(settings: LabSettings) -> LabSettings:
    """The port as set, or any free one where somebody listens on it."""
    try:
        members.listen_outside(settings.api_address, settings.api_port).close()
    except Unavailable:
        return msgspec.structs.replace(settings, api_port=0)
    return settings


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGINT and SIGTERM raise `Ended` in the main thread, once."""

    def end(number: int, frame: FrameType | None) -> NoReturn:
        raise Ended(number)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _clean_up(lab: Lab) -> None:
    """Remove the lab, whatever the user presses meanwhile: half a lab would be left otherwise."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    lab.steps.say("cleaning up")
    lab.down()


def _stay(console: Console, lab: Lab) -> NoReturn:
    """Say what to try, and wait for a signal."""
    try:
        control = lab.control_plane()
        target = tunnel.parse((lab.files.host(OTHER) / "alt0.conf").read_text()).addresses[0].ip
    except (AltnetError, OSError):
        steps = f"The lab stays up as it is; its logs are below {lab.files.root}. Ctrl-C removes everything."
        console.print(steps, highlight=False, markup=False, soft_wrap=True)
        _wait()
    option = "" if lab.settings.prefix == "altlab" else f" --prefix {lab.settings.prefix}"
    token = members.data_dir(lab.files) / "owner.token"
    console.print(
        f"""
The lab stays up. In another terminal, as root:
  API            {control.api}/v1  (documentation: {control.api}/openapi.json)
  owner's token  cat {token}
  ask it         curl -H "Authorization: Bearer $(cat {token})" {control.api}/v1/relays
  ping           altnet lab exec{option} {ONE} -- ping {target}
  break          altnet lab kill{option} relay2      altnet lab partition{option} relay1 relay2
  mend           altnet lab heal{option}
Ctrl-C removes everything.""",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    _wait()


def _wait() -> NoReturn:
    while True:
        signal.pause()


def _hear(outcome: Outcome, outcomes: list[Outcome], steps: Steps) -> None:
    outcomes.append(outcome)
    steps.say(f"{'held' if outcome.held else 'DID NOT HOLD'}: {outcome.step}: {outcome.measured}")


def _summary(console: Console, outcomes: list[Outcome], failure: AltnetError | None) -> None:
    table = Table(title="What was shown", title_justify="left")
    for heading in ("step", "measured", "held"):
        table.add_column(heading, overflow="fold")
    for outcome in outcomes:
        table.add_row(outcome.step, outcome.measured, "yes" if outcome.held else "NO")
    console.print(table)
    if failure is not None:
        console.print(f"The story ended early: {failure}", highlight=False, markup=False, soft_wrap=True)


def _print_json(outcomes: list[Outcome], failure: AltnetError | None) -> None:
    held = failure is None and all(outcome.held for outcome in outcomes)
    answer = {"held": held, "steps": outcomes, "error": str(failure) if failure else None}
    print(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())


def _show_logs(console: Console, lab: Lab) -> None:
    """The last words of everybody, because they are about to be removed."""
    for log in sorted(lab.files.root.glob("*/*.log")):
        lines = log.read_text(errors="replace").splitlines()[-5:]
        for line in lines:
            console.print(f"{log.parent.name}/{log.name}: {line}", highlight=False, markup=False, soft_wrap=True)


def _load(cls: type[Any], prefix: str, more: dict[str, str] | None = None) -> Any:
    return load(cls, prefix=prefix, env=dict(os.environ) | (more or {}))
