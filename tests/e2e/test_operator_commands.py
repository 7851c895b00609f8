"""The `altnet` command against a real control plane, as an operator at a terminal or a script uses it."""

from __future__ import annotations

import asyncio
import json
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from altnet.client.plan import plan_of
from altnet.client.registry import Registry
from altnet.client.state import DiskState
from altnet.common.calls import https_call
from altnet.common.keys import PrivateKey
from integration.registry.running import Host, eventually
from support.control_plane import ControlPlane, environment

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Operator:
    """Runs `altnet …` with the first owner's token."""

    plane: ControlPlane

    async def __call__(self, *arguments: str, **env: str) -> Done:
        own = {"ALTNET_API": self.plane.facts["api"][0], "ALTNET_TOKEN_FILE": self.plane.facts["owner_token"], **env}
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "altnet.host.cli", *arguments],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            env=environment(**own),
            timeout=60,
            check=False,
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture
def altnet(control: ControlPlane) -> Operator:
    return Operator(control)


async def test_an_operator_sets_up_a_network_from_the_command_line(altnet: Operator, tmp_path: Path) -> None:
    networks = await altnet("networks", "list", "--json")
    assert [network["prefix"] for network in networks.json] == ["fd42:1337:beef::/48"]

    token = await altnet("join-tokens", "create", "--kind", "relay", "--uses", "2")
    assert token.out.startswith("altj_")
    assert "shown once" in token.err

    service = await altnet(
        "services", "register", "--name", "web", "--port", "80", "--tag", "blue", "--address", "fd00:5::80", "--json"
    )
    assert service.code == 0, service.err
    assert service.json["address"] == "fd00:5::80"
    listed = await altnet("services", "list", "--tag", "blue")
    assert "web" in listed.out
    assert (await altnet("services", "list", "--tag", "red", "--json")).json == []

    change = await altnet("changes", "show", str(service.json["change"]), "--wait", "--json")
    assert change.code == 0
    assert change.json["complete"] is True

    refused = await altnet("services", "remove", "web")
    assert refused.code == 2
    assert "--yes" in refused.err
    assert (await altnet("services", "remove", "web", "--yes")).code == 0

    secret = tmp_path / "ci.token"
    made = await altnet("tokens", "create", "--name", "ci", "--role", "auditor", "--out", str(secret), "--json")
    assert made.code == 0, made.err
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert secret.read_text().strip() not in made.out
    assert (await altnet("relays", "list", ALTNET_TOKEN_FILE=str(secret))).code == 0
    forbidden = await altnet("join-tokens", "create", ALTNET_TOKEN_FILE=str(secret))
    assert forbidden.code == 4
    assert "admin" in forbidden.err

    assert (await altnet("mesh")).code == 0
    assert (await altnet("doctor")).code == 0


async def test_an_operator_peers_a_relay_with_the_outside_and_looks_where_packets_go(
    altnet: Operator, tmp_path: Path
) -> None:
    token = (await altnet("join-tokens", "create", "--kind", "relay", "--uses", "2")).out.strip()
    async with httpx.AsyncClient(base_url=altnet.plane.url, trust_env=False) as http:
        for name in ("berlin", "paris"):
            identity = PrivateKey.generate().public().base64
            answer = await Host(name).ask(http, token, identity_key=identity)
            assert answer.status_code == 201, answer.text

    secret = tmp_path / "bgp.password"
    secret.write_text("correct-horse\n")
    fields = ("--name", "isp", "--relay", "berlin", "--address", "2001:db8::1", "--asn", "65010")
    wide = await altnet("peerings", "create", *fields, "--import", "2000::/3^+")
    assert (wide.code, "accept_everything" in wide.err) == (2, True)
    made = await altnet(
        *("peerings", "create", *fields, "--import", "2001:db8:2::/48^48-64", "--export", "fd42:1337:beef::/48"),
        *("--password-file", str(secret), "--bfd", "--json"),
    )
    assert made.code == 0, made.err
    assert made.json["imports"] == [{"prefix": "2001:db8:2::/48", "shortest": 48, "longest": 64}]
    assert (made.json["password_set"], made.json["bfd"]) == (True, True)
    assert "correct-horse" not in made.out + made.err
    assert "without BIRD" in made.err  # a word to its owner
    listed = await altnet("peerings", "list", "--relay", "berlin", "--json")
    assert [one["name"] for one in listed.json] == ["isp"]
    changed = await altnet("peerings", "set", "isp", "--no-password", "--disable", "--json")
    assert (changed.json["password_set"], changed.json["enabled"]) == (False, False)
    shown = await altnet("peerings", "show", "isp")
    assert "2001:db8::1" in shown.out
    assert (await altnet("peerings", "set", "isp", "--no-password", "--password-file", str(secret))).code == 2
    assert (await altnet("peerings", "remove", "isp")).code == 2
    assert (await altnet("peerings", "remove", "isp", "--yes")).code == 0
    assert (await altnet("peerings", "show", "isp")).code == 5

    async with altnet.plane.client() as api:
        relay = (await api.all_of("/v1/relays"))[0]["id"]

        async def planned() -> bool:
            answer = await api.http.get(f"/v1/relays/{relay}/routes", params={"to": "fd42:1337:beef::2"})
            ways = [way for route in answer.json().get("routes", ()) for way in route["next_hops"]]
            return any(way["relay"] for way in ways)

        await eventually(planned)
    table = await altnet("routes", "list", "berlin", "--to", "fd42:1337:beef::2")
    assert "paris" in table.out, table.err
    way = await altnet("path", "berlin", "paris", "--json")
    assert (way.code, way.json["complete"], way.json["outcome"]) == (0, True, "delivered")
    seen = await altnet("path", "berlin", "paris")
    assert "berlin > paris" in seen.err
    lost = await altnet("path", "berlin", "fd42:1337:beef::99")
    assert (lost.code, "unreachable" in lost.out) == (1, True)
    assert (await altnet("path", "berlin", "nowhere")).code == 5
    assert (await altnet("routes", "learned", "--json")).json == []
    assert (await altnet("routes", "refused", "--peering", "isp")).code == 5
    assert "not said anything" in (await altnet("routes", "sessions", "berlin")).err


async def test_what_goes_wrong_is_one_line_with_the_mend_and_its_own_exit_code(altnet: Operator) -> None:
    unknown = await altnet("relays", "show", "nowhere")
    assert (unknown.code, unknown.err.count("\n")) == (5, 1)

    wrong = await altnet("networks", "create", "Not A Label")
    assert wrong.code == 2
    assert "name" in wrong.err

    taken = await altnet("networks", "create", "default")
    assert taken.code == 6

    nobody = await altnet("relays", "list", ALTNET_TOKEN_FILE="/nonexistent")
    assert nobody.code == 4
    assert "ALTNET_TOKEN_FILE" in nobody.err

    away = await altnet("relays", "list", ALTNET_API="http://127.0.0.1:9")
    assert away.code == 3
    assert "altnet up" in away.err
    for failed in (unknown, wrong, taken, nobody, away):
        assert "Traceback" not in failed.err


async def test_a_machine_joins_by_a_token_alone_and_a_broken_off_run_is_repeated(
    altnet: Operator, tmp_path: Path
) -> None:
    api = altnet.plane.facts["api"][0]
    relay_token = (await altnet("join-tokens", "create", "--kind", "relay")).out.strip()
    async with httpx.AsyncClient(base_url=api) as client:
        assert (await Host("one").ask(client, relay_token)).status_code == 201
    secret, config = tmp_path / "join.token", tmp_path / "alt.conf"
    secret.write_text((await altnet("join-tokens", "create", "--kind", "client")).out)
    asked = ("clients", "join", "--token-file", str(secret), "--name", "laptop", "--config", str(config))
    nobody = {"ALTNET_TOKEN_FILE": "/nonexistent"}

    away = await altnet(*asked, "--registry", "http://127.0.0.1:9", **nobody)
    assert (away.code, "Traceback" in away.err) == (3, False)
    begun = [line for line in config.read_text().splitlines() if line.startswith("PrivateKey")]
    assert stat.S_IMODE(config.stat().st_mode) == 0o600

    joined = await altnet(*asked, "--registry", api, "--json", **nobody)
    assert joined.code == 0, joined.err
    text, own = config.read_text(), tmp_path / "alt.conf.token"
    assert [line for line in text.splitlines() if line.startswith("PrivateKey")] == begun
    assert f"Address = {joined.json['address']}/128" in text
    assert PrivateKey.parse(begun[0].removeprefix("PrivateKey = ")).public().base64 == joined.json["key"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in (config, own)} == {0o600}
    assert begun[0].removeprefix("PrivateKey = ") not in joined.out + joined.err
    assert own.read_text().strip() not in joined.out + joined.err

    again = await altnet(*asked, "--registry", api, "--json", **nobody)
    assert again.json["id"] == joined.json["id"]
    assert config.read_text() == text
    async with httpx.AsyncClient(
        base_url=api, headers={"Authorization": f"Bearer {own.read_text().strip()}"}
    ) as client:
        assert (await client.get(f"/v1/clients/{joined.json['id']}/config")).status_code == 200
        assert (await client.get("/v1/clients")).status_code == 403

    config.write_text("[Interface]\nPrivateKey = somebody's\n")
    refused = await altnet(*asked, "--registry", api, **nobody)
    assert (refused.code, config.read_text()) == (2, "[Interface]\nPrivateKey = somebody's\n")
    assert "somebody" not in refused.err


async def test_a_host_joins_by_altnetd_with_both_its_relays_and_hears_of_changes(
    altnet: Operator, control: ControlPlane, tmp_path: Path
) -> None:
    api = control.facts["api"][0]
    async with httpx.AsyncClient(base_url=api) as anonymous:
        for name in ("first", "second"):
            token = (await altnet("join-tokens", "create", "--kind", "relay", "--json")).json["secret"]
            enrolled = await Host(f"altnetd-{name}").ask(anonymous, token, endpoints=[f"{name}.example:51820"])
            assert enrolled.status_code in (200, 201), enrolled.text
    token = tmp_path / "token"
    token.write_text((await altnet("join-tokens", "create", "--kind", "client", "--json")).json["secret"])
    home = tmp_path / "altnetd"

    def join() -> subprocess.CompletedProcess[bytes]:
        flags = ("--registry", api, "--token-file", str(token), "--name", "desk", "--state-dir", str(home), "--json")
        command = [sys.executable, "-m", "altnet.client", "join", *flags]
        return subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=60, check=False)

    done = await asyncio.to_thread(join)
    assert done.returncode == 0, done.stderr.decode()
    joined = json.loads(done.stdout)
    state = DiskState(home)
    config, membership = state.configuration(), state.membership()
    assert config is not None
    assert membership is not None
    assert (config.client, config.movable, len(config.relays)) == (joined["client"], True, 2)
    plan_of(config)  # what the registry says can be had

    registry = Registry(api, call=https_call(), timeout=20)
    await registry.report(config.client, {config.relays[1].relay: 3.0}, secret=membership.secret)
    await altnet("clients", "move", joined["client"], "--relay", config.relays[1].relay)
    moved = await registry.configuration(config.client, secret=membership.secret)
    assert [relay.relay for relay in moved.relays][:1] == [config.relays[1].relay]
    assert moved.addresses == config.addresses
    again = json.loads((await asyncio.to_thread(join)).stdout)
    assert again["client"] == joined["client"], "the same host is the same client"


async def test_the_key_of_access_tokens_is_replaced_while_the_control_plane_runs(altnet: Operator) -> None:
    plane = altnet.plane
    async with httpx.AsyncClient(base_url=plane.url) as api:

        async def exchanged() -> dict[str, str]:
            answer = await api.post("/v1/auth/exchange", headers={"Authorization": f"Bearer {plane.token}"})
            return {"Authorization": f"Bearer {answer.json()['access_token']}"}

        async def answers(headers: dict[str, str]) -> set[int]:
            """Of both services: each checks tokens for itself."""
            return {(await api.get(path, headers=headers)).status_code for path in ("/v1/relays", "/v1/keyd/keys")}

        stolen = await exchanged()
        assert await answers(stolen) == {200}

        done = await altnet("admin", "replace-signing-key", "--data-dir", str(plane.data), "--json")

        assert done.code == 0, done.err
        assert stat.S_IMODE(Path(done.json["replaced"]).stat().st_mode) == 0o600

        async def refused() -> bool:
            return await answers(stolen) == {401}

        await eventually(refused)
        assert await answers(await exchanged()) == {200}
        assert (await altnet("relays", "list", "--json")).code == 0, "API tokens stay"
    nowhere = await altnet("admin", "replace-signing-key", "--data-dir", str(plane.data / "nowhere"))
    assert (nowhere.code, "altnet admin init" in nowhere.err) == (5, True), nowhere
