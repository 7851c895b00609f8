"""Making relays and clients of the lab known to the registry, through its public API alone.

Everything is named after its host, so that a repeated run finds what an earlier one made. Invariant: a client's
private key is made here, for the file on its own host, and is never sent.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence

from altnet.common.errors import AltnetError, Conflict
from altnet.common.files import write_private
from altnet.common.keys import PrivateKey
from altnet.host.lab import launcher, members
from altnet.host.lab.api import Api, eventually
from altnet.host.lab.commands import run
from altnet.host.lab.members import ControlPlane
from altnet.host.lab.settings import LabSettings
from altnet.host.lab.state import LabFiles, Tunnel
from altnet.host.lab.topology import Host, Topology
from altnet.relay_agent.control import ask_status


def open_api(control: ControlPlane) -> Api:
    """The API, from outside the lab, as its owner."""
    return Api(url=control.api, token=control.token)


def give_join_tokens(hosts: Sequence[Host], topology: Topology, files: LabFiles, control: ControlPlane) -> None:
    """One token for all of them, good for as many uses."""
    token = open_api(control).join_token(uses=len(hosts))
    for host in hosts:
        members.write_agent_config(host, topology, files, registry=control.inside, join_token=token)


def await_relays(names: Sequence[str], files: LabFiles, control: ControlPlane, *, timeout: float) -> float:
    """Wait until each is up and has applied what is desired of it, by its agent's word and by the registry's.

    Returns the seconds it took. Raises `Unavailable` (`not_in_time`) naming who is behind, and in what.
    """
    pending: list[str] = list(names)

    def settled() -> bool:
        pending[:] = agents_behind(files, names)
        if not pending:
            pending[:] = behind(open_api(control), names)
        return not pending

    return eventually(
        settled,
        timeout=timeout,
        poll=files.settings.poll,
        what=f"{len(names)} relays are in sync",
        describe=lambda: f"Behind: {'; '.join(pending)}.",
    )


def agents_behind(files: LabFiles, names: Sequence[str]) -> list[str]:
    """Which of these relays' agents say of themselves that they are not done, asked on their control sockets."""

    async def ask(name: str) -> str | None:
        try:
            status = await ask_status(str(members.agent_socket(files, name)), timeout=files.settings.agent_timeout)
        except AltnetError as error:
            return f"{name}: {error.detail}"
        if not status.bus_connected:
            return f"{name} is not on the bus ({status.bus_problem or 'yet'})"
        return None if status.settled and status.health == "ok" else f"{name} is busy ({status.health})"

    async def ask_all() -> list[str | None]:
        return await asyncio.gather(*(ask(name) for name in names))

    return [answer for answer in asyncio.run(ask_all()) if answer is not None]


def behind(api: Api, names: Sequence[str]) -> list[str]:
    """Which of these relays are not as desired in the registry's eyes, and in what."""
    listed = {relay.name: relay for relay in api.relays()}
    mesh = {one.relay: one for one in api.mesh()}
    found = []
    for name in names:
        relay = listed.get(name)
        if relay is None:
            found.append(f"{name} has not enrolled")
        elif relay.health != "up":
            found.append(f"{name} is {relay.health}")
        elif relay.id not in mesh:
            found.append(f"{name} is not in the mesh")
        elif not mesh[relay.id].in_sync:
            found.append(f"{name}: {' '.join(reason.detail for reason in mesh[relay.id].reasons)}")
    return found


def make_client(host: Host, number: int, files: LabFiles, control: ControlPlane) -> Tunnel:
    """A client of this host in the registry and its file on the host, unless both are there. `number` spreads
    clients over relays."""
    config = files.make_host(host.name) / "alt0.conf"
    key_file = files.host(host.name) / "private-key"
    if not key_file.exists():
        write_private(key_file, base64.b64encode(PrivateKey.generate().reveal()))
    key = PrivateKey.parse(key_file.read_text())
    api = open_api(control)
    known = api.client(host.name)
    if known is None:
        relays = api.relays()
        relay = relays[number % len(relays)].id if relays else "auto"
        made = api.create_client(name=host.name, key=key.public().base64, relay=relay)
        client = made.id
        if made.change is not None:
            _await_change(api, made.change, files.settings)
    elif known.key == key.public().base64:
        client = known.id
    else:
        raise Conflict("client_has_other_key", f"the registry knows {host.name} with another key.")
    write_private(config, with_private_key(api.client_config(client), key).encode())
    return Tunnel(host=host.name, config=f"{host.name}/{config.name}", client=client)


def join(host: Host, files: LabFiles, control: ControlPlane) -> None:
    """Have altnetd on this host join by a token, unless it has. Raises `Unavailable` with what it said."""
    if members.has_joined(files, host.name):
        return
    members.write_altnetd_settings(host, files, registry=control.inside)
    token = files.host(host.name) / "join-token"
    write_private(token, open_api(control).join_token(uses=1, kind="client").encode())
    argv = [*members.altnetd_argv(host, files, "join"), "--token-file", str(token)]
    launcher.prepare()
    run(launcher.enter_argv(host, files, argv), timeout=files.settings.enrol_timeout)


def with_private_key(text: str, key: PrivateKey) -> str:
    """The wg-quick file with the key in its PrivateKey line. The result is a secret."""
    private = base64.b64encode(key.reveal()).decode()
    lines = [f"PrivateKey = {private}" if line.startswith("PrivateKey") else line for line in text.splitlines()]
    return "\n".join(lines) + "\n"


def _await_change(api: Api, number: int, settings: LabSettings) -> None:
    """Wait until every relay concerned has applied a change."""
    behind: list[str] = []

    def applied() -> bool:
        found = api.change(number, wait=settings.change_wait)
        behind[:] = [relay.name for relay in found.behind]
        return found.complete

    eventually(
        applied,
        timeout=settings.enrol_timeout,
        poll=settings.poll,
        what=f"change {number} is applied",
        describe=lambda: f"Behind: {', '.join(behind)}.",
    )
