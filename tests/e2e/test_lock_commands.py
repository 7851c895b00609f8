"""`altnet lock` against a real control plane with real agents: set up with files that are carried, used, turned off."""

from __future__ import annotations

import asyncio
import contextlib
import json
import stat
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from altnet.common.errors import AltnetError
from altnet.relay_agent.control import ask_status
from e2e.test_operator_commands import Done, Operator
from integration.registry.running import eventually
from support.control_plane import ControlPlane, environment

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

QUICK = {
    "KEYD_SPREAD": "0",
    "KEYD_RETRY_FIRST": "0.2",
    "KEYD_RETRY_MOST": "0.5",
    "LOCK_RETRY_MOST": "1",
    "RESYNC": "2",
}


@dataclass
class Host:
    """A relay's agent as a process, with a host in memory below it."""

    name: str
    folder: Path
    process: asyncio.subprocess.Process
    env: dict[str, str]

    async def status(self) -> dict[str, Any]:
        """As `altnet-agent status` says, without a process for each look; empty where no agent answers."""
        with contextlib.suppress(AltnetError):
            return dict(msgspec.to_builtins(await ask_status(str(self.folder / "control.sock"), timeout=30)))
        return {}

    async def printed(self) -> dict[str, Any]:
        """What `altnet-agent status` prints."""
        asking = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "altnet.relay_agent", "status", "--json"),
            *("--state-dir", str(self.folder)),
            env=self.env,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        out, _ = await asyncio.wait_for(asking.communicate(), 30)
        return dict(json.loads(out))

    async def until(self, **fields: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}

        async def there() -> bool:
            found.update(await self.status())
            return all(found.get(name) == value for name, value in fields.items())

        await eventually(there, timeout=40)
        return found


@pytest_asyncio.fixture
async def hosts(control: ControlPlane, tmp_path: Path) -> AsyncIterator[list[Host]]:
    made: list[Host] = []
    async with control.client() as operator:
        token = tmp_path / "token"
        token.write_text(await operator.join_token(uses=3))
        token.chmod(0o600)
    try:
        for number, name in enumerate(("berlin", "paris")):
            made.append(await start(control, tmp_path, name, token, port=52000 + 10 * number))
        yield made
    finally:
        for host in made:
            host.process.terminate()
            await host.process.wait()


async def start(
    control: ControlPlane, folder: Path, name: str, token: Path, *, port: int, fingerprint: str = ""
) -> Host:
    settings = {
        "REGISTRY_URL": control.url,
        "JOIN_TOKEN_FILE": str(token),
        "STATE_DIR": str(folder / name),
        "NAME": name,
        "BACKEND": "memory",
        "ROUTING": "static",
        "ENDPOINTS": f"192.0.2.1:{port}",
        "PROBE_PORT": str(port + 5),
        "ATTACH_PORT": str(port + 6),
        "LOCK_FINGERPRINT": fingerprint,
        **{f"TIMERS__{key}": value for key, value in QUICK.items()},
    }
    env = environment() | {f"ALTNET_AGENT_{key}": value for key, value in settings.items() if value}
    with (folder / f"{name}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "altnet.relay_agent", "run"),
            env=env,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=log,
        )
    return Host(name, folder / name, process, env)


def offline(done: Done) -> Any:
    assert done.code == 0, done.err
    return done.json


@pytest.mark.timeout(300)  # some forty commands, each a process
async def test_a_lock_is_set_up_used_rotated_and_turned_off_with_files_that_are_carried(
    control: ControlPlane, hosts: list[Host], tmp_path: Path
) -> None:
    altnet = Operator(control)
    for host in hosts:
        await host.until(health="ok", keyd="active")

    async def certified() -> bool:
        lacking = offline(await altnet("lock", "sign", "--json"))
        return {one["name"]: one["lacks"] for one in lacking} == dict.fromkeys(("berlin", "paris"), "a statement")

    await eventually(certified, timeout=40, pause=0.5)
    key = await altnet("clients", "create", "--name", "phone", "--json")
    assert key.code == 0, key.err

    # Owners make keys on machines of their own: these commands have no way to the API.
    nowhere = {"ALTNET_API": "http://127.0.0.1:9", "ALTNET_TOKEN_FILE": str(tmp_path / "none")}
    owners = []
    for name in ("ann", "bob", "cyd"):
        made = await altnet("lock", "key", str(tmp_path / f"{name}.key"), "--json", **nowhere)
        owners.append(offline(made)["public"])
        assert stat.S_IMODE((tmp_path / f"{name}.key").stat().st_mode) == 0o600
    authority = str(tmp_path / "authority.key")
    vouches = offline(await altnet("lock", "key", authority, "--authority", "--json", **nowhere))["public"]
    request = str(tmp_path / "request.json")
    options = [part for owner in owners for part in ("--owner", owner)]
    asked = await altnet(
        *("lock", "init", *options, "--threshold", "2", "--authority", vouches, "--out", request, "--json")
    )
    assert offline(asked)["missing"] == 2
    early = await altnet("lock", "init", "--in", request)
    assert (early.code, "2 signatures of owners are missing" in early.err) == (4, True), early.err
    for name, missing in (("ann", 1), ("bob", 0)):
        signed = await altnet(
            *("lock", "sign", "--in", request, "--key", str(tmp_path / f"{name}.key"), "--json"), **nowhere
        )
        assert offline(signed)["missing"] == missing
        assert owners[0] in signed.err  # who signs sees what
    refused = await altnet("lock", "init", "--in", request)
    assert (refused.code, "client phone lacks a statement" in refused.err) == (6, True), refused.err

    # The authority's key stays on a machine without network, too.
    listed, carried = str(tmp_path / "list.json"), str(tmp_path / "signed.json")
    assert (await altnet("lock", "sign", "--all", "--out", listed)).code == 0
    assert (await altnet("lock", "sign", "--in", listed, "--key", authority, "--out", carried, **nowhere)).code == 0
    assert offline(await altnet("lock", "sign", "--in", carried, "--json")) == {"signed": 3}
    on = offline(await altnet("lock", "init", "--in", request, "--json"))
    assert (on["enabled"], on["length"]) == (True, 1)
    fingerprint = on["fingerprint"]
    for host in hosts:
        found = await host.until(health="ok", lock=f"on, entry 1, {fingerprint}")
        assert len(found["links"]) == 1
        assert (await host.printed())["lock"] == found["lock"]
        assert stat.S_IMODE((host.folder / "lock.json").stat().st_mode) == 0o600
    assert offline(await altnet("lock", "sign", "--json")) == []
    shown = await altnet("lock", "status", "--fingerprint", fingerprint.lower(), "--json")
    assert (offline(shown)["enabled"], offline(shown)["lacking"]) == (True, {"relay": 0, "client": 0})
    assert (await altnet("lock", "status", "--fingerprint", "AAAA")).code == 6

    # A host that is given the fingerprint; it waits for a signature, and then is one of them.
    pinned = await start(control, tmp_path, "rome", tmp_path / "token", port=52020, fingerprint=fingerprint)
    hosts.append(pinned)
    await pinned.until(keyd="active")
    await hosts[0].until(health=_refusing(pinned))
    assert (await altnet("lock", "status")).code == 1
    by_name = await altnet("lock", "sign", "rome", "--key", authority, "--json")
    assert offline(by_name) == {"signed": 1}, by_name.err
    for host in hosts:
        assert len((await host.until(health="ok"))["links"]) == 2

    # Owners replace an authority whose key was lost: what it signed is signed anew first, or is cut off.
    spare = str(tmp_path / "spare.key")
    second = offline(await altnet("lock", "key", spare, "--authority", "--json"))["public"]
    one_is_not_enough = await altnet("lock", "rotate", "--authority", second, "--key", str(tmp_path / "ann.key"))
    assert one_is_not_enough.code == 4, one_is_not_enough.err
    two = [part for name in ("ann", "cyd") for part in ("--key", str(tmp_path / f"{name}.key"))]
    assert (await altnet("lock", "rotate", "--authority", vouches, "--authority", second, *two)).code == 0
    for host in hosts:
        await host.until(health="ok", lock=f"on, entry 2, {fingerprint}")

    stranger = str(tmp_path / "stranger.key")
    assert (await altnet("lock", "key", stranger)).code == 0
    wrong = await altnet("lock", "disable", "--key", stranger, "--key", str(tmp_path / "ann.key"))
    assert (wrong.code, "is no owner" in wrong.err) == (2, True)
    off = offline(await altnet("lock", "disable", *two, "--json"))
    assert off["enabled"] is False
    for host in hosts:
        await host.until(health="ok", lock=f"off, entry 3, {fingerprint}")
    assert offline(await altnet("lock", "enable", *two, "--json"))["enabled"] is True

    # An owner's key is lost: those who are left name another one, by a file, and the lost one counts no more.
    dan = str(tmp_path / "dan.key")
    fourth = offline(await altnet("lock", "key", dan, "--json", **nowhere))["public"]
    kept = [part for owner in (owners[0], owners[2], fourth) for part in ("--owner", owner)]
    handed = str(tmp_path / "owners.json")
    wanted = await altnet("lock", "rotate", *kept, "--threshold", "2", "--out", handed, "--json")
    assert offline(wanted)["missing"] == 2
    for_one = await altnet("lock", "rotate", "--in", handed)
    assert (for_one.code, "signatures of owners are missing" in for_one.err) == (4, True), for_one.err
    for name, missing in (("ann", 1), ("cyd", 0)):
        one = str(tmp_path / f"{name}.key")
        signed = await altnet("lock", "sign", "--in", handed, "--key", one, "--json", **nowhere)
        assert offline(signed)["missing"] == missing
    assert (await altnet("lock", "rotate", "--in", handed)).code == 0
    for host in hosts:
        await host.until(health="ok", lock=f"on, entry 5, {fingerprint}")
    lost = await altnet("lock", "disable", "--key", str(tmp_path / "bob.key"), "--key", str(tmp_path / "ann.key"))
    assert (lost.code, "is no owner" in lost.err) == (2, True), lost.err
    assert offline(await altnet("lock", "disable", "--key", dan, *two[:2], "--json"))["enabled"] is False
    for host in hosts:
        await host.until(health="ok", lock=f"off, entry 6, {fingerprint}")


def _refusing(host: Host) -> str:
    """What a host says of a relay that nobody has vouched for; its identifier is on that host's disk."""
    enrolment = json.loads((host.folder / "enrolment.json").read_text())
    return f"network lock: 1 not signed for, first {enrolment['relay']['id']}: no authority vouches for this relay"
