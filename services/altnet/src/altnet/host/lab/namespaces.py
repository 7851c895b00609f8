"""Network namespaces from within: enter one, list a lab's, find the processes that live there.

Entering is done per thread by setns(2) (Python has it from 3.12 on, hence ctypes), so that sockets, sysctls and
questions cost microseconds and no process. Leaves out everything about addresses and links.

Invariant: a process is only ever signalled through a pidfd that was opened before its identity was checked, so a
recycled pid is never hit.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import re
import select
import signal
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from altnet.common.errors import Unavailable

NAMESPACES: Final = Path("/run/netns")
_CLONE_NEWNET: Final = 0x40000000
_NS_GET_NSTYPE: Final = 0xB703
_HOST: Final = r"(?:control|(?:router|relay|nat|client)\d{1,6})"
_libc = ctypes.CDLL(None, use_errno=True)


def path_of(namespace: str) -> Path:
    return NAMESPACES / namespace


def of_lab(prefix: str) -> set[str]:
    """Names of all namespaces that a lab with this prefix may have made, also broken ones."""
    shape = re.compile(rf"^{re.escape(prefix)}-{_HOST}$")
    try:
        return {name for name in os.listdir(NAMESPACES) if shape.match(name)}
    except FileNotFoundError:
        return set()


def is_live(namespace: str) -> bool:
    """False if there is none, or only the empty file that a killed `ip netns add` leaves."""
    try:
        with _opened(namespace) as fd:
            return fcntl.ioctl(fd, _NS_GET_NSTYPE) == _CLONE_NEWNET
    except OSError:
        return False


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Run the block with this thread in the namespace. Raises `Unavailable` (`no_namespace`)."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            with _opened(namespace) as fd:
                _setns(fd)
        except OSError as error:
            raise Unavailable(
                "no_namespace",
                f"the namespace {namespace} cannot be entered: {error.strerror}.",
                mend="`altnet lab up` repairs the lab.",
            ) from error
        try:
            yield
        finally:
            _setns(home)
    finally:
        os.close(home)


def interfaces(namespace: str) -> set[str]:
    """Names of the interfaces in it."""
    with inside(namespace):
        return {name for _, name in socket.if_nameindex()}


def write_sysctls(namespace: str, values: Mapping[str, str]) -> None:
    """Paths below /proc/sys, which show the namespace of whoever opens them."""
    with inside(namespace):
        for path, value in values.items():
            Path("/proc/sys", path).write_text(value)


def processes(namespaces: Iterable[str]) -> dict[int, str]:
    """Pid to namespace of every process that lives in one of these; one walk over /proc whatever their number."""
    return _walk(namespaces)[0]


def _walk(namespaces: Iterable[str]) -> tuple[dict[int, str], set[int]]:
    """The same, and those that ended during the walk or before, and may have left a child that the walk missed."""
    inodes: dict[int, str] = {}
    for name in namespaces:
        with contextlib.suppress(FileNotFoundError):
            inodes[os.stat(path_of(name)).st_ino] = name
    found: dict[int, str] = {}
    ended: set[int] = set()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            home = _home(int(entry), inodes)
            if home is not None:
                found[int(entry)] = home
            elif not os.path.exists(f"/proc/{entry}/ns/net"):
                ended.add(int(entry))
    return found, ended


def kill_all(namespaces: Iterable[str], *, timeout: float) -> int:
    """SIGKILL everything in these namespaces, also what is born meanwhile; returns how many were hit.

    Raises `Unavailable` (`process_hangs`) when one is still there after `timeout` seconds.
    """
    names = tuple(namespaces)
    inodes = {os.stat(path_of(name)).st_ino: name for name in names if path_of(name).exists()}
    hit = 0
    deadline = time.monotonic() + timeout
    zombies: set[int] | None = None
    while True:
        found, ended = _walk(names)
        # A daemon that puts itself into the background is one process less and one more: BIRD got away by that once.
        if not found and zombies is not None and (ended <= zombies or time.monotonic() > deadline):
            return hit
        zombies = ended
        for pid in found:
            with opened_process(pid) as handle:
                if handle is None or _home(pid, inodes) is None:
                    continue
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                    hit += 1
                wait_gone(handle, pid, timeout=timeout)


@contextlib.contextmanager
def opened_process(pid: int) -> Iterator[int | None]:
    """A pidfd of the process that has this pid now; None if there is none."""
    try:
        handle = os.pidfd_open(pid)
    except OSError as error:
        if error.errno not in (errno.ESRCH, errno.EINVAL):
            raise
        yield None
        return
    try:
        yield handle
    finally:
        os.close(handle)


def wait_gone(handle: int, pid: int, *, timeout: float) -> None:
    """Wait until the process of a pidfd has ended, and reap it if it is our child. Raises `Unavailable`."""
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    if not poll.poll(timeout * 1000):
        raise Unavailable(
            "process_hangs",
            f"process {pid} is still there {timeout:g} s after its signal.",
            mend=f"See what it waits for: cat /proc/{pid}/wchan",
        )
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _home(pid: int, inodes: Mapping[int, str]) -> str | None:
    try:
        # The main thread's namespace: a thread of another program may only visit.
        inode = os.stat(f"/proc/{pid}/ns/net").st_ino
        return inodes.get(inode) if pid != os.getpid() else None
    except OSError:
        return None  # it ended, or is a zombie


@contextlib.contextmanager
def _opened(namespace: str) -> Iterator[int]:
    fd = os.open(path_of(namespace), os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _setns(fd: int) -> None:
    if _libc.setns(fd, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
