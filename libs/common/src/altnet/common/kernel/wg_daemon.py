"""Starting wireguard-go so that it outlives us.

Run without `-f` it makes its device and its socket, hands both to a child, and exits: so its exit status is the
readiness event. The daemon logs nothing, because nobody bounds its file; when it does not start it is run once more in
the foreground, for its reason.
"""

from __future__ import annotations

import asyncio
import os
import re
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from altnet.common.kernel.wireguard import wireguard_unavailable

INSTALL: Final = "Install it: apt-get install wireguard-go."

_LOG_HEAD: Final = re.compile(r"^ERROR: \(\S+\) [\d/]+ [\d:.]+ ")

REASON_DEADLINE: Final = 2.0
"""Seconds for the second run to fail again: it does so at once, or it works after all and is stopped."""


async def start_daemon(command: Sequence[str], name: str, *, deadline: float) -> None:
    """Run `command name` to its end within `deadline` seconds. Raises `Unavailable` (`wireguard_unavailable`)."""
    process = await _spawn(command, name, level="silent", output=DEVNULL)
    try:
        async with asyncio.timeout(deadline):
            status = await process.wait()
    except TimeoutError:
        raise wireguard_unavailable(f"wireguard-go did not make {name} within {deadline:g} s") from None
    finally:
        await _stop(process)
    if status != 0:
        reason = await _reason(command, name) or f"exit status {status}"
        raise wireguard_unavailable(
            f"wireguard-go could not make {name}: {reason}",
            mend="It needs /dev/net/tun and the right to use it (root).",
        )


async def _reason(command: Sequence[str], name: str) -> str:
    """The last line that a run in the foreground says before it fails; empty if it does not fail."""
    process = await _spawn([*command, "-f"], name, level="error", output=PIPE)
    try:
        async with asyncio.timeout(REASON_DEADLINE):
            said, _ = await process.communicate()
    except TimeoutError:
        return ""
    finally:
        await _stop(process)
    lines = said.decode(errors="replace").strip().splitlines()
    return _LOG_HEAD.sub("", lines[-1]) if lines else ""


async def _spawn(command: Sequence[str], name: str, *, level: str, output: int) -> Process:
    try:
        return await asyncio.create_subprocess_exec(
            *command,
            name,
            stdin=DEVNULL,
            stdout=output,
            stderr=STDOUT if output == PIPE else DEVNULL,
            cwd="/",
            env={"PATH": os.defpath, **_passed_on(), "LOG_LEVEL": level},
            # Ctrl-C at the agent's terminal is not meant for it.
            start_new_session=True,
        )
    except FileNotFoundError:
        raise wireguard_unavailable(f"{command[0]} is not installed", mend=INSTALL) from None


def _passed_on() -> dict[str, str]:
    """What of our own environment is meant for it: Go's runtime reads how many processors it may use (GOMAXPROCS) and
    how much memory (GOMEMLIMIT, GOGC)."""
    return {name: os.environ[name] for name in ("PATH", "GOMAXPROCS", "GOMEMLIMIT", "GOGC") if name in os.environ}


async def _stop(process: Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
