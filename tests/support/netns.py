"""Network namespaces for tests, and the rule for tests that need a kernel with WireGuard.

Every namespace is called `t<pid>-<number>-<label>`, belongs to the test process of that pid, and goes at the end of
the test with every process in it. What a killed run left behind is swept at the start of the next one. Nothing outside
these namespaces is touched.

Tests marked `kernel_wg` are deselected, with a line in the summary, where the kernel has no WireGuard: they run in a
virtual machine by `deploy/kernelvm/run`.
"""

from __future__ import annotations

import ctypes
import fcntl
import itertools
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

NAMESPACES = Path("/run/netns")
_NAME = re.compile(r"^t(\d+)-\d+")
_CLONE_NEWNET = 0x40000000
_MS_BIND, _MS_REC, _MS_SHARED, _MNT_DETACH = 0x1000, 0x4000, 0x100000, 2
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1
_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count(1)
_BIND_SOCKETS = 'mkdir -p /var/run/wireguard && mount --bind "$0" /var/run/wireguard && exec "$@"'


@dataclass(frozen=True)
class Namespace:
    """A network namespace with `lo` up, and a directory of its own for wireguard-go's sockets."""

    name: str
    sockets: Path

    def run(self, *command: str, check: bool = True) -> str:
        """Run a command inside to its end (30 s at most); returns its output."""
        done = subprocess.run(
            [*self.command, *command], check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30
        )
        if check and done.returncode:
            raise AssertionError(f"{self.name}: {' '.join(command)}: {done.stdout}{done.stderr}")
        return done.stdout

    @property
    def command(self) -> tuple[str, ...]:
        """What to put before a command to run it inside."""
        return ("ip", "netns", "exec", self.name)

    @property
    def wireguard_go(self) -> tuple[str, ...]:
        """Starts wireguard-go inside, its sockets in `sockets`: equal interface names in two namespaces do not meet."""
        return (*self.command, "sh", "-c", _BIND_SOCKETS, str(self.sockets), "wireguard-go")

    @property
    def wg(self) -> tuple[str, ...]:
        """Starts wg(8) inside, looking at the same sockets."""
        return (*self.command, "sh", "-c", _BIND_SOCKETS, str(self.sockets), "wg")

    @contextmanager
    def entered(self) -> Iterator[None]:
        """The calling thread is inside: sockets that it opens and processes that it starts belong to the namespace."""
        old = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            new = os.open(NAMESPACES / self.name, os.O_RDONLY | os.O_CLOEXEC)
            try:
                _setns(new)
            finally:
                os.close(new)
            try:
                yield
            finally:
                _setns(old)
        finally:
            os.close(old)


NamespaceFactory = Callable[..., Namespace]


@contextmanager
def namespaces() -> Iterator[NamespaceFactory]:
    """A factory of namespaces, all of which go at the end. `make("alice")`."""
    made: list[Namespace] = []

    def make(label: str = "") -> Namespace:
        name = f"t{os.getpid()}-{next(_numbers)}" + (f"-{label}" if label else "")
        sockets = Path(tempfile.mkdtemp(prefix=f"{name}-", dir="/tmp"))
        namespace = Namespace(name, sockets)
        made.append(namespace)
        _add(name)
        return namespace

    try:
        yield make
    finally:
        for namespace in reversed(made):
            _remove(namespace.name)
            shutil.rmtree(namespace.sockets, ignore_errors=True)


def sweep() -> None:
    """Remove the namespaces of test processes that are dead."""
    for entry in NAMESPACES.iterdir() if NAMESPACES.is_dir() else ():
        match = _NAME.match(entry.name)
        if match and not Path(f"/proc/{match[1]}").exists():
            _remove(entry.name)
            for leftover in Path("/tmp").glob(f"{entry.name}-*"):
                shutil.rmtree(leftover, ignore_errors=True)


def connect(one: Namespace, other: Namespace, *, prefix: str, device: str = "eth0", mtu: int = 1500) -> None:
    """A veth pair between two namespaces: `<prefix>1` at the one, `<prefix>2` at the other, /64 each."""
    one.run("ip", "link", "add", device, "mtu", str(mtu), "type", "veth", "peer", "name", device, "netns", other.name)
    for end, number in ((one, 1), (other, 2)):
        end.run("ip", "addr", "add", f"{prefix}{number}/64", "dev", device, "nodad")
        end.run("ip", "link", "set", device, "up")


@pytest.fixture(scope="session")
def _swept() -> None:
    sweep()


@pytest.fixture
def netns_factory(_swept: None) -> Iterator[NamespaceFactory]:
    """Makes namespaces for one test: `netns_factory("alice") -> Namespace`."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    with namespaces() as make:
        yield make


@pytest.fixture
def inside_netns(netns_factory: NamespaceFactory) -> Iterator[Namespace]:
    """The whole test runs inside a fresh namespace, as the agent does on its host."""
    namespace = netns_factory()
    with namespace.entered():
        yield namespace


def kernel_has_wireguard() -> bool:
    """Tried in a namespace that is gone at once."""
    probe = ["unshare", "--net", "ip", "link", "add", "probe", "type", "wireguard"]
    return os.geteuid() == 0 and subprocess.run(probe, check=False, capture_output=True, timeout=30).returncode == 0


_deselected = pytest.StashKey[int]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    needy = [item for item in items if item.get_closest_marker("kernel_wg")]
    if needy and not kernel_has_wireguard():
        config.stash[_deselected] = len(needy)
        items[:] = [item for item in items if item not in needy]
        config.hook.pytest_deselected(items=needy)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    count = config.stash.get(_deselected, 0)
    if count:
        terminalreporter.write_line(
            f"{count} kernel_wg tests were left out: this kernel has no WireGuard. `make test-kernel-wg` runs them.",
            yellow=True,
        )


def _add(name: str) -> None:
    """What `ip netns add` does, and lo up. System calls, because starting ip(8) under emulation takes a sixth of a
    second, and a test makes a namespace or two.
    """
    NAMESPACES.mkdir(exist_ok=True)
    mounts = str(NAMESPACES).encode()
    # Shared, so that deleting a namespace reaches the mount namespaces of the processes in it.
    if _libc.mount(b"", mounts, b"none", _MS_SHARED | _MS_REC, None):
        _call("mount", mounts, mounts, b"none", _MS_BIND | _MS_REC, None)
        _call("mount", b"", mounts, b"none", _MS_SHARED | _MS_REC, None)
    path = NAMESPACES / name
    path.touch(0o444, exist_ok=False)
    old = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call("unshare", _CLONE_NEWNET)
        try:
            _call("mount", b"/proc/thread-self/ns/net", str(path).encode(), b"none", _MS_BIND, None)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", _IFF_UP))
        finally:
            _setns(old)
    finally:
        os.close(old)


def _setns(descriptor: int) -> None:
    _call("setns", descriptor, _CLONE_NEWNET)


def _call(name: str, *arguments: bytes | int | None) -> None:
    """A system call by its C function. Raises `OSError`."""
    if getattr(_libc, name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _remove(name: str) -> None:
    """End every process in a namespace, by its pid, and delete the namespace."""
    for pid in processes(name):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while processes(name) and time.monotonic() < deadline:
        time.sleep(0.01)
    path = NAMESPACES / name
    if path.exists():
        _call("umount2", str(path).encode(), _MNT_DETACH)
        path.unlink()


def processes(name: str) -> list[int]:
    """The processes in a namespace other than ours."""
    try:
        wanted = (NAMESPACES / name).stat()
    except FileNotFoundError:
        return []
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            # Processes end while we look.
            with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                here = (entry / "ns/net").stat()
                if (here.st_dev, here.st_ino) == (wanted.st_dev, wanted.st_ino):
                    found.append(int(entry.name))
    return found
