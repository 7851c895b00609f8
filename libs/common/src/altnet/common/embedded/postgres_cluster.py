"""A Postgres data directory while no server of ours runs on it: made, checked, cleared of what a crash left.

Leaves out the server's life (`altnet.common.embedded.postgres`). Whoever calls holds the data directory's lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Final, TypedDict

from altnet.common import log
from altnet.common.embedded.postgres_files import Account, Binaries, make_owned_directory
from altnet.common.errors import Conflict, Unavailable
from altnet.common.settings import Secret

_LOG: Final = log.get(__name__)
_POLL: Final = 0.005
"""Seconds between two looks at processes that are ending."""
_TAIL: Final = 2000
"""Characters of initdb's complaint that go into an error."""


class Identity(TypedDict, total=False):
    """Popen's way to say who runs a child."""

    user: int
    group: int
    extra_groups: list[int]


def identity(account: Account) -> Identity:
    """Nothing where we are that account already."""
    return {} if account.is_ours else {"user": account.uid, "group": account.gid, "extra_groups": []}


def environment() -> dict[str, str]:
    """Nothing of ours is the server's business; PATH lets initdb find a shell."""
    return {"LANG": "C", "TZ": "UTC", "PATH": os.defpath}


def initialise(
    data_dir: Path,
    *,
    binaries: Binaries,
    account: Account,
    superuser: str,
    password: Secret,
    durable: bool,
    timeout: float,
) -> None:
    """initdb beside the final place, then rename: a crash in between leaves nothing that looks like data.

    `timeout` is in seconds. Raises `Unavailable` (`postgres_did_not_start`).
    """
    unfinished = data_dir.with_name(f"{data_dir.name}.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    make_owned_directory(unfinished, account)
    with tempfile.NamedTemporaryFile("w", dir=data_dir.parent, prefix=".initdb-") as handed:
        handed.write(password.reveal())
        handed.flush()
        if not account.is_ours:
            os.chown(handed.name, account.uid, account.gid)
        command = [str(binaries.path("initdb")), "-D", str(unfinished), f"--username={superuser}"]
        command += [f"--pwfile={handed.name}", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]
        command += ["--no-instructions"] + ([] if durable else ["--no-sync"])
        try:
            made = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
                cwd="/",
                env=environment(),
                **identity(account),
            )
        except (subprocess.TimeoutExpired, OSError) as error:
            raise Unavailable("postgres_did_not_start", f"initdb did not run: {error}") from error
    if made.returncode != 0:
        raise Unavailable("postgres_did_not_start", f"initdb failed: {made.stderr[-_TAIL:].strip()}")
    unfinished.rename(data_dir)


def check_version(data_dir: Path, binaries: Binaries) -> None:
    """Raises `Conflict` (`postgres_version`) where the data were written by another major version."""
    written = (data_dir / "PG_VERSION").read_text().strip()
    if written != str(binaries.major):
        raise Conflict(
            "postgres_version",
            f"{data_dir} was written by Postgres {written}, and the binaries found are {binaries.version}.",
            mend=f"Install Postgres {written}, or take a backup with it and restore it into a new data directory.",
        )


async def stop_left_over(data_dir: Path, *, timeout: float) -> None:
    """Stop the server of a parent that died, and backends that outlived their postmaster; remove a stale pid file.

    `timeout` (seconds) is for each of the signals SIGINT, SIGQUIT and SIGKILL. Raises `Unavailable`
    (`postgres_did_not_start`).
    """
    pid_file = data_dir / "postmaster.pid"
    left = _processes_in(data_dir)
    for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        if not left:
            break
        # Backends alone are a postmaster's last breath: it is dead, and they notice by themselves.
        for pid in left if how is signal.SIGKILL else {_first_number(pid_file)} & left:
            _LOG.warning("a Postgres was left over and is stopped", pid=pid, signal=how.name)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, how)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while left:
                    await asyncio.sleep(_POLL)
                    left = _processes_in(data_dir)
    if left:
        raise Unavailable("postgres_did_not_start", f"processes {sorted(left)} on {data_dir} do not end.")
    # Nobody is there, so a pid file is stale; its number may by now be some other process's, which would keep
    # Postgres from starting.
    pid_file.unlink(missing_ok=True)


def _processes_in(data_dir: Path) -> set[int]:
    """Servers whose working directory is the data directory: a postmaster and its children."""
    try:
        wanted = data_dir.stat()
    except FileNotFoundError:
        return set()
    found = set()
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it ended while we looked, or is none of our business
                there = os.stat(f"/proc/{entry.name}/cwd")
                if (there.st_dev, there.st_ino) == (wanted.st_dev, wanted.st_ino) and _is_postgres(entry.name):
                    found.add(int(entry.name))
    return found


def _is_postgres(pid: str) -> bool:
    """An operator's shell may stand in the data directory too."""
    return Path(f"/proc/{pid}/comm").read_text().strip() in ("postgres", "postmaster")


def _first_number(path: Path) -> int:
    try:
        return int(path.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return 0
