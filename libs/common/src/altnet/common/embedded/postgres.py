"""An own Postgres as a child process, for `altnet up` and for tests.

Beside the data lie `<name>.password` (the superuser's, mode 0600), `<name>.log`, `<name>.lock`, the socket's directory
`<name>.run` and, where the server's account cannot reach the wheel, a copy of its binaries. The server listens on its
Unix socket alone, unless it is given a port, and asks everybody for a password.

Leaves out where files may lie (`altnet.common.embedded.postgres_files`), what is done to a data directory while no
server runs on it (`postgres_cluster`), and what is in the databases (`altnet.common.db`).

Invariant: one data directory has one server, and that server has a living parent. The lock file is held as long as the
parent lives; the kernel stops the server when the parent dies; and a server that is left over all the same is stopped
before a new one starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec
from altnet.common.embedded import postgres_cluster as cluster
from altnet.common.embedded import postgres_files as files
from altnet.common.embedded.child import Child
from altnet.common.errors import Conflict, Unavailable
from altnet.common.files import write_private
from altnet.common.settings import Secret

SUPERUSER: Final = "altnet_superuser"

_POLL: Final = 0.005
"""Seconds between two looks at a starting or stopping server; it takes about 50 ms."""
_TAIL: Final = 2000
"""Characters of the server's log that go into an error."""


class PostgresSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the embedded Postgres runs. Times in seconds."""

    account: str | None = None
    """Who runs it where we are root. Unset: the first of altnet, postgres, nobody that exists."""
    binaries: Path | None = None
    """Folder of `postgres` and `initdb`. Unset: the wheel's, else those of PATH or of Debian."""
    start_timeout: float = 60.0
    """Until it is ready; after a crash it replays its log first."""
    stop_timeout: float = 10.0
    """For a fast shutdown, which writes a checkpoint; then for an immediate one; then it is killed."""
    restart_wait: float = 0.5
    """Before another try where it died and did not start: what keeps it from starting may pass, as a full disk does."""
    max_connections: int = 100
    """Ten services' worth of pools; each idle one costs 2 to 5 MB."""
    shared_buffers: str = "64MB"
    """Holds the working set of some thousand relays, on a small machine."""
    durable: bool = True
    """Writes reach the disk before they count. Only tests turn it off."""


class PostgresServer:
    """One Postgres of our own. `async with` starts and stops it.

    `port` opens 127.0.0.1 besides the socket. `fast` gives up durability for tests. `randomness` makes the superuser's
    password when the data are made.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        settings: PostgresSettings | None = None,
        fast: bool = False,
        randomness: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.settings = settings or PostgresSettings()
        self.data_dir = Path(os.path.abspath(data_dir.parent.resolve() / data_dir.name))
        self._durable = self.settings.durable and not fast
        self._tcp_port = port
        self._randomness = randomness
        self._child = Child("Postgres", lock=self._beside(".lock"), in_use=self._in_use, poll=_POLL)
        self._starting = asyncio.Lock()
        self._account: files.Account | None = None
        self._binaries: files.Binaries | None = None
        self._socket_dir: Path | None = None

    # -- what it is ------------------------------------------------------------------------------------------------

    @property
    def host(self) -> str:
        """The directory of the server's socket, which clients take for a host."""
        if self._socket_dir is None:
            raise RuntimeError("the server was never started")
        return str(self._socket_dir)

    @property
    def port(self) -> int:
        """The number in the socket's name, and the TCP port if there is one."""
        return self._tcp_port or 5432

    @property
    def binaries(self) -> files.Binaries:
        """Where `pg_dump` and the other programs of this server's version lie."""
        if self._binaries is None:
            self._binaries = files.find_binaries(self.settings.binaries)
        return self._binaries

    @property
    def running(self) -> bool:
        """Whether our child lives."""
        return self._child.running

    @property
    def pid(self) -> int | None:
        """The postmaster's process id, while it runs."""
        return self._child.pid

    @property
    def log_file(self) -> Path:
        """What the server says: starts, stops, refused logins; neither statements nor their values."""
        return self._beside(".log")

    @property
    def password_file(self) -> Path:
        """Holds the superuser's password; only this process's account may read it."""
        return self._beside(".password")

    @property
    def superuser_dsn(self) -> str:
        """A DSN with the superuser's password, for provisioning and backups."""
        return self.dsn(SUPERUSER, "postgres", password=Secret(self.password_file.read_text().strip()))

    def dsn(self, user: str, database: str, *, password: Secret | None = None) -> str:
        """A connection string that libpq and asyncpg understand, over the socket."""
        login = quote(user, safe="") + (f":{quote(password.reveal(), safe='')}" if password else "")
        return f"postgresql://{login}@/{quote(database, safe='')}?host={quote(self.host, safe='')}&port={self.port}"

    # -- its life --------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> PostgresServer:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Make the data where there are none, stop a server that was left over, start one, wait until it is ready.

        Raises `Invalid` for a directory or account that cannot be used, `Conflict` (`data_dir_in_use`,
        `postgres_version`, `postgres_password_lost`), `Unavailable` (`no_postgres`, `postgres_did_not_start`).
        """
        before, self._child.wanted = self._child.wanted, True
        try:
            await self._start_if_wanted()
        except BaseException:
            self._child.wanted = before
            raise

    async def _start_if_wanted(self) -> None:
        async with self._starting:  # `restart` and `keep_running` may both find it dead
            if self._child.wanted and not self.running:
                await self._start()

    async def _start(self) -> None:
        account = await asyncio.to_thread(self._prepare)
        try:
            await cluster.stop_left_over(self.data_dir, timeout=self.settings.stop_timeout)
            if not (self.data_dir / "PG_VERSION").is_file():
                await asyncio.to_thread(self._initialise, account)
            cluster.check_version(self.data_dir, self.binaries)
            self._check_password()
            self._spawn(account)
            await self._wait_ready()
        except BaseException:
            await self._end(signal.SIGQUIT)
            self._child.release_lock()
            raise

    async def stop(self) -> None:
        """Shut down: open transactions are rolled back, a checkpoint is written, and the lock is given back."""
        self._child.wanted = False
        await self._end(signal.SIGINT)
        async with self._starting:  # `keep_running` may have been starting it
            await self._end(signal.SIGINT)
            self._child.release_lock()

    async def kill(self) -> None:
        """`kill -9`: as a crash. The lock is kept, so that `start` or `restart` can follow."""
        await self._child.end(signal.SIGKILL, timeout=self.settings.stop_timeout)

    async def restart(self) -> None:
        """Stop, if it runs, and start on the same data."""
        await self._end(signal.SIGINT)
        await self.start()

    async def exited(self) -> int:
        """Wait until the child is gone, by whatever cause; returns its exit code."""
        return await self._child.exited()

    async def keep_running(self) -> None:
        """A job: start the server again whenever it dies unasked, until it stays up. Ends with `stop`."""
        await self._child.keep_running(self._start_if_wanted, rest=self.settings.restart_wait, log_file=self.log_file)

    # -- steps -----------------------------------------------------------------------------------------------------

    def _beside(self, ending: str) -> Path:
        return self.data_dir.with_name(self.data_dir.name + ending)

    def _prepare(self) -> files.Account:
        parent = self.data_dir.parent
        self._account = account = files.choose_account(self.settings.account, self.data_dir)
        files.prepare_parent(parent, account)
        self._child.take_lock()
        self._binaries = files.reachable(self.binaries, account, parent)
        self._socket_dir = files.socket_directory(self._beside(".run"), account, self.port)
        return account

    def _in_use(self) -> Conflict:
        return Conflict(
            "data_dir_in_use",
            f"another process of Altnet runs Postgres on {self.data_dir}.",
            mend="Stop it first, or choose another data directory.",
        )

    def _check_password(self) -> None:
        if not self.password_file.is_file():
            raise Conflict(
                "postgres_password_lost",
                f"{self.password_file} is missing, and with it the superuser's password.",
                mend="Restore that file from a backup, or restore a backup of the databases into a new directory.",
            )

    def _initialise(self, account: files.Account) -> None:
        password = Secret(self._randomness(24).hex())
        write_private(self.password_file, password.reveal().encode() + b"\n")
        cluster.initialise(
            self.data_dir,
            binaries=self.binaries,
            account=account,
            superuser=SUPERUSER,
            password=password,
            durable=self._durable,
            timeout=self.settings.start_timeout,
        )

    def _spawn(self, account: files.Account) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.log_file.rename(self._beside(".log.old"))
        options = {
            "unix_socket_directories": self.host,
            "listen_addresses": "127.0.0.1" if self._tcp_port else "",
            "port": str(self.port),
            "max_connections": str(self.settings.max_connections),
            "shared_buffers": self.settings.shared_buffers,
            # In the data directory, so that a kill and a removed directory leave nothing in /dev/shm.
            "dynamic_shared_memory_type": "mmap",
            "password_encryption": "scram-sha-256",
            "jit": "off",  # our statements are short: compiling them would take longer than running them
            "max_worker_processes": "4",
            "autovacuum_max_workers": "2",
            "log_min_messages": "log",  # refused statements are the callers' business, and their texts hold data
            "log_checkpoints": "off",
        }
        if self.binaries.major >= 18:
            options["io_method"] = "sync"  # saves three processes
        if not self._durable:
            options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        command = [str(self.binaries.path("postgres")), "-D", str(self.data_dir)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        self._child.spawn(
            command,
            log_file=self.log_file,
            when_we_die=signal.SIGINT,
            env=cluster.environment(),
            **cluster.identity(account),
        )

    async def _wait_ready(self) -> None:
        pid = self._child.pid
        try:
            async with asyncio.timeout(self.settings.start_timeout):
                while not self._says_ready(pid):
                    if not self.running:
                        raise self._did_not_start(f"it ended with code {self._child.exit_code}")
                    await asyncio.sleep(_POLL)
        except TimeoutError:
            raise self._did_not_start(f"it was not ready after {self.settings.start_timeout} s") from None

    def _says_ready(self, pid: int | None) -> bool:
        """The postmaster writes its state into the eighth line of its pid file (miscinit.h); pg_ctl reads it too."""
        try:
            lines = (self.data_dir / "postmaster.pid").read_text().split("\n")
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"

    def _did_not_start(self, why: str) -> Unavailable:
        said = self.log_file.read_text(errors="replace")[-_TAIL:].strip()
        return Unavailable("postgres_did_not_start", f"Postgres did not start: {why}. It said: {said}")

    async def _end(self, first: signal.Signals) -> None:
        signals = dict.fromkeys((first, signal.SIGQUIT, signal.SIGKILL))
        await self._child.end(*signals, timeout=self.settings.stop_timeout)
