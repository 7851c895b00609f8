"""What the stream of events holds, read as an administrator would, to be compared with the outboxes' ledger."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from altnet.common.bus.connect import Bus, BusSettings
from altnet.common.bus.jsapi import JetStreamError, call
from altnet.common.bus.subjects import EVENT_STREAM
from altnet.common.clock import SystemClock
from altnet.common.contracts.envelope import HEADER_ID
from altnet.host.secrets import SecretsDir

from support.control_plane import ControlPlane

_NO_MESSAGE = 10037


@asynccontextmanager
async def admin_bus(control: ControlPlane) -> AsyncIterator[Bus]:
    """The bus as its administrator."""
    identity = SecretsDir(control.data / "secrets").bus_identity(SystemClock())
    servers = tuple(control.facts["bus_local"])
    async with Bus(BusSettings(servers=servers), lambda: identity.credentials("admin"), name="test") as bus:
        await bus.wait_connected(10)
        yield bus


async def stored_ids(control: ControlPlane) -> list[str]:
    """The id of every event in the stream, in order."""
    async with admin_bus(control) as bus:
        state = (await call(bus, f"STREAM.INFO.{EVENT_STREAM}"))["state"]
        ids = []
        for sequence in range(state["first_seq"], state["last_seq"] + 1):
            try:
                found = await call(bus, f"STREAM.MSG.GET.{EVENT_STREAM}", {"seq": sequence})
            except JetStreamError as error:
                if error.number != _NO_MESSAGE:
                    raise
                continue
            headers = base64.b64decode(found["message"]["hdrs"]).decode()
            lines = dict(line.split(": ", 1) for line in headers.split("\r\n") if ": " in line)
            ids.append(lines[HEADER_ID])
        return ids


async def ledger_ids(control: ControlPlane) -> list[str]:
    """The id of every event that was ever written, in order within each service's ledger."""
    sql = await control.sql()
    try:
        schemas = await sql.fetch(
            "SELECT schemaname AS name FROM pg_tables WHERE tablename = 'outbox' ORDER BY name DESC"
        )
        ledgers = [await sql.fetch(f"SELECT id::text AS id FROM {s['name']}.outbox ORDER BY ordinal") for s in schemas]
    finally:
        await sql.close()
    return [row["id"] for rows in ledgers for row in rows]
