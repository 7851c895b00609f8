"""`altnet rotations`, `keys`, `identities` and `revocations` against a whole control plane with simulated relays."""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from e2e.test_operator_commands import Operator
from integration.registry.running import eventually
from support.control_plane import ControlPlane
from support.swarm import Swarm

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.asyncio(loop_scope="module"),
]

RELAYS = 4


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def altnet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Operator]:
    """Some relays run and are proven. Tests share them: the one that puts a relay out, which holds rotations up, is
    the last."""
    async with AsyncExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="altnet-e2e-")))
        root.chmod(0o711)
        control = await stack.enter_async_context(ControlPlane(root / "data"))
        log = tmp_path_factory.mktemp("keys") / "swarm"
        swarm = await stack.enter_async_context(Swarm(control, size=RELAYS, workers=1, log=log))
        await swarm.enrol(talk=True)
        await swarm.start()
        await swarm.wait_settled()
        await until(control, "/v1/identities?state=active", lambda found: len(found) == RELAYS)
        yield Operator(control)
        assert await swarm.faults() == []


async def until(control: ControlPlane, path: str, wanted: Callable[[list[dict[str, Any]]], bool]) -> None:
    """Wait until a list of the API is so: a command for each look would be most of what the test does."""
    async with control.client() as operator:

        async def there() -> bool:
            return wanted((await operator.http.get(path)).json()["items"])

        await eventually(there, timeout=60)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


async def test_a_rotation_is_started_watched_and_found_again_from_the_command_line(altnet: Operator) -> None:
    keys = (await altnet("keys", "list", "--use", "mesh", "--in-use", "--json")).json
    before = {one["identity"]: one["key"] for one in keys}
    assert len(before) == RELAYS
    done = await altnet("rotations", "start", "--reason", "drill", "--canary", "1", "--watch", "--json")
    assert done.code == 0, done.err
    seen = lines(done.out)
    assert next(one["phase"] for one in seen if one["phase"] != "prepare") in ("connect", "drain")
    assert (seen[-1]["phase"], seen[-1]["reason"]) == ("done", "drill")
    assert len(seen) >= 3, "it was not followed but looked at"
    listed = (await altnet("rotations", "list", "--json")).json
    assert (listed[0]["id"], listed[0]["phase"]) == (seen[-1]["id"], "done")
    table = await altnet("rotations", "list")
    assert "drill" in table.out
    shown = await altnet("rotations", "show", listed[0]["id"], "--json")
    assert [part["left"] for part in shown.json["relays"]] == [""] * RELAYS
    again = await altnet("rotations", "watch", listed[0]["id"])
    assert (again.code, again.out) == (0, "")
    assert "done" in again.err

    now = (await altnet("keys", "list", "--use", "mesh", "--in-use", "--json")).json
    assert {one["identity"] for one in now} == before.keys()
    assert not {one["key"] for one in now} & set(before.values())
    former = (await altnet("keys", "list", "--use", "mesh", "--former", "--json")).json
    assert {one["identity"]: one["key"] for one in former if one["key"] in before.values()} == before
    assert {one["why"] for one in now} == {f"rotation {listed[0]['id']}"}


async def test_every_key_is_rotated_by_one_command_and_all_three_rotations_are_watched(altnet: Operator) -> None:
    uses = ("mesh", "access")
    before = {one["key"] for use in uses for one in (await altnet("keys", "list", "--use", use, "--json")).json}
    nothing = await altnet("rotations", "watch")
    assert (nothing.code, "no rotation is under way" in nothing.err) == (5, True)
    done = await altnet("rotations", "start", "--kind", "all", "--reason", "drill", "--watch", "--json")
    assert done.code == 0, done.err
    ends = {one["kind"]: one["phase"] for one in lines(done.out)}
    assert ends == {"mesh": "done", "access": "done", "client": "done"}
    now = {
        one["key"] for use in uses for one in (await altnet("keys", "list", "--use", use, "--in-use", "--json")).json
    }
    assert len(now) == len(uses) * RELAYS
    assert not now & before

    started = (await altnet("rotations", "start", "--kind", "all", "--json")).json
    assert [one["kind"] for one in started] == ["mesh", "access", "client"]
    watched = await altnet("rotations", "watch", *(one["id"] for one in started))
    assert watched.code == 0, watched.err
    assert {line.split(":")[0] for line in watched.err.splitlines()} == {"mesh", "access", "client"}
    unknown = await altnet("rotations", "watch", started[0]["id"], "rot_" + "0" * 26)
    assert unknown.code == 5
    wrong = await altnet("rotations", "start", "--kind", "some")
    assert (wrong.code, "some" in wrong.err) == (2, True)


async def test_a_rotation_is_paused_resumed_and_rolled_back_from_the_command_line(altnet: Operator) -> None:
    started = await altnet("rotations", "start", "--json")
    id = started.json["id"]
    paused = await altnet("rotations", "pause", id, "--json")
    if paused.code == 0:  # it may be over by now: these relays answer at once
        assert paused.json["paused"]
        assert not (await altnet("rotations", "resume", id, "--json")).json["paused"]
        await altnet("rotations", "rollback", id)
        watched = await altnet("rotations", "watch", id)
        shown = (await altnet("rotations", "show", id, "--json")).json
        assert (watched.code, shown["phase"]) in ((1, "rolled_back"), (0, "done"))
        assert shown["ended"] in ("asked", "")
    over = await altnet("rotations", "pause", id)
    assert (over.code, "over" in over.err) == (6, True)
    unknown = await altnet("rotations", "watch", "rot_" + "0" * 26)
    assert unknown.code == 5


async def test_when_keys_rotate_by_themselves_is_set_and_shown_from_the_command_line(altnet: Operator) -> None:
    assert (await altnet("rotations", "policy", "show", "--json")).json == []
    made = await altnet(
        "rotations", "policy", "set", "--max-age", "86400", "--wave", "3", "--no-on-suspicion", "--json"
    )
    assert made.code == 0, made.err
    assert (made.json["kind"], made.json["max_age"], made.json["plan"]["wave"]) == ("mesh", 86_400, 3)
    assert (made.json["on_suspicion"], made.json["on_new_owner"]) == (False, False)
    more = (await altnet("rotations", "policy", "set", "--on-new-owner", "--canary", "2", "--json")).json
    assert (more["max_age"], more["on_suspicion"], more["on_new_owner"]) == (86_400, False, True)
    assert (more["plan"]["wave"], more["plan"]["canary"]) == (3, 2)
    assert (await altnet("rotations", "policy", "set", "--kind", "access", "--json")).json["max_age"] is None
    none = (await altnet("rotations", "policy", "set", "--no-max-age", "--json")).json
    assert (none["max_age"], none["on_new_owner"]) == (None, True)
    shown = (await altnet("rotations", "policy", "show", "--json")).json
    assert [one["kind"] for one in shown] == ["access", "mesh"]
    assert "MAX AGE" in (await altnet("rotations", "policy", "show")).out
    wrong = await altnet("rotations", "policy", "set", "--max-age", "99", "--no-max-age")
    assert wrong.code != 0
    assert "/max_age" in wrong.err
    nowhere = await altnet("rotations", "policy", "show", "--network", "nowhere")
    assert nowhere.code == 5
    # or the key that the next test revokes would wait for somebody to rotate it away
    assert (await altnet("rotations", "policy", "set", "--on-suspicion", "--json")).json["on_suspicion"]


async def test_keys_are_compared_and_a_compromised_one_is_revoked_from_the_command_line(altnet: Operator) -> None:
    keyd = (await altnet("keys", "keyd", "--json")).json
    assert keyd["fingerprint"] in (await altnet("keys", "keyd")).out
    fingerprints = {one["name"]: one["fingerprint"] for one in (await altnet("identities", "list", "--json")).json}
    assert len(set(fingerprints.values())) == RELAYS
    assert all(len(text.split()) == 8 for text in fingerprints.values())
    assert fingerprints["sim-0001"] in (await altnet("identities", "list")).out

    (leaked,) = (await altnet("keys", "list", "--host", "sim-0001", "--use", "mesh", "--in-use", "--json")).json
    told = await altnet("revocations", "revoke", "--key", leaked["key"], "--reason", "found in a paste", "--json")
    assert told.code == 0, told.err
    assert (told.json["name"], told.json["use"], told.json["still_in_use"]) == ("sim-0001", "mesh", True)
    await until(altnet.plane, "/v1/revocations", lambda all: not any(one["still_in_use"] for one in all))
    assert not (await altnet("revocations", "show", told.json["id"], "--json")).json["still_in_use"]
    (whose,) = (await altnet("keys", "list", "--key", leaked["key"], "--json")).json
    assert (whose["name"], whose["removed_at"] is not None) == ("sim-0001", True)
    out = await altnet("revocations", "revoke", "--relay", "sim-0002", "--reason", "stolen", "--json")
    assert out.code == 0, out.err
    listed = await altnet("revocations", "list")
    assert "found in a paste" in listed.out
    assert "stolen" in listed.out
    assert [one["kind"] for one in (await altnet("revocations", "list", "--json")).json] == ["relay", "key"]
    assert [one["name"] for one in (await altnet("revocations", "list", "--kind", "relay", "--json")).json] == [
        "sim-0002"
    ]
    both = await altnet("revocations", "revoke", "--relay", "sim-0002", "--key", leaked["key"])
    assert both.code == 2
    gone = out.json["subject"]
    await until(altnet.plane, "/v1/keys?in_use=true", lambda keys: gone not in {one["identity"] for one in keys})
    assert (await altnet("keys", "list", "--host", "sim-0002", "--in-use", "--json")).json == []
