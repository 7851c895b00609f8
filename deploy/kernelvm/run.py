"""Run tests inside a throw-away virtual machine whose kernel has WireGuard.

    .venv/bin/python deploy/kernelvm/run.py [arguments for pytest]

Without arguments: the shared tests of the kernel seam, on the kernel's WireGuard. The machine boots Debian's cloud
kernel from an initramfs that holds this Python, the packages that the tests need and a copy of our sources; no disk, no
network, no root on this side. It works without KVM (then it is emulated, and about ten times slower than the host).

Exit status is pytest's in the guest; 98: something is missing here, 99: the guest did not report.
What was downloaded and built is kept in $ALTNET_CACHE (default ~/.cache/altnet), under kernelvm/.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import re
import shlex
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("ALTNET_CACHE") or Path.home() / ".cache" / "altnet") / "kernelvm"
BOOT_DEADLINE = int(os.environ.get("ALTNET_KERNELVM_TIMEOUT", "900"))
"""Seconds for the whole run: one or two minutes under emulation, many on a machine that is busy with other things."""
SILENCE_DEADLINE = 10
"""Seconds to the guest's first word of a machine on KVM: some hosts only seem to have it, and stop at the firmware."""
FIRMWARE = ("SeaBIOS", "Booting from")
MEMORY = "1024"
"""MiB: the initramfs lies in it twice while it is unpacked."""

KERNEL = "linux-image-cloud-amd64"
MODULES = ("wireguard", "veth", "dummy", "vxlan", "ip6_gre", "sch_netem", "bridge")
PROGRAMS = ("ip", "wg", "tc", "setpriv")
PACKAGES = (
    "pytest", "pytest-asyncio", "pytest-timeout", "hypothesis", "looptime", "msgspec", "cryptography",
    "nats-py", "nkeys", "noiseprotocol", "prometheus-client", "structlog",
)  # fmt: skip
"""What the tests and an agent run on."""
STDLIB_LEFT_OUT = {
    "site-packages", "dist-packages", "test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3",
    "distutils", "pydoc_data",
}  # fmt: skip
SOURCES = (
    "pyproject.toml",
    "libs/common/src",
    "services/relay-agent/src",
    "libs/common/tests/kernel",
    "services/relay-agent/tests/test_rotation_netns.py",
    "tests/support/__init__.py",
    "tests/support/netns.py",
    "tests/support/hosts.py",
    "tests/support/prober.py",
    "tests/support/relays.py",
    "tests/support/sites.py",
)
PLUGINS = 'pytest_plugins = ["support.netns", "support.sites"]'
DEFAULT_ARGUMENTS = (
    "-q", "-m", "netns", "-k", "not wireguard-go and not daemon and not without_the_right",
    "libs/common/tests/kernel",
)  # fmt: skip
"""What is about a real kernel, and not about wireguard-go, which the guest does not have."""


class Missing(Exception):
    """Something that this machine lacks; the text says how to get it."""


class Archive:
    """A cpio archive in the "newc" form that the kernel unpacks (its Documentation/driver-api/early-userspace)."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._seen: set[str] = set()
        self._inode = 0

    def add(self, source: Path, target: str) -> None:
        """A file, a symbolic link, or a directory with all that is in it; missing parents are made."""
        details = source.lstat()
        if stat.S_ISDIR(details.st_mode):
            self.directory(target)
            for entry in sorted(source.iterdir()):
                # Python keeps compiled files for -O and -OO too, which nobody asks for here.
                if ".opt-" not in entry.name:
                    self.add(entry, f"{target}/{entry.name}")
        elif stat.S_ISLNK(details.st_mode):
            self._entry(target, details.st_mode, os.readlink(source).encode(), int(details.st_mtime))
        elif stat.S_ISREG(details.st_mode):
            self._entry(target, details.st_mode, source.read_bytes(), int(details.st_mtime))

    def write(self, target: str, content: str | bytes, *, mode: int = 0o644) -> None:
        data = content.encode() if isinstance(content, str) else content
        self._entry(target, stat.S_IFREG | mode, data, 0)

    def directory(self, target: str) -> None:
        self._entry(target, stat.S_IFDIR | 0o755, b"", 0)

    def close(self) -> None:
        self._raw("TRAILER!!!", 0, b"", 0)

    def _entry(self, target: str, mode: int, data: bytes, modified: int) -> None:
        path = target.strip("/")
        if not path or path in self._seen:
            return
        parent = os.path.dirname(path)
        if parent:
            self.directory(parent)
        self._seen.add(path)
        self._raw(path, mode, data, modified)

    def _raw(self, path: str, mode: int, data: bytes, modified: int) -> None:
        self._inode += 1
        name = path.encode() + b"\0"
        fields = (self._inode, mode, 0, 0, 1, modified, len(data), 0, 0, 0, 0, len(name), 0)
        head = b"070701" + b"".join(b"%08x" % field for field in fields) + name
        self._file.write(head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4))


def main(arguments: list[str]) -> int:
    if platform.machine() != "x86_64":
        raise Missing(f"the virtual machine is for x86_64 only, and this is {platform.machine()}.")
    qemu = program("qemu-system-x86_64")
    CACHE.mkdir(parents=True, exist_ok=True)
    kernel, modules = fetch_kernel()
    base = build_base(modules)
    with tempfile.TemporaryDirectory(prefix="altnet-kernelvm-") as scratch:
        image = Path(scratch) / "initramfs"
        # The kernel unpacks archives one after the other: what seldom changes is built once and kept.
        with image.open("wb") as file, base.open("rb") as kept:
            shutil.copyfileobj(kept, file)
            add_sources(file, arguments or list(DEFAULT_ARGUMENTS))
        return boot(qemu, kernel, image)


def program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/bin:/bin")
    if found is None:
        raise Missing(
            f"{name} is not installed: apt-get install --no-install-recommends $(cat deploy/packages/test.txt)"
        )
    return found


def fetch_kernel() -> tuple[Path, Path]:
    """The kernel image and its modules' directory: downloaded once, unpacked, never installed."""
    home = CACHE / "kernel"
    if not home.exists():
        depends = subprocess.run(["apt-cache", "depends", KERNEL], check=False, capture_output=True, text=True).stdout
        package = re.search(r"Depends: (linux-image-\S+)", depends)
        if package is None:
            raise Missing(f"the package {KERNEL} is not known here: apt-get update")
        unpack(package[1], home)
    version = next((home / "lib/modules").iterdir()).name
    modules = home / "lib/modules" / version
    if not (modules / "modules.dep").exists():
        subprocess.run([program("depmod"), "-b", home, version], check=True)
    return home / "boot" / f"vmlinuz-{version}", modules


def unpack(package: str, home: Path) -> None:
    """Download a Debian package and unpack it to `home`, whole or not at all."""
    with tempfile.TemporaryDirectory(prefix="download-", dir=CACHE) as scratch:
        print(f"kernelvm: downloading {package}", flush=True)
        quiet = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package]
        if subprocess.run(quiet, cwd=scratch, check=False, stdout=subprocess.DEVNULL).returncode:
            raise Missing(f"the package {package} could not be downloaded: apt-get update, and look at the network")
        (file,) = Path(scratch).glob("*.deb")
        whole = Path(scratch) / "whole"
        subprocess.run(["dpkg-deb", "-x", file, whole], check=True)
        whole.rename(home)


def busybox() -> Path:
    found = shutil.which("busybox")
    if found is not None and not libraries([Path(found)]):
        return Path(found)
    home = CACHE / "busybox"
    if not home.exists():
        unpack("busybox-static", home)
    return home / "bin" / "busybox"


def build_base(modules: Path) -> Path:
    """The part of the image that is not ours: built anew when one of its parts changes."""
    packages = sorted(distributions(PACKAGES), key=lambda package: package.name)
    parts = [Path(__file__).read_text(), modules.name, sys.version, sys.base_prefix]
    parts += [f"{package.name}=={package.version}" for package in packages]
    image = CACHE / f"base-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:16]}.cpio"
    if image.exists():
        return image
    print("kernelvm: building the image", flush=True)
    with tempfile.NamedTemporaryFile(dir=CACHE, prefix="base-", delete=False) as file:
        archive = Archive(file)
        for name in ("dev", "proc", "sys", "run/netns", "tmp", "root", "etc", "bin"):
            archive.directory(name)
        archive.add(busybox(), "busybox")
        needed = [Path(program(name)).resolve() for name in PROGRAMS]
        for name, path in zip(PROGRAMS, needed, strict=True):
            archive.add(path, f"programs/{name}")
        add_modules(archive, modules)
        python = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
        archive.add(python, str(python))
        needed.append(python)
        needed += add_stdlib(archive, Path(sysconfig.get_path("stdlib")))
        needed += add_packages(archive, packages)
        for library in libraries(needed):
            archive.add(library.resolve(), str(library))
        archive.write("python", str(python))
        archive.close()
    for old in CACHE.glob("base-*.cpio"):
        old.unlink()
    Path(file.name).rename(image)
    return image


def add_modules(archive: Archive, modules: Path) -> None:
    """The wanted modules with all that they need, and the order to load them in."""
    needs: dict[str, list[str]] = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        path, _, below = line.partition(":")
        needs[path] = below.split()
    by_name = {Path(path).name.split(".")[0].replace("-", "_"): path for path in needs}
    order: list[str] = []
    for name in MODULES:
        # modules.dep names what is needed last first.
        for path in [*reversed(needs[by_name[name]]), by_name[name]]:
            if path not in order:
                order.append(path)
                archive.add(modules / path, f"modules/{Path(path).name}")
    archive.write("modules/order", "".join(f"{Path(path).name}\n" for path in order))


def add_stdlib(archive: Archive, stdlib: Path) -> Iterator[Path]:
    archive.directory(str(stdlib))
    for entry in sorted(stdlib.iterdir()):
        if entry.name not in STDLIB_LEFT_OUT and not entry.name.startswith("config-"):
            archive.add(entry, str(entry))
    yield from (path for path in (stdlib / "lib-dynload").glob("*.so") if not path.name.startswith("_tkinter"))


def distributions(names: Iterable[str]) -> Iterator[importlib.metadata.Distribution]:
    """The installed distributions of these names, and those that they require."""
    waiting, seen = list(names), set()
    while waiting:
        name = re.split(r"[^A-Za-z0-9._-]", waiting.pop())[0].lower().replace("_", "-")
        if name in seen:
            continue
        seen.add(name)
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # needed on other systems or Pythons only; what is really missing the guest's pytest will say
        yield found
        waiting += [need for need in found.requires or () if "extra ==" not in need]


def add_packages(archive: Archive, packages: Iterable[importlib.metadata.Distribution]) -> Iterator[Path]:
    for package in packages:
        for file in package.files or ():
            source = Path(str(package.locate_file(file)))
            if ".." not in file.parts and source.exists():
                archive.add(source, f"packages/{file}")
                if ".so" in source.suffixes:
                    yield source


def libraries(programs: Iterable[Path]) -> list[Path]:
    """The shared libraries that programs and libraries are linked with, the loader among them."""
    found: set[str] = set()
    for path in programs:
        listed = subprocess.run(["ldd", path], check=False, capture_output=True, text=True).stdout
        found |= set(re.findall(r"(/\S+\.so\S*)", listed))
    return [Path(path) for path in sorted(found)]


def add_sources(file: BinaryIO, arguments: list[str]) -> None:
    archive = Archive(file)
    for name in SOURCES:
        if (ROOT / name).exists():
            archive.add(ROOT / name, f"altnet/{name}")
    # Servers of other tests are not in the guest.
    conftest = re.sub(r"^pytest_plugins = .*$", PLUGINS, (ROOT / "conftest.py").read_text(), flags=re.MULTILINE)
    archive.write("altnet/conftest.py", conftest)
    archive.write("arguments", shlex.join(arguments))
    archive.add(Path(__file__).with_name("init"), "init")
    archive.close()


def boot(qemu: str, kernel: Path, image: Path) -> int:
    """Run the machine, by KVM where that works; returns the exit status of pytest in the guest."""
    if os.access("/dev/kvm", os.R_OK | os.W_OK):
        status, spoke = run(qemu, kernel, image, "kvm")
        if spoke:
            return 99 if status is None else status
        # Some hosts have the device and cannot use it: nested, or without the right processor.
    status, _ = run(qemu, kernel, image, "tcg,thread=multi")
    if status is None:
        print(f"kernelvm: the guest did not report within {BOOT_DEADLINE} s.", file=sys.stderr)
        return 99
    return status


def run(qemu: str, kernel: Path, image: Path, accelerator: str) -> tuple[int | None, bool]:
    """The status that the guest reported, and whether the guest said anything at all."""
    processor = "max" if accelerator == "kvm" else "qemu64"
    command = [
        qemu, "-machine", "q35", "-cpu", processor, "-accel", accelerator, "-smp", "2", "-m", MEMORY,
        "-nodefaults", "-nographic", "-no-reboot", "-serial", "stdio",
        "-kernel", str(kernel), "-initrd", str(image), "-append", "console=ttyS0 quiet panic=-1",
    ]  # fmt: skip
    # The machine ends with us, however we end.
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", *command],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    deadline = threading.Timer(SILENCE_DEADLINE if accelerator == "kvm" else BOOT_DEADLINE, process.kill)
    deadline.start()
    status, spoke = None, False
    try:
        for raw in process.stdout:
            # Firmware and serial line add escape sequences and carriage returns.
            line = re.sub(r"\x1b[^a-zA-Z]*[a-zA-Z]", "", raw.decode(errors="replace")).replace("\r", "").rstrip("\n")
            reported = re.search(r"GUEST-EXIT (\d+)$", line)
            firmware = line.startswith(FIRMWARE)  # it may speak where the kernel after it never does
            if reported:
                status = int(reported[1])
            elif line and not firmware and not spoke and accelerator == "kvm":
                deadline.cancel()
                deadline = threading.Timer(BOOT_DEADLINE, process.kill)
                deadline.start()
            if line and not reported:
                spoke = spoke or not firmware
                print(line, flush=True)
    finally:
        deadline.cancel()
        process.kill()
        process.wait()
    return status, spoke or status is not None


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Missing as missing:
        print(f"kernelvm: {missing}", file=sys.stderr)
        sys.exit(98)
