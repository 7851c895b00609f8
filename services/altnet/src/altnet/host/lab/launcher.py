"""Starting long-lived processes in hosts of the lab, and ending exactly those.

A process enters its host's namespace, gets the host's own /run/wireguard (wireguard-go's sockets are per mount
namespace), writes its pid and its start time to a file, and then becomes the program. So there is no moment at which
it runs unrecorded: whoever started it may be killed at any time. Until the record is written it holds the lab's lock.

Invariant: a pid counts only together with its start time, so that a recycled one is never taken for ours.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from altnet.common.errors import Unavailable
from altnet.host.lab import namespaces
from altnet.host.lab.commands import missing
from altnet.host.lab.state import LabFiles
from altnet.host.lab.topology import Host

WIREGUARD_DIR: Final = Path("/run/wireguard")
_FIRST_INHERITED: Final = 3
_LOCK: Final = 9
_ENTER: Final = f"""\
set -e
mount --bind "$1" {WIREGUARD_DIR}
cd "$2"
read -r stat < /proc/$$/stat
record() {{ echo "$1 ${{22}}"; }}
if [ -n "$3" ]; then
  record $stat > "$3.new"
  mv "$3.new" "$3"
fi
exec {_LOCK}>&-
[ -z "$LISTEN_FDS" ] || export LISTEN_PID=$$
shift 3
exec "$@"
"""
"""Runs as the process itself: its pid, hence its record, stays when it becomes the program (`stat` names it `(sh)`, so
its 22nd word is the start time, proc(5))."""


@dataclass(frozen=True)
class Process:
    """A process that was alive when we looked. `started` is in clock ticks since the host's boot."""

    pid: int
    started: int


def enter_argv(host: Host, files: LabFiles, argv: Sequence[str], *, record: str = "") -> list[str]:
    """The command line that runs `argv` as if on that host."""
    directory = str(files.host(host.name))
    enter = ["sh", "-c", _ENTER, "sh", str(files.wireguard(host.name)), directory, record]
    return ["ip", "netns", "exec", host.namespace, *enter, *argv]


def prepare() -> None:
    """Make the directory that every host's own is bound over, as any wireguard-go would; it stays empty."""
    WIREGUARD_DIR.mkdir(mode=0o755, parents=True, exist_ok=True)


def environment(base: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """What a process on a host sees: the caller's environment without what was meant for the caller."""
    own = {name: value for name, value in base.items() if not name.startswith(("ALTNET_", "LISTEN_", "NOTIFY_"))}
    return own | {"PYTHONUNBUFFERED": "1"} | dict(extra)


def start(
    host: Host,
    name: str,
    argv: Sequence[str],
    *,
    files: LabFiles,
    lock: int,
    env: Mapping[str, str],
    inherit: Sequence[int] = (),
) -> Process:
    """Start a process on a host; `inherit` are descriptors it finds from 3 on (LISTEN_FDS). The caller holds the lock.

    Raises `Unavailable` (`process_not_started`) with the last lines of its log.
    """
    files.make_host(host.name)
    record = record_file(files, host.name, name)
    record.unlink(missing_ok=True)
    log = log_file(files, host.name, name)
    listening = {"LISTEN_FDS": str(len(inherit))} if inherit else {}
    program = shutil.which("ip")
    if program is None:
        raise missing(["ip"])
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    # Moved out of the way first, so that no target number is a descriptor still to be copied.
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _LOCK + 1) for fd in (*inherit, lock)]
    try:
        actions += [(os.POSIX_SPAWN_DUP2, fd, _FIRST_INHERITED + i) for i, fd in enumerate(high[:-1])]
        actions.append((os.POSIX_SPAWN_DUP2, high[-1], _LOCK))
        pid = os.posix_spawn(
            program,
            enter_argv(host, files, argv, record=str(record)),
            dict(env) | listening,
            file_actions=actions,
            setsid=True,
            setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM],
            setsigmask=[],
        )
    finally:
        for fd in high:
            os.close(fd)
    return _await_record(record, pid, log, timeout=files.settings.command_timeout)


def find(files: LabFiles, host: str, name: str) -> Process | None:
    """The process as recorded, if it is alive."""
    try:
        pid, started = (int(word) for word in record_file(files, host, name).read_text().split())
    except (FileNotFoundError, ValueError):
        return None
    return Process(pid, started) if start_time(pid) == started else None


def end(process: Process, *, sign: signal.Signals, timeout: float) -> bool:
    """Signal a process and wait until it is gone; False if it was already. Raises `Unavailable` (`process_hangs`)."""
    with namespaces.opened_process(process.pid) as handle:
        if handle is None or start_time(process.pid) != process.started:
            return False
        try:
            signal.pidfd_send_signal(handle, sign)
        except ProcessLookupError:
            return False
        namespaces.wait_gone(handle, process.pid, timeout=timeout)
    return True


def start_time(pid: int) -> int | None:
    """In clock ticks since boot (proc(5), field 22); None if there is no such process, or only a zombie of it."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    if fields[0] in "ZX":
        _reap(pid)
        return None
    return int(fields[19])


def command_name(pid: int) -> str:
    """The program's name as the kernel knows it (at most 15 characters); empty if there is no such process."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def record_file(files: LabFiles, host: str, name: str) -> Path:
    return files.host(host) / f"{name}.pid"


def log_file(files: LabFiles, host: str, name: str) -> Path:
    return files.host(host) / f"{name}.log"


def last_words(log: Path, lines: int = 5) -> str:
    """The end of a log, to explain a failure."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.strip().splitlines()[-lines:])


def _await_record(record: Path, pid: int, log: Path, *, timeout: float) -> Process:
    deadline = time.monotonic() + timeout
    while not record.exists():
        if start_time(pid) is None or time.monotonic() > deadline:
            raise Unavailable(
                "process_not_started", f"process {record.stem} of {record.parent.name} did not start: {last_words(log)}"
            )
        time.sleep(0.001)  # a file has no event here; the record comes within about 5 ms
    started = start_time(pid)
    if started is None:
        raise Unavailable(
            "process_not_started", f"process {record.stem} of {record.parent.name} ended at once: {last_words(log)}"
        )
    return Process(pid, started)


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return  # somebody else's child
