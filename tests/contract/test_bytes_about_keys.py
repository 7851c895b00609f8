"""What is said about keys, over the bus, in the channel and to a client, bears any bytes: a value, or an error of ours.

Each parser is met where it is used, so that what is tested is what a reader does, not what msgspec does. The rest of
them are in `test_bytes_from_the_network.py`. Bounded, and the same at each run.
"""

from __future__ import annotations

import base64
import contextlib
import socket
import struct
import zlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from ipaddress import IPv6Address
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from altnet.client.echo import Edge
from altnet.client.plan import plan_of
from altnet.client.registry import Joined
from altnet.common import calls
from altnet.common.bus import channel, nkey, rpc
from altnet.common.bus.client import Connection
from altnet.common.bus.connect import BusSettings, Message
from altnet.common.clock import SystemClock
from altnet.common.contracts import lock
from altnet.common.contracts.attach import Answer as Attached
from altnet.common.contracts.attach import pack as pack_word
from altnet.common.contracts.client import AccessPoint, ClientConfig, KeyWish, NextPoint
from altnet.common.contracts.client_keys import check, prove
from altnet.common.contracts.desired import unpack_delta, unpack_relay_document, unpack_snapshot
from altnet.common.contracts.envelope import decode_event
from altnet.common.contracts.identity_keys import IDENTITY_PURPOSE, IdentitiesOrder, IdentityOrder
from altnet.common.contracts.keyd import Ask, KeyReport, PairReport, PairTrouble, Standing
from altnet.common.contracts.lock import HostCertificates, LockPage, LockQuery, LockReport, Refusal
from altnet.common.contracts.mesh_keys import (
    CLIENTS_PURPOSE,
    PURPOSE,
    ClientKeysOrder,
    ClientKeysTaken,
    SignedOrder,
)
from altnet.common.contracts.preshared import LARGEST_MESSAGE, Confirm
from altnet.common.errors import AltnetError, Broken, Forbidden, Invalid, Unauthenticated, Unavailable
from altnet.common.keys import PrivateKey
from altnet.common.lock.log import Entry, SignedEntry
from altnet.common.signing import SigningKey
from altnet.keyd.channel import ChannelServer
from altnet.keyd.settings import ChannelSettings
from altnet.registry.answers import answer_client_keys, answer_identity_keys, answer_mesh_keys
from altnet.relay_agent.probe import Link, UdpProber, _Probed
from altnet.relay_agent.psk import wire
from hypothesis import given
from hypothesis import strategies as st
from support.locksmith import Locksmith
from support.mangle import mangled, mangled_text

LETTERS = (b"s", b"1", b"2", b"3", b"a")
KEY, OTHER, THIRD = (PrivateKey.generate(lambda count, letter=letter: letter * count) for letter in (b"k", b"o", b"t"))
SIGNING, *OWNERS, AUTHORITY = (SigningKey.generate(lambda count, letter=letter: letter * count) for letter in LETTERS)
DEEP = b'{"of_a_later_version":' + b"[" * 5000
"""JSON that no reader follows to its end."""
NOT_UTF8 = b'{"network":"\x80\xff","relay":"\x80"}'
UNREADABLE = (DEEP, NOT_UTF8, b"", b"null", b"[]", b"{}", b"\xff" * 9)

# -- the network lock ------------------------------------------------------------------------------------------------

SMITH = Locksmith("net_1", owners=OWNERS, authority=AUTHORITY)
MINE = SMITH.certificate("rly_a", KEY.public().base64, by=SIGNING)
PAGE = LockPage(
    network="net_1",
    since=0,
    version=2,
    length=1,
    head=SMITH.take(SMITH.init()).hash,
    entries=SMITH.log.entries,
    statements=(SMITH.relay("rly_a", slot=1, identity=SIGNING.public().base64),),
    hosts=(HostCertificates(relay="rly_a", certificates=(MINE,)),),
)


@given(st.one_of(mangled(lock.pack(PAGE)), mangled(msgspec.json.encode(PAGE), DEEP).map(zlib.compress)))
def test_a_page_of_the_lock_is_read_or_broken_and_so_is_what_it_holds(data: bytes) -> None:
    with contextlib.suppress(Broken):
        page = lock.unpack(data)
        for signed in (*page.entries, *page.statements):
            with contextlib.suppress(AltnetError):
                signed.opened()
        with contextlib.suppress(AltnetError):
            SMITH.log.follow(length=page.length, head=page.head, entries=page.entries)


@pytest.mark.parametrize("plain", UNREADABLE)
def test_a_page_that_no_reader_understands_is_broken(plain: bytes) -> None:
    with pytest.raises(Broken):
        lock.unpack(zlib.compress(plain))
    with pytest.raises(Broken):
        lock.unpack(plain)


@given(mangled_text(SMITH.log.entries[0].entry, DEEP.decode()))
def test_an_entry_of_the_lock_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(Invalid):
        assert isinstance(SignedEntry(entry=text).opened(), Entry)


def test_an_entry_that_is_nested_beyond_reason_is_refused() -> None:
    with pytest.raises(Invalid):
        SignedEntry(entry=DEEP.decode()).opened()


# -- what a relay says in its channel --------------------------------------------------------------------------------

ASKS: tuple[Any, ...] = (
    KeyReport(epoch=1, key=KEY.public().base64, port=51821, generation=3, switched=("rly_b",), certificate=MINE),
    LockReport(
        certificates=(MINE,), length=1, head=PAGE.head, refused=(Refusal(object="rly_b", what="key", reason="no."),)
    ),
    PairReport(troubles=(PairTrouble(neighbour="rly_b", why="no_answer"),)),
)


class _Channel(ChannelServer):
    """Answers whatever it understands."""

    async def _handle(self, request: Any, ask: Ask) -> Standing:
        return msgspec.convert({"state": "active"}, Standing)


def _channel() -> _Channel:
    nothing = cast("Any", SimpleNamespace(note=lambda *_: None))
    return _Channel(
        db=nothing,
        bus=nothing,
        clock=SystemClock(),
        responder=nothing,
        keyring=nothing,
        refusals=nothing,
        first_contacts=None,
        settings=ChannelSettings(),
    )


async def _reply(data: bytes) -> channel.Reply:
    return await _channel()._reply(cast("Any", SimpleNamespace(plain=data, peer="rly_a")))


@given(mangled(*(msgspec.json.encode(one) for one in ASKS), DEEP))
async def test_what_a_relay_says_in_its_channel_is_understood_or_refused_by_name(data: bytes) -> None:
    failure = (await _reply(data)).failure
    assert failure is None or (failure.kind, failure.code) == ("invalid", "bad_ask")


@pytest.mark.parametrize("data", UNREADABLE)
async def test_what_keyd_does_not_understand_is_no_failure_of_keyd(data: bytes) -> None:
    failure = (await _reply(data)).failure
    assert failure is not None
    assert (failure.kind, failure.code) == ("invalid", "bad_ask")


REPLIES = (
    channel.Reply(ok=msgspec.Raw(b'{"state":"active"}')),
    channel.Reply(failure=rpc.Failure(kind="too_many", code="slow_down", detail="later.", after=3.0)),
)


@given(mangled(*(msgspec.json.encode(one) for one in REPLIES), DEEP, b'{"ok":' + DEEP))
def test_what_keyd_answers_in_a_channel_is_an_answer_or_an_error(data: bytes) -> None:
    with contextlib.suppress(AltnetError):
        assert isinstance(channel._read(data, Standing), Standing)


# -- questions and answers of the bus --------------------------------------------------------------------------------

QUERIES: tuple[Any, ...] = (
    LockQuery(since=1, length=1, clients=("cli_a",)),
    SignedOrder(order="{}", signature="QUJD"),
)


async def _handled(data: bytes, kind: type[msgspec.Struct]) -> tuple[dict[str, str], bytes]:
    async def handler(asked: msgspec.Struct, _: rpc.RpcContext) -> msgspec.Struct:
        return asked

    context = rpc.RpcContext(relay="rly_a", trace=None)
    return await rpc._handle(Message("subject", data), context, kind, handler, largest=4096, within=5.0)


@given(mangled(*(msgspec.json.encode(one) for one in QUERIES), DEEP))
async def test_a_question_is_handed_on_or_refused_by_name(data: bytes) -> None:
    for kind in (LockQuery, SignedOrder):
        headers, _ = await _handled(data, kind)
        assert headers.get(rpc.HEADER_ERROR) in (None, "invalid", "too_large")


@pytest.mark.parametrize("data", [DEEP[:4000], b'{"clients":["\x80"]}', b"", b"null"])
async def test_a_question_that_nobody_understands_is_no_failure_of_who_answers(data: bytes) -> None:
    headers, _ = await _handled(data, LockQuery)
    assert headers == {rpc.HEADER_ERROR: "invalid"}


ANSWERS: tuple[Any, ...] = (
    PAGE,
    ClientKeysTaken(done=1, announced=0, asked=0, waiting=2),
    rpc.Failure(kind="invalid", code="bad", detail="no.", field="/x", mend="do."),
    rpc.Failure(kind="too_many", code="slow_down", detail="later.", after=3.0),
)


@given(mangled(*(msgspec.json.encode(one) for one in ANSWERS), DEEP), st.booleans())
async def test_an_answer_on_the_bus_is_read_or_an_error_of_ours(data: bytes, failed: bool) -> None:
    class Voice:
        settings = BusSettings()

        async def request(self, subject: str, *_: Any, **__: Any) -> Message:
            return Message(subject, data, {rpc.HEADER_ERROR: "x"} if failed else {})

    for kind in (LockPage, ClientKeysTaken):
        with contextlib.suppress(AltnetError):
            assert isinstance(await rpc.call(cast("Any", Voice()), "keyd", "lock", LockQuery(), kind), kind)


KEYD_PUBLIC, KEYD_SEED = nkey.make_nkey(randomness=lambda count: b"n" * count)
AT = datetime(2026, 5, 1, tzinfo=UTC)
ORDERS: tuple[Any, ...] = (
    ClientKeysOrder(network="net_1", rotation="rot_1", since=AT, until=AT),
    IdentitiesOrder(relays=(IdentityOrder(relay="rly_a", static="k", signing="s"),)),
)


def _signed(purpose: bytes, text: str) -> SignedOrder:
    signature = base64.b64encode(nkey.sign(KEYD_SEED, purpose + text.encode())).decode()
    return SignedOrder(order=text, signature=signature)


class _NoDatabase:
    """An order that was understood comes this far."""

    def transaction(self, **_: Any) -> Any:
        raise Unavailable("no_database", "there is none.")


_answer_client_keys = partial(answer_client_keys, here=lambda _client, _relays: None)


@given(mangled_text(*(msgspec.json.encode(one).decode() for one in ORDERS), DEEP.decode()))
async def test_an_order_that_keyd_signed_is_understood_or_refused_by_name(text: str) -> None:
    for purpose, answer in (
        (CLIENTS_PURPOSE, _answer_client_keys),
        (IDENTITY_PURPOSE, answer_identity_keys),
        (PURPOSE, answer_mesh_keys),
    ):
        order = _signed(purpose, text)
        with pytest.raises((Invalid, Unavailable)) as refusal:
            await answer(cast("Any", _NoDatabase()), order, keyd=KEYD_PUBLIC)
        assert refusal.value.code in ("bad_key_order", "bad_identity_order", "no_database")


@pytest.mark.parametrize(
    ("answer", "purpose"),
    [
        (_answer_client_keys, CLIENTS_PURPOSE),
        (answer_identity_keys, IDENTITY_PURPOSE),
        (answer_mesh_keys, PURPOSE),
    ],
)
async def test_an_order_that_is_nested_beyond_reason_is_refused_by_name(answer: Any, purpose: bytes) -> None:
    with pytest.raises(Invalid, match="recursion"):
        await answer(cast("Any", _NoDatabase()), _signed(purpose, DEEP.decode()), keyd=KEYD_PUBLIC)


@given(
    mangled(b"NATS/1.0\r\nAlt-Error: invalid\r\nAlt-Trace:  x \r\n\r\n", b"a:b\r\n: \r\n\xff\xfe: \x80\r\nx y: z\r\n")
)
def test_header_lines_of_a_message_are_texts_whatever_they_hold(data: bytes) -> None:
    found = Connection._parse_header_lines(data)
    assert all(isinstance(text, str) for pair in found.items() for text in pair)
    assert all(name and not name.isspace() for name in found)
    assert len(found) <= data.count(b":")


@pytest.mark.parametrize("read", [unpack_snapshot, unpack_delta, unpack_relay_document])
def test_a_document_that_is_nested_beyond_reason_is_broken(read: Callable[[bytes], object]) -> None:
    with pytest.raises(Broken):
        read(zlib.compress(DEEP))


def test_an_event_that_is_nested_beyond_reason_is_broken() -> None:
    with pytest.raises(Broken):
        decode_event("registry.relay.revoked", 1, DEEP)


# -- words of a pair -------------------------------------------------------------------------------------------------

WORD = wire.encoded(Confirm(exchange=bytes(16), mac=bytes(32)))
WAY: dict[str, str] = {"sender": "rly_a", "receiver": "rly_b", "network": "net_1"}


def _words(data: bytes) -> bytes:
    """What a neighbour that has its own key may say."""
    return wire.sealed(data.decode(errors="replace").encode(), **WAY, key=SIGNING)


@given(st.one_of(mangled(wire.sealed(WORD, **WAY, key=SIGNING), DEEP), mangled(WORD, DEEP).map(_words)))
def test_a_word_of_a_pair_is_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(Broken, Unauthenticated):
        word, raw = wire.read(data, **WAY, key=SIGNING.public())
        assert msgspec.json.decode(raw, type=type(word)) == word


@pytest.mark.parametrize("data", [*(one[:LARGEST_MESSAGE] for one in UNREADABLE), _words(DEEP), bytes(9000)])
def test_a_word_that_nobody_understands_is_broken(data: bytes) -> None:
    with pytest.raises(Broken):
        wire.read(data, **WAY, key=SIGNING.public())


# -- packets ---------------------------------------------------------------------------------------------------------

PROBE = struct.pack(">4sBxHQ16x", b"altp", 2, 7, 1)
CONTROL = st.lists(
    st.tuples(
        st.sampled_from([socket.IPPROTO_IPV6, socket.SOL_SOCKET]),
        st.sampled_from([socket.IPV6_PKTINFO, socket.IPV6_HOPLIMIT, 1]),
        st.one_of(st.binary(max_size=24), st.just(struct.pack("=i", 255)), st.just(bytes(16) + struct.pack("=I", 1))),
    ),
    max_size=4,
)
FROM = st.one_of(st.just("fe80::7"), st.just("fe80::7%lo"), st.text(max_size=20))


def _prober() -> UdpProber:
    prober = UdpProber(51900, lambda: None, clock=SystemClock(), timeout=1.0, random=lambda: 0.5)
    prober._links = {7: _Probed(Link(neighbour="rly_g", name="lo", slot=7), sent={1: 0.0})}
    prober._slots = {"rly_g": 7}
    return prober


@given(st.lists(st.tuples(mangled(PROBE, longest=40), CONTROL, FROM), max_size=6))
def test_a_probe_counts_or_is_nothing_and_memory_stays_bounded(
    packets: Sequence[tuple[bytes, list[tuple[int, int, bytes]], str]],
) -> None:
    prober = _prober()
    for data, control, source in packets:
        prober._heard(data, control, (source, 51900, 0, 1))
    quality = prober.quality("rly_g")
    assert quality is not None
    assert quality.loss in (None, 0.0)
    assert set(prober._links) == {7}


class _Socket:
    """Gives what has come, then nothing."""

    def __init__(self, *packets: bytes) -> None:
        self._packets = list(packets)

    def recvfrom(self, size: int) -> tuple[bytes, tuple[str, int, int, int]]:
        if not self._packets:
            raise BlockingIOError
        return self._packets.pop(0)[:size], ("fd42::1%3", 0, 0, 3)


ECHO = struct.pack(">BBHHH8sQ", 129, 0, 0, 0x6565, 1, b"e" * 8, 1)
ANSWER = pack_word(Attached(number=1, counter=2, attached=True, news=3))


@given(st.lists(mangled(ECHO, ANSWER, longest=40), max_size=6))
def test_what_comes_to_a_client_is_an_answer_once_or_nothing(packets: list[bytes]) -> None:
    echoed: list[IPv6Address] = []
    words: list[Attached] = []
    edge = Edge(
        clock=SystemClock(),
        echoed=lambda source, _: echoed.append(source),
        answered=lambda _, word: words.append(word),
        randomness=lambda count: b"e" * count,
    )
    edge.ask(IPv6Address("fd42::1"), source=IPv6Address("fd42::2"))
    edge._ping, edge._words = cast("Any", _Socket(*packets)), cast("Any", _Socket(*packets))
    edge._receive_echo()
    edge._receive_word()
    assert len(echoed) <= (ECHO in packets)
    assert all(isinstance(word, Attached) for word in words)


# -- what the registry tells a client --------------------------------------------------------------------------------

CONFIG = ClientConfig(
    client="cli_a",
    name="phone",
    network="net_1",
    prefix="fd42:1337:beef::/48",
    addresses=("fd42:1337:beef:1001::10/128",),
    routes=("fd42:1337:beef::/48", "192.0.2.0/24"),
    mtu=1420,
    keepalive=25,
    relays=(
        AccessPoint(
            relay="rly_a",
            name="a",
            key=OTHER.public().base64,
            endpoints=("192.0.2.1:51830", "[2001:db8::1]:51830", "relay.example:51830"),
            address="fd42:1337:beef:1001::1",
            priority=0,
            next=NextPoint(key=THIRD.public().base64, endpoints=("192.0.2.1:51831",)),
        ),
    ),
    key=KEY.public().base64,
    wish=KeyWish(epoch=2, challenge=OTHER.public().base64),
    movable=True,
)
JOINED = msgspec.json.encode({"client": {"id": "cli_a", "name": "a"}, "configuration": CONFIG, "secret": "s"})


@given(mangled(msgspec.json.encode(CONFIG), JOINED, DEEP))
def test_a_clients_configuration_is_read_or_refused_and_so_is_what_it_asks_for(data: bytes) -> None:
    answer = calls.Answer(status=200, headers={}, body=data)
    with contextlib.suppress(Unavailable):
        calls.read_answer(answer, Joined)
    with contextlib.suppress(Unavailable):
        config = calls.read_answer(answer, ClientConfig)
        for moved in (False, True):
            with contextlib.suppress(Invalid):
                plan_of(config, moved=moved)


@given(
    st.sampled_from(["prefix", "addresses", "routes", "key", "next_key", "address", "endpoint"]),
    mangled_text("fd42:1337:beef::/48", "fd42:1337:beef:1001::1", "192.0.2.1:51830", KEY.public().base64),
)
def test_a_configuration_with_one_odd_text_is_a_plan_or_refused_by_name(where: str, text: str) -> None:
    relay = CONFIG.relays[0]
    fields: dict[str, Any] = {
        "prefix": text,
        "addresses": (text,),
        "routes": (text,),
        "key": text,
        "next_key": text,
        "address": (msgspec.structs.replace(relay, address=text),),
        "endpoint": (msgspec.structs.replace(relay, endpoints=(text,), key=text),),
    }
    name = where if where not in ("address", "endpoint") else "relays"
    config = msgspec.structs.replace(CONFIG, **{name: fields[where]})
    for moved in (False, True):
        with contextlib.suppress(Invalid):
            plan_of(config, moved=moved)


PROBLEM = b'{"title":"t","detail":"d","code":"c","mend":"m","errors":[{"pointer":"/x"},{}]}'


@given(
    st.sampled_from([200, 301, 400, 401, 404, 408, 409, 413, 422, 429, 500, 503]),
    mangled(PROBLEM, DEEP),
    st.one_of(st.text(max_size=8), st.sampled_from(["3", "-1", "1e9", "\xb2", "9" * 400, ""])),
)
def test_a_problem_is_an_error_of_ours_whatever_it_says(status: int, body: bytes, wait: str) -> None:
    error = calls.problem(calls.Answer(status=status, headers={"Retry-After": wait}, body=body))
    assert isinstance(error, AltnetError)
    assert 0 <= getattr(error, "after", 0.0) <= calls.LONGEST_WAIT


@pytest.mark.parametrize("wait", ["\xb2", "9" * 400])
def test_a_wait_that_is_no_number_of_seconds_is_not_waited_for(wait: str) -> None:
    error = calls.problem(calls.Answer(status=429, headers={"Retry-After": wait}, body=b"{}"))
    assert 0 < getattr(error, "after", 0.0) <= calls.LONGEST_WAIT


@pytest.mark.parametrize("body", UNREADABLE)
def test_an_answer_that_nobody_understands_is_unavailable(body: bytes) -> None:
    with pytest.raises(Unavailable):
        calls.read_answer(calls.Answer(status=200, headers={}, body=body), ClientConfig)


PROOF = prove(client="cli_a", epoch=2, challenge=OTHER.public(), present=KEY, following=THIRD)


@given(st.one_of(mangled_text(PROOF), st.text(st.characters(categories=["Cs", "L"]), max_size=50)))
def test_a_proof_of_two_keys_is_the_one_there_is_or_refused(text: str) -> None:
    try:
        check(text, client="cli_a", epoch=2, challenge=OTHER, present=KEY.public(), following=THIRD.public())
    except Forbidden:
        assert text != PROOF
    else:
        assert text == PROOF
