"""Every parser of bytes that come from outside bears any bytes: a value, or its own error, and an end.

Bounded here, and the same at each run; `ALTNET_HYPOTHESIS=search pytest tests/contract/test_bytes_from_the_network.py`
looks on.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import struct
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from altnet.common.bus.credentials import Credentials
from altnet.common.clock import FixedClock
from altnet.common.contracts import attach
from altnet.common.contracts.agent import Applied, Heartbeat
from altnet.common.contracts.desired import (
    MeshDelta,
    MeshSettings,
    MeshSnapshot,
    RelayDocument,
    pack,
    unpack_delta,
    unpack_relay_document,
    unpack_snapshot,
)
from altnet.common.contracts.envelope import decode_event, event_classes
from altnet.common.contracts.keyd import (
    Ask,
    FirstContact,
    FirstContactQuery,
    Frame,
    HostReport,
    KeysQuery,
    Look,
    Register,
    ServiceKeys,
    Standing,
    Tell,
)
from altnet.common.contracts.mesh_keys import MeshKeysOrder, SignedOrder
from altnet.common.contracts.routing import Engine, LearnedTable, RouteQuery, RouteTable
from altnet.common.errors import AltnetError, Broken, Invalid, Unauthenticated, Unavailable
from altnet.common.http.auth import Role, TokenIssuer, TokenVerifier, check_api_token, new_api_token
from altnet.common.http.paging import decode_cursor, encode_cursor
from altnet.common.kernel import netlink, rt_links, rt_routes, wg_messages
from altnet.common.kernel.netlink import HEADER, attribute
from altnet.common.kernel.uapi_text import DeviceParser
from altnet.common.kernel.wg_messages import GENL
from altnet.common.keys import PrivateKey
from altnet.common.noise import wire
from altnet.common.noise.initiator import Initiator
from altnet.common.noise.pins import KeyUse, Pins, ServiceKey, follow
from altnet.common.noise.responder import Responder
from altnet.common.seal import seal, unseal
from altnet.registry.domain.tokens import make_token, read_token
from altnet.relay_agent.bird import state as bird
from altnet.relay_agent.bird.control import Control
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from support.mangle import mangled, mangled_text
from support.relays import entry

NOW = datetime(2026, 5, 1, tzinfo=UTC)
KEY = PrivateKey.generate(lambda count: b"k" * count)
OTHER = PrivateKey.generate(lambda count: b"o" * count)
RELAY = "rly_06f3k000000000000000000000"

# -- the channel -----------------------------------------------------------------------------------------------------

HELLO = Initiator(RELAY, KEY).attempt(OTHER.public()).frame
FRAMES = (HELLO, b"\x02" + bytes(64), b"\x03" + bytes(40))


@given(mangled(*FRAMES))
def test_a_frame_of_the_channel_is_read_or_refused(data: bytes) -> None:
    for read in (wire.read_hello, wire.read_welcome, wire.read_record):
        with contextlib.suppress(Invalid):
            read(data)


@given(st.lists(mangled(*FRAMES), min_size=1, max_size=5))
def test_a_responder_answers_any_frames_with_a_welcome_or_a_typed_refusal_and_stays_fit(frames: list[bytes]) -> None:
    responder = Responder(replica=bytes(wire.ID_BYTES))
    responder.answer_for({OTHER.public(): OTHER})
    for number, frame in enumerate(frames):
        with contextlib.suppress(AltnetError):
            arrival = responder.arrive(frame, peer=RELAY, now=float(number))
            if not isinstance(arrival, bytes):
                responder.welcome(arrival, expected=KEY.public(), psk=None, now=float(number))
        with contextlib.suppress(AltnetError):
            responder.open(frame, peer=RELAY, now=float(number))
    assert responder.sessions <= len(frames)


@given(mangled_text(seal(b"secret", to=KEY.public(), context=b"c")))
def test_a_sealed_text_opens_or_is_broken(text: str) -> None:
    with contextlib.suppress(Broken):
        assert unseal(text, key=KEY, context=b"c") == b"secret"


@given(
    st.lists(
        st.builds(
            ServiceKey,
            use=st.sampled_from(KeyUse),
            key=mangled_text(KEY.public().base64),
            endorsed_by=mangled_text(KEY.public().base64),
            endorsement=mangled_text("QUJD"),
        ),
        max_size=4,
    )
)
def test_keys_of_keyd_that_lead_nowhere_are_refused(keys: list[ServiceKey]) -> None:
    pins = Pins(static=KEY.public().base64, signing=base64.b64encode(bytes(32)).decode())
    with contextlib.suppress(Unauthenticated, Invalid):
        assert follow(pins, keys) == pins, "an unsigned key was followed"


# -- the bus ---------------------------------------------------------------------------------------------------------

SNAPSHOT = MeshSnapshot(network="n", prefix="fd00::/48", generation=1, settings=MeshSettings(), relays=(entry("a", 1),))
DELTA = MeshDelta(network="n", prev=1, generation=2, changed=(entry("a", 1),), removed=("rly_b",))
DOCUMENT = RelayDocument(relay="rly_a", network="n", generation=1)


JSONS = [msgspec.json.encode(one) for one in (SNAPSHOT, DELTA, DOCUMENT)]


@given(st.one_of(mangled(*(pack(one) for one in (SNAPSHOT, DELTA, DOCUMENT))), mangled(*JSONS).map(zlib.compress)))
def test_a_document_is_read_or_broken(data: bytes) -> None:
    for read in (unpack_snapshot, unpack_delta, unpack_relay_document):
        with contextlib.suppress(Broken):
            read(data)


PAYLOADS: tuple[Any, ...] = (
    Applied(mesh_generation=1, mesh_digest="x", document_generation=1, document_digest="y"),
    Heartbeat(
        boot="b",
        number=1,
        applied=Applied(mesh_generation=1, mesh_digest="x", document_generation=1, document_digest="y"),
    ),
    Look(),
    Register(signing_key="k", signature="s"),
    Tell(events=(HostReport(number=1, at=NOW, code="revoked"),)),
    Standing(state="active"),
    Frame(data=b"x"),
    KeysQuery(),
    ServiceKeys(keys=()),
    FirstContactQuery(relay="r", to="k", signature="s"),
    FirstContact(identity="k", psk="p", signature="s"),
    SignedOrder(order="{}", signature="s"),
    MeshKeysOrder(network="n", rotation="r", relays=()),
    RouteQuery(),
    RouteTable(engine=Engine.BIRD, routes=()),
    LearnedTable(digest="d"),
)
TYPES = (*(type(one) for one in PAYLOADS if type(one) not in (Look, Register, Tell)), Ask)


@given(mangled(*(msgspec.json.encode(one) for one in PAYLOADS)))
def test_a_payload_of_the_bus_is_read_or_refused_by_its_contract(data: bytes) -> None:
    """By `ValueError`, as all who read one expect: msgspec's own are such, and so is what Python says of bad UTF-8."""
    for kind in TYPES:
        with contextlib.suppress(ValueError):
            again = msgspec.json.decode(data, type=kind)
            msgspec.json.encode(again)


NOT_UTF8 = b'{"network":"\x80\xff","relay":"\x80","generation":1}'


def test_text_that_is_not_utf_8_is_refused_like_everything_else_that_cannot_be_read() -> None:
    for read in (unpack_snapshot, unpack_delta, unpack_relay_document):
        with pytest.raises(Broken):
            read(NOT_UTF8)
        with pytest.raises(Broken):
            read(zlib.compress(NOT_UTF8))
    with pytest.raises(Broken):
        decode_event("registry.relay.revoked", 1, b'{"relay":"\x80"}')


KINDS = [(cls.kind, cls.version) for cls in event_classes()]


@given(st.sampled_from(KINDS), mangled(b'{"relay":"r","change":1}', b"{}"))
def test_an_event_is_read_or_broken(kind: tuple[str, int], data: bytes) -> None:
    with contextlib.suppress(Broken):
        decode_event(*kind, data)


@given(mangled_text("eyJhbGciOiJlZDI1NTE5LW5rZXkifQ.eyJuYW1lIjoicmx5X2EifQ.c2ln"))
def test_a_pass_to_the_bus_shows_its_claims_or_is_refused(text: str) -> None:
    with contextlib.suppress(Invalid):
        assert isinstance(Credentials(text, b"").claims, dict)


# -- tokens ----------------------------------------------------------------------------------------------------------

JOIN, _ = make_token("jtk_06f3k000000000000000000000", lambda count: b"x" * count)
CLOCK = FixedClock(NOW)
SIGNING = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
ACCESS = TokenIssuer(SIGNING, CLOCK).issue("somebody", role=Role.OWNER, lifetime=timedelta(hours=1)).text.reveal()
API = new_api_token(CLOCK, lambda count: b"a" * count).text.reveal()
VERIFIER = TokenVerifier([SIGNING.public_key()], CLOCK)


@given(mangled_text(JOIN))
def test_a_join_token_is_taken_apart_or_refused_without_being_repeated(text: str) -> None:
    said = ""
    try:
        read_token(text)
    except Invalid as refusal:
        said = str(refusal)
    assert len(text) < 8 or text not in said


@given(mangled_text(ACCESS, longest=6000))
def test_an_access_token_is_ours_or_nobodys(text: str) -> None:
    said = ""
    try:
        assert VERIFIER.verify(text).id == "somebody"
        assert text.split(".")[:2] == ACCESS.split(".")[:2]
    except Unauthenticated as refusal:
        said = str(refusal)
    assert len(text) < 8 or text not in said


@given(mangled_text(API))
async def test_an_api_token_is_looked_up_or_nobodys(text: str) -> None:
    async def nobody(_: object) -> None:
        return None

    with pytest.raises(Unauthenticated):
        await check_api_token(text, nobody, clock=CLOCK)


@given(mangled_text(encode_cursor("relays", "a", "b")))
def test_a_cursor_is_ours_or_refused(text: str) -> None:
    with contextlib.suppress(Invalid):
        decode_cursor(text, name="relays", types=(str, str))


@given(mangled(attach.pack(attach.Hello(number=1, counter=2, attached=True, rtt=0.01))))
def test_a_clients_datagram_is_a_word_or_nothing(data: bytes) -> None:
    said = attach.unpack(data)
    assert said is None or attach.unpack(attach.pack(said)) == said


# -- BIRD ------------------------------------------------------------------------------------------------------------

REPLIES = (
    b"2002-altm2       BGP        ---        up     2026-05-01    Established\n1006-  Channel ipv6\n0000 \n",
    b"1007-Table master6:\n fd42::2/128 unicast [m2 2026-05-01] * (100/-) [AS420i]\n\tvia fe80::2 on altl2\n0000 \n",
    b"1008-\tBGP.as_path: 420 421\n\tBGP.large_community: (1, 2, 3)\n8001 Network not found\n",
    b"0001 BIRD 2.0.12 ready.\n",
)


class _Nowhere:
    def write(self, _: bytes) -> None: ...
    async def drain(self) -> None: ...
    def close(self) -> None: ...


@given(mangled(*REPLIES, longest=600))
async def test_what_bird_says_is_read_or_a_typed_error_and_its_lines_are_borne(data: bytes) -> None:
    reader = asyncio.StreamReader(limit=2**12)
    reader.feed_data(data)
    reader.feed_eof()
    control = Control(reader, _Nowhere(), deadline=5.0)  # type: ignore[arg-type]  # the part that is used
    try:
        lines = await control.ask("show route")
    except AltnetError:
        return
    bird.protocols(lines)
    bird.routes(lines)
    bird.bfd_sessions(lines)
    bird.bfd_neighbours(lines)


# -- the kernel and wireguard-go -------------------------------------------------------------------------------------

UAPI = (
    b"private_key=" + b"11" * 32 + b"\nlisten_port=51820\npublic_key=" + b"22" * 32 + b"\nendpoint=[fe80::1%eth0]:1\n"
    b"allowed_ip=fd00::/64\nallowed_ip=10.0.0.0/8\nlast_handshake_time_sec=5\nrx_bytes=7\nerrno=0\n\n"
)


@given(mangled(UAPI, longest=600))
def test_what_wireguard_go_says_is_a_device_or_a_typed_error(data: bytes) -> None:
    parser = DeviceParser("altm0")
    with contextlib.suppress(Unavailable):
        parser.feed(data.split(b"\n"))
        parser.device()


def _wireguard() -> bytes:
    address = attribute(1, struct.pack("=H", socket.AF_INET6)) + attribute(2, bytes(16)) + attribute(3, b"\x40")
    endpoint = struct.pack("=H", socket.AF_INET) + struct.pack(">H", 51820) + bytes(12)
    peer = attribute(1, KEY.public().raw) + attribute(4, endpoint) + attribute(9, attribute(0, address))
    device = attribute(4, KEY.public().raw) + attribute(6, b"\x6c\xca") + attribute(8, attribute(0, peer))
    return bytes(GENL.size) + device


@given(st.lists(mangled(_wireguard()), max_size=3))
def test_what_the_kernel_says_of_a_wireguard_device_is_read_or_a_typed_error(bodies: list[bytes]) -> None:
    with contextlib.suppress(Unavailable):
        wg_messages.device("altm0", bodies)


LINK = struct.pack("=BxHiII", 0, 1, 7, 1, 0) + attribute(3, b"altl2\0") + attribute(4, struct.pack("=I", 1420))
ADDRESS = struct.pack("=BBBBi", socket.AF_INET6, 64, 0, 0, 7) + attribute(1, bytes(16))
MESSAGE = HEADER.pack(HEADER.size + 4, 2, 0, 1, 0) + bytes(4)


@given(mangled(LINK, ADDRESS, longest=120))
def test_what_the_kernel_says_of_links_and_addresses_is_read_or_a_typed_error(data: bytes) -> None:
    for read in (rt_links._read_link, rt_links._read_address):
        with contextlib.suppress(Unavailable):
            read(data)


@given(
    st.tuples(*(st.integers(0, 255) for _ in range(9))),
    st.dictionaries(st.integers(0, 30), st.binary(max_size=24), max_size=6),
)
def test_what_the_kernel_says_of_a_route_is_read_or_a_typed_error(
    head: tuple[int, ...], fields: dict[int, bytes]
) -> None:
    with contextlib.suppress(Unavailable):
        rt_routes._read(head, fields)


@given(mangled(MESSAGE, MESSAGE * 3))
def test_netlink_messages_end_whatever_their_lengths_say(data: bytes) -> None:
    for count, (_, flags, _, body) in enumerate(netlink._messages(data)):
        assert count <= len(data) // HEADER.size
        with contextlib.suppress(Unavailable, netlink.NetlinkError):
            netlink._refusal(flags, body)
            netlink._raise_done(body)
        list(netlink.attributes(body))
