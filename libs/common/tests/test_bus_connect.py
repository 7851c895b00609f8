"""The Bus against a real nats-server that comes, goes, hangs and refuses."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from altnet.common.bus.connect import Bus, BusSettings, Message, port_is_closed
from altnet.common.bus.credentials import Credentials
from altnet.common.bus.jwt import BusIdentity, service_credentials
from altnet.common.clock import SystemClock
from altnet.common.embedded.nats import NatsServer, NatsSettings
from altnet.common.errors import Forbidden, Invalid, TooLarge, Unauthenticated, Unavailable
from support.nats import RelayBus, ServiceBus, relay_credentials

WITHIN = 10.0


class Heard:
    """Collects messages; `await heard.next()` gives one."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Message] = asyncio.Queue()

    async def __call__(self, message: Message) -> None:
        self.queue.put_nowait(message)

    async def next(self) -> Message:
        async with asyncio.timeout(WITHIN):
            return await self.queue.get()


async def freeze(pid: int) -> None:
    """SIGSTOP, and wait until every thread has stopped, which takes the kernel a moment."""
    os.kill(pid, signal.SIGSTOP)
    async with asyncio.timeout(WITHIN):
        while not all_stopped(pid):  # noqa: ASYNC110 - the kernel sends no event
            await asyncio.sleep(0.001)


def all_stopped(pid: int) -> bool:
    states = [path.read_text().rpartition(")")[2].split()[0] for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return set(states) == {"T"}


async def until_lost(bus: Bus) -> None:
    async with asyncio.timeout(WITHIN):
        while bus.connected:  # noqa: ASYNC110 - there is no event for it, nothing but tests waits for it
            await asyncio.sleep(0.001)


async def test_a_bus_starts_without_nats_and_connects_once_it_is_there(
    nats_server: NatsServer, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    await nats_server.stop()
    heard = Heard()
    connects: list[bool] = []
    async with Bus(bus_settings, service_credentials(bus_identity, "keyd"), name="keyd") as bus:

        async def connected() -> None:
            connects.append(bus.connected)

        bus.on_connect(connected)
        await bus.subscribe("alt.v1.rpc.keyd.*", heard)
        with pytest.raises(Unavailable) as away:
            await bus.publish("alt.v1.evt.keyd.x", b"")
        with pytest.raises(Unavailable):
            await bus.wait_connected(0.05)
        async with asyncio.timeout(WITHIN):
            while not bus.nobody_listens:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.001)
        await nats_server.start()
        await bus.wait_connected(WITHIN)
        assert not bus.nobody_listens
        await bus.publish("alt.v1.rpc.keyd.hello", b"now")
        assert (await heard.next()).data == b"now"
        assert connects == [True]
        assert away.value.code == "bus_down"


@pytest.mark.parametrize("how", ["restart", "kill", "wipe"])
async def test_subscriptions_and_callbacks_hold_across_a_servers_end(
    nats_server: NatsServer, service_bus: ServiceBus, how: str
) -> None:
    bus = await service_bus("keyd")
    heard = Heard()
    connects: asyncio.Queue[int] = asyncio.Queue()

    async def connected() -> None:
        connects.put_nowait(bus.counters.connects)

    bus.on_connect(connected)  # connected already: called at once
    await bus.subscribe("alt.v1.rpc.keyd.*", heard)
    match how:
        case "restart":
            await nats_server.restart()
        case "kill":
            await nats_server.kill()
            await nats_server.start()
        case _:
            await nats_server.wipe()
    async with asyncio.timeout(WITHIN):
        assert [await connects.get(), await connects.get()] == [1, 2]
    await bus.publish("alt.v1.rpc.keyd.hello", b"again")
    assert (await heard.next()).data == b"again"


async def test_a_handlers_failure_is_counted_and_the_next_message_is_heard(service_bus: ServiceBus) -> None:
    bus = await service_bus("keyd")
    heard = Heard()

    async def handle(message: Message) -> None:
        if message.data == b"bad":
            raise RuntimeError("no")
        await heard(message)

    await bus.subscribe("alt.v1.rpc.keyd.*", handle)
    await bus.publish("alt.v1.rpc.keyd.x", b"bad")
    await bus.publish("alt.v1.rpc.keyd.x", b"good", headers={"A": "1"})
    got = await heard.next()
    assert (got.data, got.headers, bus.counters.handler_errors) == (b"good", {"A": "1"}, 1)


async def test_a_failing_callback_does_not_keep_the_others_from_theirs(service_bus: ServiceBus) -> None:
    bus = await service_bus("keyd")
    second = asyncio.Event()

    async def fail() -> None:
        raise RuntimeError("no")

    async def succeed() -> None:
        second.set()

    bus.on_connect(fail)
    bus.on_connect(succeed)
    second.clear()
    bus.reconnect()
    async with asyncio.timeout(WITHIN):
        await second.wait()
    assert bus.counters.handler_errors >= 1


async def test_a_stopped_subscription_hears_no_more_also_after_a_reconnect(
    nats_server: NatsServer, service_bus: ServiceBus
) -> None:
    bus = await service_bus("keyd")
    stopped, kept = Heard(), Heard()
    subscription = await bus.subscribe("alt.v1.rpc.keyd.*", stopped)
    await bus.subscribe("alt.v1.rpc.keyd.*", kept)
    await subscription.stop()
    await nats_server.restart()
    await until_lost_then_back(bus)
    await bus.publish("alt.v1.rpc.keyd.x", b"")
    await kept.next()
    assert stopped.queue.empty()


async def until_lost_then_back(bus: Bus) -> None:
    async with asyncio.timeout(WITHIN):
        while bus.counters.connects < 2:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.001)


async def test_a_request_in_flight_fails_at_once_when_the_server_dies(
    nats_server: NatsServer, service_bus: ServiceBus
) -> None:
    bus, other = await service_bus("keyd"), await service_bus("dnsd")
    asked = Heard()
    await other.subscribe("alt.v1.rpc.dnsd.*", asked)
    await other.flush()
    started = time.monotonic()
    async with asyncio.TaskGroup() as group:
        group.create_task(asked_then_killed(asked, nats_server))
        with pytest.raises(Unavailable) as failed:
            await bus.request("alt.v1.rpc.dnsd.x", b"", timeout=60)
    assert failed.value.code == "bus_down"
    assert time.monotonic() - started < 5


async def asked_then_killed(asked: Heard, server: NatsServer) -> None:
    await asked.next()
    await server.kill()


async def test_nobody_there_and_too_late_are_told_apart(service_bus: ServiceBus) -> None:
    bus, other = await service_bus("keyd"), await service_bus("dnsd")
    with pytest.raises(Unavailable) as nobody:
        await bus.request("alt.v1.rpc.dnsd.x", b"")
    await other.subscribe("alt.v1.rpc.dnsd.*", Heard())
    await other.flush()
    with pytest.raises(Unavailable) as late:
        await bus.request("alt.v1.rpc.dnsd.x", b"", timeout=0.05)
    assert (nobody.value.code, late.value.code) == ("bus_no_responders", "bus_timeout")


async def test_what_is_not_allowed_says_so_at_once_and_is_counted(service_bus: ServiceBus) -> None:
    bus = await service_bus("keyd")
    started = time.monotonic()
    with pytest.raises(Forbidden) as refused:
        await bus.request("alt.v1.evt.registry.X", b"", timeout=60)
    subscription = await bus.subscribe("alt.v1.Desired.>", Heard())
    await bus.flush()
    assert refused.value.code == "bus_permission"
    assert subscription.refused is not None
    assert bus.violations == 2
    assert time.monotonic() - started < 5
    assert bus.connected


async def test_bad_subjects_and_oversized_payloads_are_refused_before_they_go_out(service_bus: ServiceBus) -> None:
    bus = await service_bus("keyd")
    with pytest.raises(Invalid):
        await bus.publish("alt.v1.evt.keyd.x\r\nPUB evil 0", b"")
    with pytest.raises(Invalid):
        await bus.publish("alt.v1.evt.keyd.x", b"", headers={"a b": "c"})
    with pytest.raises(TooLarge):
        await bus.publish("alt.v1.evt.keyd.x", bytes(bus.max_payload + 1))


async def test_an_answer_that_comes_late_does_not_end_the_reading(
    nats_server: NatsServer, service_bus: ServiceBus
) -> None:
    # nats-py: a PONG for a flush that was given up raised in the read loop and ended it
    bus = await service_bus("keyd")
    heard = Heard()
    await bus.subscribe("alt.v1.rpc.keyd.*", heard)
    await bus.flush()
    assert nats_server.pid is not None
    await freeze(nats_server.pid)
    try:
        with pytest.raises(Unavailable):
            await bus.flush(0.05)
    finally:
        os.kill(nats_server.pid, signal.SIGCONT)
    await bus.flush()
    await bus.publish("alt.v1.rpc.keyd.x", b"alive")
    assert (await heard.next()).data == b"alive"
    assert bus.counters.losses == 0


async def test_closing_ends_in_time_although_the_server_hangs(
    nats_server: NatsServer, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    settings = msgspec.structs.replace(bus_settings, close_timeout=0.3, outgoing_bytes=2**30)
    bus = Bus(settings, service_credentials(bus_identity, "keyd"), name="keyd")
    assert nats_server.pid is not None
    async with bus:
        await bus.wait_connected(WITHIN)
        await freeze(nats_server.pid)
        for _ in range(32):  # more than the sockets' buffers hold
            await bus.publish("alt.v1.evt.keyd.x", bytes(2**20))
        started = time.monotonic()
    os.kill(nats_server.pid, signal.SIGCONT)
    assert time.monotonic() - started < 3
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


async def test_a_subscription_that_is_drained_while_the_server_hangs_ends_in_time_and_is_not_made_again(
    nats_server: NatsServer, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    settings = msgspec.structs.replace(bus_settings, request_timeout=0.2, close_timeout=0.2)
    heard = Heard()
    assert nats_server.pid is not None
    async with Bus(settings, service_credentials(bus_identity, "keyd"), name="keyd") as bus:
        await bus.wait_connected(WITHIN)
        inbox = await bus.subscribe_inbox(heard)
        await freeze(nats_server.pid)
        try:
            with pytest.raises(TimeoutError):
                await inbox.drain()
        finally:
            os.kill(nats_server.pid, signal.SIGCONT)
        assert inbox not in bus._subscriptions


async def test_a_server_that_does_not_read_makes_publishers_wait_and_then_fail(
    nats_server: NatsServer, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    settings = msgspec.structs.replace(bus_settings, request_timeout=0.2, outgoing_bytes=2**20, close_timeout=0.2)
    assert nats_server.pid is not None
    async with Bus(settings, service_credentials(bus_identity, "keyd"), name="keyd") as bus:
        await bus.wait_connected(WITHIN)
        await freeze(nats_server.pid)
        try:
            with pytest.raises(Unavailable):
                await flood(bus, 64)
        finally:
            os.kill(nats_server.pid, signal.SIGCONT)


async def flood(bus: Bus, messages: int) -> None:
    for _ in range(messages):
        await bus.publish("alt.v1.evt.keyd.x", bytes(2**20))
        await asyncio.sleep(0)


async def test_a_slow_handler_loses_messages_and_they_are_counted(
    bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    settings = msgspec.structs.replace(bus_settings, pending_messages=10)
    release = asyncio.Event()
    seen = 0

    async def slow(message: Message) -> None:
        nonlocal seen
        await release.wait()
        seen += 1

    async with Bus(settings, service_credentials(bus_identity, "keyd"), name="keyd") as bus:
        await bus.wait_connected(WITHIN)
        await bus.subscribe("alt.v1.rpc.keyd.*", slow)
        for _ in range(100):
            await bus.publish("alt.v1.rpc.keyd.x", b"")
        await bus.flush()
        release.set()
        heard = Heard()
        await bus.subscribe("alt.v1.rpc.keyd.last", heard)
        await bus.publish("alt.v1.rpc.keyd.last", b"")
        await heard.next()
        assert bus.counters.dropped >= 85
        assert bus.connected


async def test_renewed_credentials_are_used_at_the_next_connection(
    bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    asked: list[str] = []

    def fresh() -> Credentials:
        credentials = relay_credentials(bus_identity, "rly_1")
        asked.append(credentials.jwt)
        return credentials

    async with Bus(bus_settings, fresh, name="rly_1") as bus:
        await bus.wait_connected(WITHIN)
        before = len(asked)
        bus.reconnect()
        await until_lost_then_back(bus)
        assert len(asked) > before
        assert bus.connected


async def test_who_waits_for_a_connection_that_was_lost_at_this_moment_gets_the_next_one(
    service_bus: ServiceBus,
) -> None:
    bus = await service_bus("keyd")
    before = bus.counters.connects
    bus.reconnect()
    await bus.wait_connected(WITHIN)
    assert bus.counters.connects == before + 1


async def test_an_expired_pass_ends_the_connection_and_a_renewed_one_brings_it_back(
    bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    current = relay_credentials(bus_identity, "rly_1", life=timedelta(seconds=3))
    async with Bus(bus_settings, lambda: current, name="rly_1") as bus:
        await bus.wait_connected(WITHIN)
        await until_lost(bus)
        async with asyncio.timeout(WITHIN):
            while not bus.counters.refusals:  # noqa: ASYNC110 - nothing but tests waits for it
                await asyncio.sleep(0.005)
        with pytest.raises(Unauthenticated) as refused:
            await bus.wait_connected(0)
        current = relay_credentials(bus_identity, "rly_1")
        bus.reconnect()
        await bus.wait_connected(WITHIN)
        assert refused.value.code == "bus_refused"


async def test_the_bus_goes_on_trying_when_credentials_can_not_be_read(
    bus_settings: BusSettings, bus_identity: BusIdentity, tmp_path: Path
) -> None:
    path = tmp_path / "rly_1.creds"
    async with Bus(bus_settings, lambda: Credentials.read(path), name="rly_1") as bus:
        with pytest.raises(Unavailable):
            await bus.wait_connected(0.1)
        relay_credentials(bus_identity, "rly_1").write(path)
        await bus.wait_connected(WITHIN)


async def test_another_installations_users_are_refused(bus_settings: BusSettings) -> None:
    foreign = BusIdentity.create(SystemClock())
    async with Bus(bus_settings, service_credentials(foreign, "registry"), name="registry") as bus:
        async with asyncio.timeout(WITHIN):
            while not bus.counters.refusals:  # noqa: ASYNC110 - as above; the server first asks its peers, for 2 s
                await asyncio.sleep(0.01)
        with pytest.raises(Unauthenticated):
            await bus.wait_connected(0)


@pytest.fixture
async def plain_listener() -> AsyncIterator[str]:
    """A server that greets without offering TLS, as somebody in the middle would."""
    received = bytearray()

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"X","version":"2.15.1","headers":true,"max_payload":1024,"nonce":"abc"}\r\n')
        with contextlib.suppress(ConnectionError):
            received.extend(await reader.read(4096))
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        yield f"tls://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    assert b"jwt" not in received


async def test_a_tls_address_is_never_spoken_to_in_the_clear(plain_listener: str, bus_identity: BusIdentity) -> None:
    settings = BusSettings(servers=(plain_listener,), reconnect_wait=0.02, reconnect_wait_max=0.05)
    async with Bus(settings, service_credentials(bus_identity, "keyd"), name="keyd") as bus:
        with pytest.raises(Unavailable, match="TLS"):
            await bus.wait_connected(0.3)


async def test_over_tls_the_servers_certificate_is_checked(
    nats_directory: Path, bus_identity: BusIdentity, tmp_path: Path
) -> None:
    certificate, key = self_signed(tmp_path)
    trusting = {"tls_ca": str(certificate), "tls_hostname": "localhost"}
    async with NatsServer(
        nats_directory, bus_identity, tls=(certificate, key), settings=NatsSettings(sync_always=False)
    ) as server:
        known = BusSettings(servers=(server.url,), reconnect_wait=0.02, reconnect_wait_max=0.05, **trusting)
        unknown = BusSettings(servers=(server.url,), reconnect_wait=0.02, reconnect_wait_max=0.05)
        credentials = service_credentials(bus_identity, "keyd")
        async with Bus(known, credentials, name="keyd") as bus:
            await bus.wait_connected(WITHIN)
        async with Bus(unknown, credentials, name="keyd") as bus:
            with pytest.raises(Unavailable):
                await bus.wait_connected(0.3)


async def test_a_relays_subscription_takes_nothing_that_was_stored_under_another_subject(
    registry_bus: Bus, service_bus: ServiceBus, relay_bus: RelayBus
) -> None:
    # keyd has JetStream deliver its own event where rly_1 waits for its orders
    relay, keyd = await relay_bus("rly_1"), await service_bus("keyd")
    heard = Heard()
    await relay.subscribe("alt.v1.desired.relay.rly_1", heard)
    await relay.flush()
    await keyd.request("alt.v1.evt.keyd.key.rotated.x", b"forged", headers={"Nats-Subject": "$KV.relay.rly_1"})
    config = {"name": "keyd", "durable_name": "keyd", "ack_policy": "explicit", "deliver_policy": "all"}
    request = {"stream_name": "EVT", "config": config}
    await keyd.request("$JS.API.CONSUMER.CREATE.EVT.keyd", msgspec.json.encode(request))
    await keyd.publish_with_reply("$JS.API.CONSUMER.MSG.NEXT.EVT.keyd", b'{"batch":1}', "alt.v1.desired.relay.rly_1")
    async with asyncio.timeout(WITHIN):
        while relay.counters.dropped == 0:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.001)
    assert heard.queue.empty()


def self_signed(directory: Path) -> tuple[Path, Path]:
    """A certificate for localhost and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = SystemClock().now()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = directory / "cert.pem", directory / "key.pem"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file


async def test_one_cancellation_ends_a_bus_wherever_it_is_in_connecting(
    nats_server: NatsServer, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    # asyncio.wait_for inside nats-py swallows a cancellation that comes with the answer (Python < 3.12); a bus that
    # missed it would keep asyncio.run from ending
    credentials = service_credentials(bus_identity, "keyd")
    for number in range(60):
        bus = Bus(bus_settings, credentials, name="keyd")
        await bus.__aenter__()
        for _ in range(number):
            await asyncio.sleep(0)
        assert bus._keeper is not None
        bus._keeper.cancel()
        _, pending = await asyncio.wait([bus._keeper], timeout=WITHIN)
        assert not pending, number


@pytest.mark.parametrize(
    ("error", "closed"),
    [
        (ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 4222)"), True),
        (OSError("Multiple exceptions: [Errno 111] Connect call failed (::1), [Errno 111] Connect call failed"), True),
        (OSError("Multiple exceptions: [Errno 111] Connect call failed (::1), [Errno 113] No route to host"), False),
        (OSError(101, "Network is unreachable"), False),
        (TimeoutError(), False),
        (RuntimeError("[Errno 111]"), False),
    ],
)
def test_a_closed_port_is_told_from_a_network_that_is_not_there(error: Exception, closed: bool) -> None:
    assert port_is_closed(error) is closed
