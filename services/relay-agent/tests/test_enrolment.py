"""Enrolling and renewing against an HTTP server that checks what the registry checks."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
from altnet.common.bus import nkey
from altnet.common.calls import Answer, https_post
from altnet.common.clock import FixedClock
from altnet.common.contracts.agent import Versions
from altnet.common.errors import Conflict, Exhausted, Forbidden, Invalid, TooMany, Unauthenticated, Unavailable
from altnet.common.keys import PublicKey
from altnet.common.settings import Secret
from altnet.relay_agent import cli
from altnet.relay_agent.disk_state import DiskState
from altnet.relay_agent.enrol import CREDENTIALS_PREFIX, ENROL_PREFIX, Registry
from altnet.relay_agent.membership import Membership
from altnet.relay_agent.memory_state import MemoryState
from altnet.relay_agent.settings import Timers
from altnet.relay_agent.state import Enrolment, Identity, make_identity
from support.relays import START, enrolment_of

ANSWER = {
    "relay": {"id": "rly_me", "name": "me", "slot": 1, "address": "fd42:1337:beef::1", "new_field": True},
    "network": {"id": "net_1", "name": "home", "prefix": "fd42:1337:beef::/48"},
    "bus": {"servers": ["nats://127.0.0.1:4222"], "jwt": "a.b.c", "expires_at": "2026-01-01T00:20:00Z"},
}


class Front:
    """An HTTP server whose answers a test gives; it keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self.answer: Callable[[str], tuple[int, dict[str, str], bytes]] = lambda _path: (201, {}, dump(ANSWER))
        front = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                front.asked.append((self.path, dict(self.headers), body))
                status, headers, data = front.answer(self.path)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def problem(self, status: int, code: str, **fields: Any) -> None:
        body = {"type": "about:blank", "title": "No", "status": status, "code": code, "detail": "it is so.", **fields}
        self.answer = lambda _path: (status, {"Content-Type": "application/problem+json"}, dump(body))


def dump(value: object) -> bytes:
    return json.dumps(value).encode()


@pytest.fixture
def front() -> Iterator[Front]:
    made = Front()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@pytest.fixture
def identity() -> Identity:
    return make_identity(make_nkey=nkey.make_nkey)


def registry(front: Front, timeout: float = 5.0) -> Registry:
    return Registry(front.url, post=https_post(), clock=FixedClock(START), timeout=timeout)


async def enrol(front: Front, identity: Identity, token: str = "alt_secret", timeout: float = 5.0) -> Enrolment:
    return await registry(front, timeout).enrol(
        identity,
        token=Secret(token),
        name="me",
        endpoints=("192.0.2.1:51820",),
        mesh_port=51820,
        access_port=51830,
        region="eu",
        labels={"rack": "7"},
        versions=Versions(agent="1", kernel="6", wireguard="kernel"),
    )


def signed(asked: tuple[str, dict[str, str], bytes], identity: Identity, prefix: bytes) -> bool:
    signature = base64.b64decode(asked[1]["Altnet-Signature"])
    return nkey.verify(identity.nkey, prefix + asked[2], signature)


async def test_enrolling_shows_the_public_halves_signed_and_keeps_the_answer(front: Front, identity: Identity) -> None:
    enrolment = await enrol(front, identity)

    assert (enrolment.relay.id, enrolment.relay.slot, enrolment.network.prefix) == ("rly_me", 1, "fd42:1337:beef::/48")
    assert enrolment.bus.issued_at == "2026-01-01T00:00:00.000Z"
    (asked,) = front.asked
    assert asked[0] == "/v1/enrol"
    assert signed(asked, identity, ENROL_PREFIX)
    assert not signed(asked, identity, CREDENTIALS_PREFIX), "a signature is for one purpose"
    said = json.loads(asked[2])
    assert said["token"] == "alt_secret"
    assert said["key"] == identity.mesh.public().base64
    assert PublicKey.parse(said["access_key"]) == identity.access.public()
    assert said["encapsulations"] == ["vxlan"]
    assert said["labels"] == {"rack": "7"}
    assert said["versions"] == {"agent": "1", "kernel": "6", "wireguard": "kernel"}
    for secret in (identity.mesh_key, identity.access_key, identity.nkey_seed):
        assert secret.encode() not in asked[2]


async def test_a_refused_token_is_the_registrys_own_words_without_the_token(front: Front, identity: Identity) -> None:
    front.problem(401, "join_token_used", errors=[{"pointer": "/token", "detail": "used"}], mend="Make a new one.")
    with pytest.raises(Unauthenticated) as error:
        await enrol(front, identity)
    assert str(error.value) == "/token: it is so. Make a new one."
    assert "alt_secret" not in repr(error.value)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (422, "bad_name", Invalid),
        (403, "relay_revoked", Forbidden),
        (409, "relay_name_taken", Conflict),
        (409, "slots_exhausted", Exhausted),
        (503, "database_unavailable", Unavailable),
        (302, "moved", Unavailable),
    ],
)
async def test_each_problem_is_an_error_of_its_kind(
    front: Front, identity: Identity, status: int, code: str, kind: type[Exception]
) -> None:
    front.problem(status, code)
    with pytest.raises(kind) as error:
        await enrol(front, identity)
    assert error.value.code == code  # type: ignore[attr-defined]  # every one is an AltnetError


async def test_too_many_says_when_to_come_back(front: Front, identity: Identity) -> None:
    front.answer = lambda _path: (429, {"Retry-After": "17"}, b"{}")
    with pytest.raises(TooMany) as error:
        await enrol(front, identity)
    assert error.value.after == 17


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"relay": {}}', b"x" * 300_000])
async def test_an_answer_that_is_none_is_an_error(front: Front, identity: Identity, body: bytes) -> None:
    front.answer = lambda _path: (200, {}, body)
    with pytest.raises(Unavailable):
        await enrol(front, identity)


async def test_a_redirect_is_not_followed_with_the_token(front: Front, identity: Identity) -> None:
    front.answer = lambda _path: (307, {"Location": f"{front.url}/elsewhere"}, b"")
    with pytest.raises(Unavailable):
        await enrol(front, identity)
    assert [path for path, _, _ in front.asked] == ["/v1/enrol"]


async def test_authorities_are_read_for_https_alone(
    front: Front, identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str | None] = []

    def note(cafile: str | None = None) -> ssl.SSLContext:
        read.append(cafile)
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    monkeypatch.setattr(ssl, "create_default_context", note)
    await enrol(front, identity)
    assert read == []

    away = Registry("https://127.0.0.1:9", post=https_post("/ca.pem"), clock=FixedClock(START), timeout=2.0)
    with pytest.raises(Unavailable, match=r"https://127.0.0.1:9 does not answer"):
        await away.renew(identity, "rly_me", endpoints=(), versions=Versions())
    assert read == ["/ca.pem"]


async def test_a_registry_that_is_not_there_is_unavailable_and_named(identity: Identity) -> None:
    away = Registry("http://127.0.0.1:9", post=https_post(), clock=FixedClock(START), timeout=2.0)
    with pytest.raises(Unavailable, match=r"http://127.0.0.1:9 does not answer"):
        await away.renew(identity, "rly_me", endpoints=(), versions=Versions())


async def test_a_registry_that_says_nothing_has_a_deadline(front: Front, identity: Identity) -> None:
    gate = threading.Event()

    def wait(_path: str) -> tuple[int, dict[str, str], bytes]:
        gate.wait(5)
        return 200, {}, b"{}"

    front.answer = wait
    try:
        with pytest.raises(Unavailable, match=r"within|timed out"):
            await enrol(front, identity, timeout=0.2)
    finally:
        gate.set()


async def test_without_a_token_or_an_address_nothing_is_asked(front: Front, identity: Identity) -> None:
    with pytest.raises(Invalid, match="token"):
        await enrol(front, identity, token="")
    for url in ("", "registry.example.org", "ftp://x"):
        with pytest.raises(Invalid) as error:
            Registry(url, post=https_post(), clock=FixedClock(START), timeout=1.0)
        assert error.value.field == "/registry_url"
    assert front.asked == []


class Line:
    """A bus that can be refused."""

    def __init__(self) -> None:
        self.last_failure: Any = None
        self.reconnects = 0

    def reconnect(self) -> None:
        self.reconnects += 1
        self.last_failure = None


class Renewal:
    """A membership that renews in virtual time, over answers that a test gives."""

    def __init__(self, identity: Identity, answers: list[tuple[int, dict[str, Any]]]) -> None:
        self.loop = asyncio.get_running_loop()
        self.began = self.loop.time()
        self.asked: list[float] = []
        self.line = Line()
        self.revoked = False
        self._answers = answers
        clock = self

        class LoopClock:
            def now(self) -> Any:
                return START + timedelta(seconds=clock.loop.time() - clock.began)

            def monotonic(self) -> float:
                return clock.loop.time()

        enrolment = msgspec.convert(
            {**ANSWER, "bus": {**ANSWER["bus"], "issued_at": "2026-01-01T00:00:00Z"}},  # type: ignore[dict-item]
            type=Enrolment,
        )
        self.state = MemoryState(identity, enrolment)
        self.membership = Membership(self.state, enrolment, clock=LoopClock())
        registry = Registry("http://registry.test", post=self._post, clock=LoopClock(), timeout=5.0)

        async def revoke() -> None:
            self.revoked = True

        self.task = asyncio.create_task(
            self.membership.run(
                registry,
                self.line,
                endpoints=(),
                versions=Versions,
                timers=Timers(),
                random=lambda: 0.5,
                revoked=lambda: self.revoked,
                revoke=revoke,
            )
        )

    async def _post(self, _url: str, _body: bytes, _headers: object, _timeout: float) -> Any:
        self.asked.append(self.loop.time() - self.began)
        status, body = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return Answer(status=status, headers={}, body=dump(body))


def fresh(until: str) -> tuple[int, dict[str, Any]]:
    return 200, {"bus": {"servers": ["nats://n:1"], "jwt": "d.e.f", "expires_at": until}}


@pytest.mark.looptime
async def test_a_pass_is_renewed_at_half_of_its_life_and_the_bus_reconnects(identity: Identity) -> None:
    renewal = Renewal(identity, [fresh("2026-01-01T02:00:00Z")])
    await asyncio.sleep(900)
    renewal.task.cancel()
    assert len(renewal.asked) == 1
    assert 600 <= renewal.asked[0] <= 605
    assert renewal.line.reconnects == 1
    saved = renewal.state.enrolment()
    assert saved is not None
    assert saved.bus.jwt == "d.e.f"
    assert renewal.membership.credentials().jwt == "d.e.f"


@pytest.mark.looptime
async def test_a_registry_that_is_away_is_asked_again_until_it_answers(identity: Identity) -> None:
    renewal = Renewal(identity, [(503, {})] * 3 + [fresh("2026-01-03T00:00:00Z")])
    await asyncio.sleep(900)
    renewal.task.cancel()
    assert len(renewal.asked) == 4
    assert not renewal.revoked


@pytest.mark.looptime
async def test_a_bus_that_refuses_us_makes_us_ask_why_and_the_answer_takes_us_down(identity: Identity) -> None:
    renewal = Renewal(identity, [(403, {"code": "relay_revoked", "detail": "out."})])
    await asyncio.sleep(10)
    renewal.line.last_failure = Unauthenticated("bus_refused", "no.")
    await asyncio.sleep(5)
    assert renewal.revoked
    assert len(renewal.asked) == 1
    await asyncio.sleep(3600)
    renewal.task.cancel()
    assert len(renewal.asked) < 20, "a revoked relay asks rarely"


@pytest.mark.looptime
async def test_another_refusal_does_not_take_us_down(identity: Identity) -> None:
    renewal = Renewal(identity, [(403, {"code": "forbidden"})])
    renewal.line.last_failure = Unauthenticated("bus_refused", "no.")
    await asyncio.sleep(100)
    renewal.task.cancel()
    assert not renewal.revoked
    assert len(renewal.asked) <= 6


async def test_a_host_enrols_by_command_keeps_the_answer_and_drops_what_another_relay_cached(
    front: Front, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("alt_secret\n")
    state = DiskState.at(str(tmp_path / "state"))
    state.identity()
    await state.save_enrolment(enrolment_of("somebody", 9))
    await state.save_snapshot(b"of another life")
    flags = ["--state-dir", str(tmp_path / "state"), "--backend", "memory", "--registry", front.url]
    flags += ["--token-file", str(token), "--name", "me", "--endpoint", "192.0.2.1:51820", "--json"]

    assert await asyncio.to_thread(cli.main, ["enrol", *flags], {}) == cli.OK

    enrolment = state.enrolment()
    assert enrolment is not None
    assert enrolment.relay.id == "rly_me"
    assert state.mesh() == []
    said = json.loads(front.asked[0][2])
    assert (said["token"], said["name"], said["endpoints"]) == ("alt_secret", "me", ["192.0.2.1:51820"])
    assert said["nkey"] == state.identity().nkey
