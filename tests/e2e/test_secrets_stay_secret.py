"""A whole scenario, and then every secret of it is looked for in everything that came out of it.

Enrolment, first contact, clients, a rotation of all mesh keys, keyd's own keys replaced, revocations, refusals, an
agent that dies: with `altnet up` as a process, agents of its own code, the command line, the API, Postgres, and the bus
as its operator sees it and as packets on the wire.
What is meant to show a secret, the answer that makes it, is the one exception, and is left out by name.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from altnet.common.bus.connect import Bus, BusSettings, Message
from altnet.common.bus.credentials import Credentials
from altnet.common.bus.identity import BusIdentity, encode_jwt
from altnet.common.bus.nkey import Role as NkeyRole
from altnet.common.bus.nkey import make_nkey
from altnet.common.keys import PrivateKey
from altnet.keyd.domain.envelope import EncryptionKey, about
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from e2e.test_operator_commands import Done, Operator
from integration.registry.running import Host, eventually
from support.control_plane import ControlPlane
from support.secrets import Secrets
from support.swarm import Swarm
from support.wire import Capture, captured

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: a packet capture of the bus needs root"),
]

RELAYS = 3
PATHS = [
    "/v1/networks",
    "/v1/relays",
    "/v1/clients",
    "/v1/services",
    "/v1/sites",
    "/v1/peerings",
    "/v1/peers",
    "/v1/mesh",
    "/v1/changes",
    "/v1/links",
    "/v1/tokens/join",
    "/v1/tokens/api",
    "/v1/identities",
    "/v1/keys",
    "/v1/keyd/keys",
    "/v1/rotations",
    "/v1/rotation-policies",
    "/v1/revocations",
    "/metrics",
    "/readyz",
    "/livez",
    "/openapi.json",
    "/v1/nothing-here",
]


@contextlib.asynccontextmanager
async def overheard(control: ControlPlane) -> AsyncIterator[list[bytes]]:
    """Everything on the bus, answers in inboxes too, as its operator could see it."""
    identity = BusIdentity.load(control.data / "secrets" / "bus")
    public, seed = make_nkey(NkeyRole.USER)
    nats: dict[str, Any] = {"pub": {"deny": [">"]}, "sub": {"allow": [">"]}, "subs": -1, "data": -1, "payload": -1}
    claims = {
        "sub": public,
        "name": "observer",
        "iat": int(time.time()),
        "nats": {**nats, "type": "user", "version": 2},
    }
    observer = Credentials(encode_jwt(claims, identity._saved.account_seed.encode()), seed)
    kept: list[bytes] = []

    async def keep(message: Message) -> None:
        kept.append(message.subject.encode() + b" " + repr(dict(message.headers)).encode() + b" " + message.data)

    async with Bus(BusSettings(servers=(f"nats://127.0.0.1:{control.bus_port}",)), observer, name="observer") as bus:
        await bus.wait_connected(20)
        await bus.subscribe(">", keep)
        await bus.flush(20)
        yield kept


class Asked:
    """The API, with every answer kept but those that are meant to show a secret."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self.kept: list[bytes] = []

    async def __call__(self, method: str, path: str, *, shows: bool = False, **options: Any) -> httpx.Response:
        answer = await self.http.request(method, path, **options)
        headers = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
        self.kept.append(headers.encode() + (b"" if shows else answer.content))
        return answer


async def dumped(control: ControlPlane) -> list[bytes]:
    """Every row of every table of ours, as text."""
    connection = await control.sql()
    try:
        tables = await connection.fetch(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        )
        assert {row["schemaname"] for row in tables} >= {"registry", "keyd"}
        rows = []
        for row in tables:
            found = await connection.fetch(f'SELECT t::text FROM "{row[0]}"."{row[1]}" t')
            rows += [line[0].encode() for line in found]
        return rows
    finally:
        await connection.close()


async def of_control_plane(control: ControlPlane, secrets: Secrets) -> None:
    """What the installation itself keeps secret, keyd's private keys out of their envelopes too."""
    folder = control.data / "secrets"
    identity = json.loads((folder / "bus" / "identity.json").read_text())
    for name, text in {**identity, **identity["user_seeds"]}.items():
        if isinstance(text, str) and text.startswith("S"):
            secrets.add_text(f"the bus's {name}", text)
    secrets.add_text("the bus's root", (folder / "bus" / "operator.seed").read_text().strip())
    key = load_pem_private_key((folder / "tokens" / "signing.pem").read_bytes(), password=None)
    secrets.add("the tokens' signing key", key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()))
    for file in (folder / "database").iterdir():
        secrets.add_text(f"the database's password of {file.name}", file.read_text().strip())
    secrets.add_text("the owner's token", control.token)
    text = (folder / "keyd" / "kek").read_text().strip()
    secrets.add_text("keyd's key-encryption key", text)
    kek = EncryptionKey.parse(text, field="/kek")
    connection = await control.sql()
    try:
        rows = await connection.fetch("SELECT use, key, sealed FROM keyd.service_keys")
    finally:
        await connection.close()
    assert len(rows) >= 4, "keyd's keys were replaced"
    for number, row in enumerate(rows):
        secrets.add(f"keyd's {row['use']} key {number}", kek.open(row["sealed"], about=about(row["use"], row["key"])))


async def test_no_secret_of_a_whole_scenario_is_in_anything_that_comes_out_of_it(tmp_path: Path) -> None:
    secrets, commands = Secrets(), list[Done]()
    async with contextlib.AsyncExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="altnet-e2e-")))
        root.chmod(0o711)
        control = ControlPlane(root / "data")
        await control.start(timeout=150)
        stack.push_async_callback(control.stop)
        wire = stack.enter_context(captured(control.bus_port))
        bus = await stack.enter_async_context(overheard(control))
        operator = await stack.enter_async_context(control.client())
        asked, command = Asked(operator.http), Operator(control)
        swarm = await stack.enter_async_context(Swarm(control, size=RELAYS, log=tmp_path / "swarm"))
        await swarm.enrol(talk=True)
        for name, held in (await swarm.secrets()).items():
            secrets.add_all(name, held)
        await swarm.start()
        await swarm.wait_settled()

        async def proven() -> bool:
            found = (await asked("GET", "/v1/identities", params={"state": "active"})).json()["items"]
            return len(found) == RELAYS

        await eventually(proven, timeout=60)

        join = (await asked("POST", "/v1/tokens/join", shows=True, json={"kind": "client", "uses": 3})).json()["secret"]
        secrets.add_text("a join token", join)
        wish = {"name": "ci", "role": "admin", "scopes": ["*"], "expires_at": "2099-01-01T00:00:00Z"}
        token = (await asked("POST", "/v1/tokens/api", shows=True, json=wish)).json()
        secrets.add_text("an API token", token["secret"])
        held = {"Authorization": f"Bearer {token['secret']}"}
        access = (await asked("POST", "/v1/auth/exchange", shows=True, headers=held)).json()["access_token"]
        secrets.add_text("an access token", access)
        made = (await asked("POST", "/v1/clients", shows=True, json={"name": "phone"})).json()
        if made.get("private_key"):
            secrets.add_text("a client's private key", made["private_key"])
        mine = PrivateKey.generate()
        secrets.add("another client's private key", mine.reveal())
        joined = await asked(
            "POST",
            "/v1/join",
            shows=True,
            json={"token": join, "key": mine.public().base64, "name": "laptop"},
            headers={"Authorization": ""},
        )
        assert joined.is_success, joined.text
        secrets.add_text("a client's secret", joined.json()["secret"])

        commands.append(await command("rotations", "start", "--watch", "--json"))
        assert commands[-1].code == 0, commands[-1].err
        for name, now in (await swarm.secrets()).items():
            secrets.add_all(name, now)
        for use in ("static", "signing"):
            commands.append(await command("keys", "rotate-keyd", "--use", use))
            assert commands[-1].code == 0, commands[-1].err
        await of_control_plane(control, secrets)

        # refusals: what was shown wrongly must not come back
        stranger = Host("stranger")
        secrets.add_text("a stranger's nkey seed", stranger.seed.decode())
        wrong = join[:-8] + "AAAAAAAA"
        secrets.add_text("a wrong join token", wrong)
        body = stranger.body(wrong)
        await asked("POST", "/v1/enrol", content=body, headers=stranger.signed(body))
        await asked("GET", "/v1/relays", headers={"Authorization": f"Bearer {token['secret'][:-4]}AAAA"})
        secrets.add_text("a wrong API token", f"{token['secret'][:-4]}AAAA")
        await asked("POST", "/v1/clients", json={"name": "x", "private_key": base64.b64encode(mine.reveal()).decode()})
        await asked("POST", "/v1/revocations", json={"key": mine.public().base64, "reason": "lost"})
        await asked("POST", "/v1/revocations", json={"api_token": token["id"]})
        await asked("GET", "/v1/relays", headers=held)
        await asked("GET", "/v1/relays", headers={"Authorization": f"Bearer {access}"})
        await swarm.crash([swarm.names[1]], reboot=True)
        await swarm.start([swarm.names[1]])
        await asked("POST", "/v1/revocations", json={"relay": swarm.relays[swarm.names[0]]})
        for path in PATHS:
            await asked("GET", path)
        for words in ("relays list", "clients list --json", "identities list", "keys list --json", "tokens list"):
            commands.append(await command(*words.split()))
            assert commands[-1].code == 0, commands[-1].err
        database = await dumped(control)
        log, swarm_logs = control.log_file.read_bytes(), [file.read_bytes() for file in tmp_path.glob("swarm*.log")]
        assert await swarm.faults() == []

    assert len(secrets.forms) > 100
    assert len(swarm_logs) == 2
    assert wire.dropped == 0
    assert sum(b"CONNECT {" in sent for sent in wire.streams()) > RELAYS, "connections are seen from their beginning"
    for place, pieces in {
        "the bus": bus,
        "packets of the bus": wire.streams(),
        "the database": database,
        "the API's answers": asked.kept,
        "the control plane's log": [log],
        "the agents' logs": swarm_logs,
        "what commands print": [text.encode() for done in commands for text in (done.out, done.err)],
    }.items():
        assert sum(map(len, pieces)) > 0 or place == "the agents' logs", f"{place} was not looked at"
        assert secrets.found_in(place, pieces) == []


def test_a_secret_that_leaks_in_any_form_is_found_and_not_repeated() -> None:
    secrets = Secrets()
    raw = bytes(range(32))
    secrets.add_text("the key", base64.b64encode(raw).decode())
    base, web = base64.b64encode(raw), base64.urlsafe_b64encode(raw)
    for form in (raw, raw.hex().encode(), raw.hex().upper().encode(), base, web):
        assert secrets.found_in("a log", [b"before " + form + b" after"]) == ["the key is in a log"]
    assert secrets.found_in("a log", [raw[:31], b"nothing"]) == []


def test_what_went_over_the_wire_is_put_together_from_its_packets() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        captured(server.getsockname()[1]) as wire,
        socket.create_connection(server.getsockname()) as client,
        server.accept()[0] as taker,
    ):
        for part in (b"one, ", b"two, " * 10_000, b"three"):
            client.sendall(part)
        client.shutdown(socket.SHUT_WR)
        while taker.recv(2**16):
            pass
        taker.sendall(b"answer")
        assert client.recv(100) == b"answer"
    assert sorted(wire.streams(), key=len) == [b"answer", b"one, " + b"two, " * 10_000 + b"three"]
    assert (wire.dropped, Capture().streams()) == (0, [])
