"""BIRD's process: found, started so that it outlives us, adopted, stopped.

BIRD goes into the background by itself once its configuration is read and its control socket is there, so its exit
status is the readiness event. It is not our child afterwards: that it died shows on a control connection.

A BIRD of another network namespace (a container was made anew around the same directory) would say that all is well
and route nothing here: it is none, and the next start ends it.

Leaves out what it is told (config.py) and when it is started again (watch.py). Invariant: no BIRD is touched but the
one whose control socket lies in our directory.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from altnet.common.contracts.routing import Engine
from altnet.common.errors import AltnetError, Invalid
from altnet.common.files import write_private
from altnet.relay_agent.bird.control import BirdRefused, Control, bird_unavailable, connect

OLDEST: Final = (2, 0, 8)
"""Long-lived graceful restart, BFD that begins a graceful restart and custom attributes are in it."""
BEFORE: Final = (3,)
"""The language of BIRD 3 differs; nobody tried it."""
INSTALL: Final = 'apt-get install bird2 (2.0.8 or later), or set `routing = "static"`.'

_VERSION: Final = re.compile(r"BIRD version (\d+)\.(\d+)(?:\.(\d+))?")
_ERROR: Final = re.compile(r"^(?:bird: )?(?P<file>[^:]*):(?P<line>\d+):(?P<column>\d+) (?P<text>.*)$")
_LONGEST_SOCKET: Final = 107
_SOCKETS: Final = Path("/proc/thread-self/net/unix")
"""The sockets that were made in our network namespace, a line each with flags and the path at its end (proc(5))."""
_LISTENS: Final = b"00010000"


@dataclass(frozen=True, kw_only=True)
class Found:
    """Which engine this host can have, and why not the better one."""

    engine: Engine
    version: str = ""
    program: str = ""
    problem: str = ""
    """Why there is no BIRD although it is wanted; empty where all is as set."""


STATIC: Final = Found(engine=Engine.STATIC)


async def find(setting: str, program: str, *, deadline: float) -> Found:
    """The engine for the setting `routing` (auto, bird, static)."""
    if setting == "static":
        return STATIC
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin:/sbin")
    if path is None:
        return _without(f"{program} is not installed")
    try:
        status, said = await _run(path, "--version", deadline=deadline)
    except AltnetError as error:
        return _without(error.detail)
    match = _VERSION.search(said)
    if match is None:
        return _without(f"{path} --version says nothing of BIRD (exit status {status})")
    version = tuple(int(part) for part in match.groups(default="0"))
    text = ".".join(part for part in match.groups() if part is not None)
    if version < OLDEST or version >= BEFORE:
        return _without(f"{path} is BIRD {text}; 2.0.8 up to 2.x is needed")
    return Found(engine=Engine.BIRD, version=text, program=path)


def _without(reason: str) -> Found:
    return Found(engine=Engine.STATIC, problem=f"no BIRD, static direct routes only: {reason}. Mend: {INSTALL}")


class ConfigRefused(Invalid):
    """BIRD does not take a configuration. `line` from 1, 0 where it names none."""

    def __init__(self, line: int, reason: str) -> None:
        where = f"line {line}: " if line else ""
        super().__init__("bird_config_refused", f"BIRD refuses its configuration: {where}{reason}.")
        self.line = line
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class Times:
    """Seconds."""

    ask: float
    start: float
    confirm: int


class Daemon:
    """The BIRD of one directory."""

    def __init__(self, program: str, directory: Path, *, times: Times) -> None:
        self._program = program
        self._times = times
        self.directory = directory
        self.config = directory / "bird.conf"
        self.candidate = directory / "bird.conf.new"
        self.socket = directory / "bird.ctl"
        self.log = directory / "bird.log"
        self._pid = directory / "bird.pid"
        self._ours: tuple[int, int] | None = None
        """The socket that was seen to be of our network namespace: its inode, and when that was changed."""

    def prepare(self) -> None:
        """Make the directory. Raises `Invalid` where its name is too long for a socket's path."""
        if len(os.fsencode(self.socket)) > _LONGEST_SOCKET:
            raise Invalid(
                "bad_setting",
                f"{self.socket} is too long for a socket's path ({_LONGEST_SOCKET} bytes).",
                field="/state_dir",
                mend="Choose a shorter state directory.",
            )
        self.directory.mkdir(mode=0o700, exist_ok=True)

    async def connect(self) -> Control:
        """Raises `Unavailable` (`bird_unavailable`)."""
        control = await self._answering()
        if not self._here():
            control.close()
            raise bird_unavailable(f"the BIRD that answers on {self.socket} is of another network namespace.")
        return control

    async def _answering(self) -> Control:
        """Whoever answers, of whichever namespace."""
        return await connect(self.socket, deadline=self._times.ask)

    def _here(self) -> bool:
        """Whether the socket was made in our network namespace. A path is bound to one file: looked up once for it."""
        try:
            found = self.socket.stat()
            socket = found.st_ino, found.st_ctime_ns
            if socket != self._ours and self._is_listed():
                self._ours = socket
        except OSError:
            return False
        return socket == self._ours

    def _is_listed(self) -> bool:
        """Only a socket that listens counts: the far end of our own connection has its path and our namespace. Where
        nobody tells, it is taken for ours: a BIRD that works is not ended for a doubt."""
        end = b"/" + os.fsencode(self.socket.name)
        try:
            lines = [line.split(maxsplit=7) for line in _SOCKETS.read_bytes().splitlines() if line.endswith(end)]
        except OSError:
            return True
        return any(line[3] == _LISTENS and self._is_at(line[7]) for line in lines)

    def _is_at(self, path: bytes) -> bool:
        """Whether that is our socket, however its directory was named when it was made."""
        with suppress(OSError):
            return self.socket.samefile(os.fsdecode(path))
        return False

    async def running(self) -> bool:
        try:
            (await self.connect()).close()
        except AltnetError:
            return False
        return True

    async def mark(self) -> str | None:
        """The mark of the configuration that runs; None where no BIRD does, empty where it tells none."""
        try:
            async with await self.connect() as control:
                return (await control.ask("eval ALTNET_MARK"))[-1].text.strip()
        except BirdRefused:
            return ""
        except AltnetError:
            return None

    async def check(self, text: str) -> None:
        """Write a configuration beside the one in use and have BIRD read it. Raises `ConfigRefused`, `Unavailable`."""
        self.prepare()
        await asyncio.to_thread(write_private, self.candidate, text.encode())
        try:
            status, said = await _run(self._program, "-p", "-c", str(self.candidate), deadline=self._times.ask)
            if status != 0:
                raise _refused(said)
        except BaseException:
            self.candidate.unlink(missing_ok=True)  # what was not taken must not be taken for what runs
            raise

    async def start(self, *, recover: bool, candidate: bool = True) -> None:
        """Start it with the checked candidate, or with the configuration in use where there is, or shall be, none.

        `recover` keeps the kernel's routes until the neighbours have told theirs. Raises `ConfigRefused`,
        `Unavailable` (`bird_unavailable`).
        """
        self.prepare()
        if candidate:
            self.keep()
        if not self._here():
            await self.stop()  # the one of another namespace; BIRD would not start beside it
        options = ["-c", str(self.config), "-s", str(self.socket), "-P", str(self._pid), *(["-R"] if recover else [])]
        status, said = await _run(self._program, *options, deadline=self._times.start)
        if status != 0:
            if _ERROR.search(said.strip()):
                raise _refused(said)
            raise bird_unavailable(f"BIRD does not start: {said.strip() or f'exit status {status}'}.", mend=INSTALL)
        async with await self.connect():
            pass

    async def configure(self, mark: str, *, reload_routes: bool) -> None:
        """Have the running BIRD take the checked candidate. It goes back by itself unless we confirm.

        `reload_routes`: look again at what neighbours told, because rights have changed. Raises `ConfigRefused`,
        `Unavailable`; the configuration of before runs then, or will within `Times.confirm` seconds.
        """
        try:
            async with await self.connect() as control:
                await self._configure(control, mark)
                if reload_routes:
                    await control.ask('reload in "m*"')
        except BaseException:
            self.candidate.unlink(missing_ok=True)
            raise

    async def _configure(self, control: Control, mark: str) -> None:
        try:
            await control.ask(f'configure "{self.candidate}" timeout {self._times.confirm}')
        except BirdRefused as error:
            raise _refused(error.reason) from None
        if (told := (await control.ask("eval ALTNET_MARK"))[-1].text.strip()) != mark:
            await control.ask("configure undo")
            raise bird_unavailable(f"BIRD runs another configuration than it was given ({told or 'no mark'}).")
        await control.ask("configure confirm")
        self.keep()

    def text(self) -> str:
        """The configuration in use, as it was written; empty if there is none."""
        try:
            return self.config.read_text()
        except (OSError, UnicodeDecodeError):
            return ""

    async def adopt(self) -> None:
        """The checked candidate is what runs already. If whoever gave it died before the look, it stays now."""
        async with await self.connect() as control:
            await control.ask("configure confirm")
        self.keep()

    def keep(self) -> None:
        """The checked candidate is what runs."""
        if self.candidate.exists():
            self.candidate.replace(self.config)

    async def stop(self) -> None:
        """End it. Its routes stay in the kernel. One that does not run is fine."""
        pid = self._process()
        with suppress(AltnetError, TimeoutError, OSError):
            async with await self._answering() as control:
                await control.ask("down")
                async with asyncio.timeout(self._times.ask):
                    await control.gone()
        if pid is not None and not await _ended(pid, within=self._times.ask) and self._process() == pid:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            await _ended(pid, within=self._times.ask)

    def forget(self) -> None:
        """Remove its files."""
        for path in (self.config, self.candidate, self.socket, self._pid, self.log, Path(f"{self.log}.old")):
            path.unlink(missing_ok=True)
        with suppress(OSError):
            self.directory.rmdir()

    def _process(self) -> int | None:
        """Its process, if the pid in its file is still a program that was started with our socket."""
        try:
            pid = int(self._pid.read_text())
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        return pid if os.fsencode(self.socket) in arguments else None


def _refused(said: str) -> ConfigRefused:
    for line in said.strip().splitlines():
        if (match := _ERROR.match(line.strip())) is not None:
            return ConfigRefused(int(match["line"]), match["text"].rstrip(".")[:300])
    return ConfigRefused(0, (said.strip() or "no reason given").rstrip(".")[:300])


async def _ended(pid: int, *, within: float) -> bool:
    """Wait for the end of a process that is not our child."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, ended.set)
    try:
        async with asyncio.timeout(within):
            await ended.wait()
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    return True


async def _run(*command: str, deadline: float) -> tuple[int, str]:
    """Run a program to its end; exit status and what it said. Raises `Unavailable` (`bird_unavailable`)."""
    try:
        # Output goes to a pipe that the background process lets go of, too: BIRD opens /dev/null for itself.
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            cwd="/",
            env={"PATH": os.environ.get("PATH", os.defpath)},
            # Ctrl-C at the agent's terminal is not meant for it.
            start_new_session=True,
        )
    except OSError as error:
        raise bird_unavailable(f"{command[0]} cannot be started: {error.strerror}.", mend=INSTALL) from None
    try:
        async with asyncio.timeout(deadline):
            said, _ = await process.communicate()
    except TimeoutError:
        raise bird_unavailable(f"{' '.join(command[:2])} did not end within {deadline:g} s.") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return process.returncode or 0, said.decode(errors="replace")
