"""`altnet-agent`: run, enrol, new-keys, status, show, plan, down, version.

Never asks a question. Prints for people, or JSON with `--json`; errors go to standard error with field, reason and
mend. Exit codes: 0 done (for `status`: well), 1 failed, 2 wrong use or settings, 3 no agent runs, 4 the agent runs
and something is not as it should be, 5 (for `plan`) there is something to do.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
from altnet.common import heap, log
from altnet.common.clock import SystemClock
from altnet.common.contracts.routing import RouteQuery, RouteView, SessionStatus
from altnet.common.errors import AltnetError, Conflict, Invalid, NotFound
from altnet.common.settings import load
from altnet.relay_agent import VERSION
from altnet.relay_agent.control import ask_learned, ask_routes, ask_status
from altnet.relay_agent.disk_state import DiskState
from altnet.relay_agent.settings import ENV_PREFIX, AgentSettings
from altnet.relay_agent.state import not_enrolled
from altnet.relay_agent.status import AgentStatus

CONFIG: Final = Path("/etc/altnet/agent.toml")

OK, FAILED, USAGE, NOT_RUNNING, UNWELL, WORK_TO_DO = range(6)

_FLAGS: Final = {
    "state_dir": "STATE_DIR",
    "registry": "REGISTRY_URL",
    "token_file": "JOIN_TOKEN_FILE",
    "name": "NAME",
    "endpoint": "ENDPOINTS",
    "region": "REGION",
    "label": "LABELS",
    "lock_fingerprint": "LOCK_FINGERPRINT",
    "interface_prefix": "INTERFACE_PREFIX",
    "backend": "BACKEND",
}


def main(arguments: Sequence[str] | None = None, env: Mapping[str, str] | None = None) -> int:
    """Run one command; returns its exit code."""
    options = _parser().parse_args(arguments)
    env = os.environ if env is None else env
    if options.command == "version":
        print(VERSION)
        return OK
    try:
        settings = read_settings(options, env)
        log.configure(json=settings.log.json, level=settings.log.level)
        return asyncio.run(_COMMANDS[options.command](settings, options, env))
    except AltnetError as error:
        return _fail(error, json=options.json)
    except KeyboardInterrupt:
        return FAILED


def read_settings(options: argparse.Namespace, env: Mapping[str, str]) -> AgentSettings:
    """Defaults, then the file, then the environment, then flags. Raises `Invalid` (`bad_setting`)."""
    merged = dict(env)
    for flag, name in _FLAGS.items():
        value = getattr(options, flag, None)
        if not value:
            continue
        if flag == "label":
            value = msgspec.json.encode(dict(_label(text) for text in value)).decode()
        elif flag == "endpoint":
            value = ",".join(value)
        if flag == "token_file":
            merged.pop(f"{ENV_PREFIX}_JOIN_TOKEN", None)
        merged[f"{ENV_PREFIX}_{name}"] = value
    file = Path(options.config) if options.config else CONFIG if CONFIG.exists() else None
    return load(AgentSettings, prefix=ENV_PREFIX, env=merged, file=file)


async def _run(settings: AgentSettings, _options: argparse.Namespace, env: Mapping[str, str]) -> int:
    # Imported here, so that `status`, which people and scripts ask often, loads neither NATS nor netlink.
    heap.grow()
    from altnet.relay_agent.main import run

    heap.settle()
    await run(settings, env=env)
    return OK


async def _enrol(settings: AgentSettings, options: argparse.Namespace, _env: Mapping[str, str]) -> int:
    from altnet.relay_agent.host import open_host
    from altnet.relay_agent.main import enrol

    state = DiskState.at(settings.state_dir, seal=settings.seal_identity)
    state.hold()
    host = await open_host(settings)
    try:
        enrolment = await enrol(settings, state=state, host=host, clock=SystemClock())
    finally:
        await host.close()
        state.release()
    relay, network = enrolment.relay, enrolment.network
    if options.json:
        _print_json({"relay": msgspec.to_builtins(relay), "network": msgspec.to_builtins(network)})
    else:
        print(f"Enrolled as {relay.name} ({relay.id}) in {network.name} {network.prefix}, address {relay.address}.")
    return OK


async def _new_keys(settings: AgentSettings, options: argparse.Namespace, _env: Mapping[str, str]) -> int:
    from altnet.relay_agent.new_keys import new_keys

    state = DiskState.at(settings.state_dir, seal=settings.seal_identity)
    state.hold()
    try:
        fingerprint = await new_keys(state)
    finally:
        state.release()
    if options.json:
        _print_json({"fingerprint": fingerprint})
    else:
        print(f"New identity keys, fingerprint {fingerprint}. Start the agent, and have an owner approve this host.")
    return OK


async def _status(settings: AgentSettings, options: argparse.Namespace, _env: Mapping[str, str]) -> int:
    try:
        status = await ask_status(settings.control_path, timeout=settings.timers.control_timeout)
    except NotFound:
        status = _stopped(settings)
    if options.json:
        _print_json(msgspec.to_builtins(status))
    else:
        print(render_status(status))
    if not status.running:
        return NOT_RUNNING
    return OK if status.health == "ok" else UNWELL


async def _show(settings: AgentSettings, options: argparse.Namespace, _env: Mapping[str, str]) -> int:
    match options.what:
        case "bird":
            return _show_bird(settings, json=options.json)
        case "sessions":
            status = await ask_status(settings.control_path, timeout=settings.timers.control_timeout)
            routing = status.routing
            sessions = (*routing.sessions, *routing.peerings) if routing is not None else ()
            if options.json:
                _print_json(msgspec.to_builtins(routing))
            else:
                print("\n".join(_session_lines(sessions)) or "No sessions: " + _why_none(status))
        case "learned":
            await _show_learned(settings, json=options.json)
        case _:
            await _show_routes(settings, options)
    return OK


def _show_bird(settings: AgentSettings, *, json: bool) -> int:
    from altnet.relay_agent.bird.config import mark_of, shown

    path = Path(settings.bird_dir) / "bird.conf"
    try:
        text = path.read_text()
    except OSError as error:
        raise NotFound(
            "no_bird_config",
            f"{path}: {error.strerror}.",
            mend="There is one while an agent with BIRD runs, or was killed: see `altnet-agent status`.",
        ) from None
    if json:
        _print_json({"path": str(path), "mark": mark_of(text), "text": shown(text)})
    else:
        print(shown(text), end="")
    return OK


async def _show_routes(settings: AgentSettings, options: argparse.Namespace) -> None:
    found: list[RouteView] = []
    query = RouteQuery(to=options.to or "")
    while True:
        table = await ask_routes(settings.control_path, query, timeout=settings.timers.control_timeout)
        found += table.routes
        if not table.more or not table.routes:
            break
        query = msgspec.structs.replace(query, after=table.routes[-1].prefix)
    if options.json:
        _print_json({"engine": table.engine, "routes": msgspec.to_builtins(found)})
        return
    for route in found:
        hops = ", ".join(hop.relay or hop.peering or hop.device for hop in route.next_hops) or "-"
        cost = "-" if route.cost is None else str(route.cost)
        print(f"{'*' if route.used else ' '} {route.prefix:<36}{hops:<24}{route.source:<12}{cost:>9}  {route.why}")


async def _show_learned(settings: AgentSettings, *, json: bool) -> None:
    table = await ask_learned(settings.control_path, timeout=settings.timers.control_timeout)
    if json:
        _print_json(msgspec.to_builtins(table))
        return
    for route in table.learned:
        path = " ".join(map(str, route.as_path))
        rest = " ".join((f"via {route.next_hop}", *route.communities))
        print(f"+ {route.prefix:<36}{route.peering:<24}{path}  {rest}")
    for refused in table.refused:
        path = " ".join(map(str, refused.as_path))
        print(f"- {refused.prefix:<36}{refused.peering:<24}{path}  {refused.reason}")
    if (unnamed := table.refused_count - len(table.refused)) > 0:
        print(f"- and {unnamed} more that are refused")
    if not table.digest:
        print("Routers outside have told nothing.")


def _why_none(status: AgentStatus) -> str:
    routing = status.routing
    return "no routing status." if routing is None else routing.problem or f"the engine is {routing.engine}."


def _session_lines(sessions: Sequence[SessionStatus]) -> list[str]:
    return [
        f"{one.neighbour}  {one.state}  bfd {one.bfd or '-'}  {one.received} received, {one.refused} refused, "
        f"{one.sent} sent  cost {one.cost if one.cost is not None else '-'}  {one.problem}".rstrip()
        for one in sessions
    ]


async def _plan(settings: AgentSettings, options: argparse.Namespace, _env: Mapping[str, str]) -> int:
    from altnet.relay_agent.diff import Update, describe
    from altnet.relay_agent.host import open_host
    from altnet.relay_agent.main import find_engine, versions_of
    from altnet.relay_agent.offline import plan

    state = DiskState.at(settings.state_dir, seal=settings.seal_identity)
    host, found = await open_host(settings), await find_engine(settings)
    try:
        runs_here = await versions_of(host, found)
        operations = await plan(settings, host=host, state=state, clock=SystemClock(), versions=runs_here, found=found)
    finally:
        await host.close()
    lines = [
        {
            "do": ("change" if it.have is not None else "add") if isinstance(it, Update) else "delete",
            "plane": it.plane,
            "what": describe(it),
        }
        for it in operations
    ]
    if options.json:
        _print_json(lines)
    elif not lines:
        print("Nothing to do: the host is as wanted.")
    else:
        print("\n".join(f"{line['do']:<7}{line['plane']:<12}{line['what']}" for line in lines))
    return WORK_TO_DO if lines else OK


async def _down(settings: AgentSettings, options: argparse.Namespace, _env: Mapping[str, str]) -> int:
    from altnet.relay_agent.host import open_host
    from altnet.relay_agent.offline import take_down

    state = DiskState.at(settings.state_dir, seal=settings.seal_identity)
    state.hold()
    host = await open_host(settings)
    try:
        done, failed = await take_down(settings, host=host, state=state, clock=SystemClock())
    finally:
        await host.close()
        state.release()
    if options.json:
        _print_json({"removed": done, "failed": failed})
    else:
        print("\n".join(f"removed {what}" for what in done) if done else "Nothing of the agent's is here.")
        for what in failed:
            print(f"NOT removed {what}", file=sys.stderr)
    return FAILED if failed else OK


_COMMANDS: Final = {
    "run": _run,
    "enrol": _enrol,
    "new-keys": _new_keys,
    "status": _status,
    "show": _show,
    "plan": _plan,
    "down": _down,
}


def _stopped(settings: AgentSettings) -> AgentStatus:
    """What the state directory tells when no agent runs. Raises `Invalid` (`not_enrolled`)."""
    enrolment = DiskState.at(settings.state_dir, seal=settings.seal_identity).enrolment()
    if enrolment is None:
        raise not_enrolled()
    return AgentStatus(
        running=False,
        relay=enrolment.relay.id,
        name=enrolment.relay.name,
        slot=enrolment.relay.slot,
        address=enrolment.relay.address,
        network=enrolment.network.name,
        prefix=enrolment.network.prefix,
        health="the agent is not running",
    )


def render_status(status: AgentStatus) -> str:
    """The status for people."""
    lines = [
        f"relay     {status.name} ({status.relay}), slot {status.slot}, {status.address}",
        f"network   {status.network} {status.prefix}",
        f"health    {status.health}",
    ]
    if not status.running:
        return "\n".join(lines)
    bus = "connected" if status.bus_connected else f"not connected: {status.bus_problem or 'not yet'}"
    up = sum(link.up for link in status.links)
    lines += [
        f"agent     {status.version}, WireGuard by {status.backend}, up {status.uptime:.0f} s",
        f"bus       {bus}",
        f"mesh      generation {status.applied_mesh_generation} applied of {status.mesh_generation}",
        f"document  generation {status.document_generation}; {status.repaired} pieces repaired since the start",
        f"keyd      {status.keyd}; {status.keyd_fingerprint or 'its keys are not pinned yet'}",
        f"identity  {status.fingerprint}",
        *([f"rotation  {status.rotation}"] if status.rotation else []),
        *([f"lock      {status.lock}"] if status.lock else []),
        *([f"preshared {status.preshared}"] if status.preshared else []),
        f"links     {up} of {len(status.links)} up, {len(status.clients)} clients seen",
    ]
    for link in status.links:
        rtt = f"{link.rtt * 1e3:.1f} ms" if link.rtt is not None else "-"
        loss = f"{link.loss:.0%}" if link.loss is not None else "-"
        age = f"{link.handshake_age:.0f} s ago" if link.handshake_age is not None else "never"
        state = "up" if link.up else "DOWN"
        where = link.endpoint or "no endpoint"
        psk = f"  preshared {link.preshared_age:.0f} s ago" if link.preshared_age is not None else ""
        lines.append(f"  {link.neighbour}  {state}  handshake {age}  rtt {rtt}  loss {loss}  {where}{psk}")
    if (routing := status.routing) is not None:
        by = f"{routing.engine} {routing.version}".strip()
        well = "" if routing.healthy else f": {routing.problem}"
        up = sum(one.state == "established" for one in routing.sessions)
        lines.append(f"routing   by {by}, {up} of {len(routing.sessions)} sessions, {routing.routes} routes{well}")
        lines += [f"  {line}" for line in _session_lines(routing.sessions)]
        if routing.peerings:
            up = sum(one.state == "established" for one in routing.peerings)
            lines.append(f"outside   {up} of {len(routing.peerings)} peerings")
            lines += [f"  {line}" for line in _session_lines(routing.peerings)]
    lines += [f"failed    {it['plane']} {it['object']}: {it['reason']}" for it in status.failed]
    return "\n".join(lines)


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise Invalid("bad_setting", f"{text!r} is not a label.", field="/labels", mend="Write name=value.")
    return name, value


def _fail(error: AltnetError, *, json: bool) -> int:
    if json:
        said = {"error": {"code": error.code, "detail": error.detail, "field": error.field, "mend": error.mend}}
        _print_json(said)
    else:
        print(f"altnet-agent: {error}", file=sys.stderr)
    if isinstance(error, NotFound) and error.code == "agent_not_running":
        return NOT_RUNNING
    return USAGE if isinstance(error, Invalid | Conflict) else FAILED


def _print_json(value: object) -> None:
    print(msgspec.json.format(msgspec.json.encode(value)).decode())


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", metavar="FILE", help=f"settings, TOML (default {CONFIG} if there)")
    common.add_argument("--state-dir", metavar="DIR", help="where keys and documents are kept")
    common.add_argument("--interface-prefix", metavar="NAME", help="start of the agent's interface names")
    common.add_argument("--backend", choices=("auto", "kernel", "wireguard-go", "memory"))
    common.add_argument("--json", action="store_true", help="print JSON")
    joining = argparse.ArgumentParser(add_help=False)
    joining.add_argument("--registry", metavar="URL", help="the registry's address")
    joining.add_argument("--token-file", metavar="FILE", help="file with the join token")
    joining.add_argument("--name", help="the relay's name (default: the host's)")
    joining.add_argument("--endpoint", action="append", metavar="HOST:PORT", help="where others reach it; repeatable")
    joining.add_argument("--region")
    joining.add_argument("--lock-fingerprint", metavar="TEXT", help="the network lock's, if it has one: take no other")
    joining.add_argument("--label", action="append", metavar="NAME=VALUE", help="repeatable")
    parser = argparse.ArgumentParser(prog="altnet-agent", description="The Altnet relay agent.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("run", parents=[common, joining], help="be this host's agent; enrols first if it has a token")
    commands.add_parser("enrol", parents=[common, joining], help="join a network, once")
    commands.add_parser("new-keys", parents=[common], help="replace identity keys that may be in other hands")
    commands.add_parser("status", parents=[common], help="how the running agent is")
    show = commands.add_parser("show", parents=[common], help="the routing engine: configuration, sessions, routes")
    show.add_argument("what", choices=("bird", "sessions", "routes", "learned"))
    show.add_argument("--to", metavar="ADDRESS", help="only routes that packets to it can take")
    commands.add_parser("plan", parents=[common], help="what would be changed on the host now")
    commands.add_parser("down", parents=[common], help="undo everything that the agent did to the host")
    commands.add_parser("version", parents=[common], help="the agent's version")
    return parser


if __name__ == "__main__":
    sys.exit(main())
