"""`altnet up` hosts keyd: a host that enrols makes contact by its token, and an owner's token reads who it is."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

import pytest
from altnet.common.bus.connect import Bus, BusSettings
from altnet.common.bus.nkey import make_nkey
from altnet.common.calls import https_post
from altnet.common.clock import SystemClock
from altnet.common.contracts.agent import Versions
from altnet.common.contracts.keyd import IdentityState
from altnet.common.errors import AltnetError
from altnet.common.settings import Secret
from altnet.relay_agent.disk_state import DiskState
from altnet.relay_agent.enrol import Registry
from altnet.relay_agent.keyd import KeydContact, remember_token
from altnet.relay_agent.membership import Membership
from altnet.relay_agent.settings import Timers
from altnet.relay_agent.state import make_identity
from support.control_plane import COMMAND, ControlPlane, environment

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


async def test_a_host_enrols_makes_contact_and_is_known_by_its_keys(control: ControlPlane, tmp_path: Path) -> None:
    async with control.client() as operator:
        token = Secret(await operator.join_token(uses=1))
        state = DiskState(tmp_path / "agent", make=lambda: make_identity(make_nkey=make_nkey))
        state.open()
        await remember_token(state, token)
        registry = Registry(control.url, post=https_post(), clock=SystemClock(), timeout=20)
        enrolment = await registry.enrol(
            state.identity(),
            token=token,
            name="berlin-1",
            endpoints=("192.0.2.1:51820",),
            mesh_port=51820,
            access_port=51830,
            region="",
            labels={},
            versions=Versions(),
        )
        await state.save_enrolment(enrolment)
        membership = Membership(state, enrolment, clock=SystemClock())
        async with Bus(
            BusSettings(servers=enrolment.bus.servers), membership.credentials, name=enrolment.relay.id
        ) as bus:
            await bus.wait_connected(20)
            contact = KeydContact(
                state, membership, bus=bus, clock=SystemClock(), random=lambda: 0.5, timers=Timers(keyd_spread=0)
            )
            standing = None
            async with asyncio.timeout(30):
                while standing is None:
                    try:
                        standing = await contact.meet()
                    except AltnetError:  # keyd has not heard of it yet
                        await asyncio.sleep(0.2)

        assert standing.state is IdentityState.ACTIVE
        known = (await operator.http.get(f"/v1/identities/{enrolment.relay.id}")).json()
        keys = (await operator.http.get("/v1/keyd/keys")).json()
        assert known["fingerprint"] == contact.status()["fingerprint"]
        assert keys["fingerprint"] == contact.status()["keyd_fingerprint"]
        listed = await asyncio.to_thread(
            subprocess.run,
            [*COMMAND, "identities", "list", "--state", "active", "--json"],
            capture_output=True,
            env=environment(ALTNET_API=control.url, ALTNET_TOKEN_FILE=str(control.facts["owner_token"])),
            timeout=60,
            check=True,
        )
        assert [one["fingerprint"] for one in json.loads(listed.stdout)] == [standing.fingerprint]
        kek = control.data / "secrets" / "keyd" / "kek"
        assert kek.stat().st_mode & 0o777 == 0o600
        assert (tmp_path / "agent" / "keyd.json").stat().st_mode & 0o777 == 0o600
        assert not state.keyd().psk
