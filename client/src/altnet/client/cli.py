"""`altnetd`: join, run, status, down, key, version.

Never asks a question. Prints for people, or JSON with `--json`; errors go to standard error with field, reason and
mend. Exit codes: 0 done (for `status`: well), 1 failed, 2 wrong use or settings, 3 no altnetd runs, 4 it runs and
something is not as it should be.
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
from altnet.client import VERSION
from altnet.client.settings import ENV_PREFIX, ClientSettings
from altnet.client.state import DiskState, not_joined
from altnet.client.status import ClientView
from altnet.common import heap, log
from altnet.common.control import ask
from altnet.common.errors import AltnetError, Conflict, Invalid, NotFound
from altnet.common.settings import load

SETTINGS: Final = Path("/etc/altnet/client.toml")

OK, FAILED, USAGE, NOT_RUNNING, UNWELL = range(5)

_FLAGS: Final = {
    "state_dir": "STATE_DIR",
    "registry": "REGISTRY_URL",
    "token_file": "JOIN_TOKEN_FILE",
    "name": "NAME",
    "region": "REGION",
    "label": "LABELS",
    "interface": "INTERFACE",
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


def read_settings(options: argparse.Namespace, env: Mapping[str, str]) -> ClientSettings:
    """Defaults, then the file, then the environment, then flags. Raises `Invalid` (`bad_setting`)."""
    merged = dict(env)
    for flag, name in _FLAGS.items():
        value = getattr(options, flag, None)
        if not value:
            continue
        if flag == "label":
            value = msgspec.json.encode(dict(_label(text) for text in value)).decode()
        if flag == "token_file":
            merged.pop(f"{ENV_PREFIX}_JOIN_TOKEN", None)
        merged[f"{ENV_PREFIX}_{name}"] = value
    file = Path(options.settings) if options.settings else SETTINGS if SETTINGS.exists() else None
    return load(ClientSettings, prefix=ENV_PREFIX, env=merged, file=file)


async def _join(settings: ClientSettings, options: argparse.Namespace, _env: Mapping[str, str]) -> int:
    from altnet.client.main import join

    state = DiskState(Path(settings.state_dir))
    state.hold()
    try:
        joined = await join(settings, state=state)
    finally:
        state.release()
    config = joined.configuration
    relays = [relay.name for relay in config.relays]
    if options.json:
        _print_json({"client": joined.client.id, "name": joined.client.name, "addresses": config.addresses,
                     "network": config.network, "relays": relays})  # fmt: skip
    else:
        print(f"Joined {config.network} as {joined.client.name} ({joined.client.id}), {', '.join(config.addresses)}.")
        print(f"Relays: {', then '.join(relays) or 'none yet'}. Start it: altnetd run")
    return OK


async def _run(settings: ClientSettings, options: argparse.Namespace, env: Mapping[str, str]) -> int:
    # Imported here, so that `status`, which people and scripts ask often, loads no netlink.
    heap.grow()
    from altnet.client.main import run

    heap.settle()
    await run(settings, env=env, file=Path(options.config) if options.config else None)
    return OK


async def _status(settings: ClientSettings, options: argparse.Namespace, _env: Mapping[str, str]) -> int:
    try:
        view = await ask(
            settings.control_path,
            "status",
            ClientView,
            timeout=settings.timers.control_timeout,
            who="altnetd",
            mend="systemctl start altnetd",
        )
    except NotFound:
        view = _stopped(settings)
    if options.json:
        _print_json(msgspec.to_builtins(view))
    else:
        print(render(view))
    if not view.running:
        return NOT_RUNNING
    return OK if view.health == "ok" else UNWELL


async def _down(settings: ClientSettings, options: argparse.Namespace, _env: Mapping[str, str]) -> int:
    from altnet.client.main import take_down

    removed = await take_down(settings)
    if options.json:
        _print_json({"removed": [settings.interface] if removed else []})
    else:
        print(f"removed {settings.interface}" if removed else "Nothing of ours is here.")
    return OK


async def _key(settings: ClientSettings, options: argparse.Namespace, _env: Mapping[str, str]) -> int:
    public = DiskState(Path(settings.state_dir)).identity().key.public().base64
    if options.json:
        _print_json({"key": public})
    else:
        print(public)
    return OK


async def _rekey(settings: ClientSettings, options: argparse.Namespace, _env: Mapping[str, str]) -> int:
    from altnet.client.main import ask_for_key

    await ask_for_key(settings)
    if options.json:
        _print_json({"asked": True})
    else:
        print("Asked: the running altnetd makes another key and moves to it. See: altnetd status")
    return OK


_COMMANDS: Final = {
    "join": _join,
    "run": _run,
    "status": _status,
    "down": _down,
    "key": _key,
    "rekey": _rekey,
}


def _stopped(settings: ClientSettings) -> ClientView:
    """What the state directory tells when no altnetd runs. Raises `Invalid` (`not_joined`)."""
    config = DiskState(Path(settings.state_dir)).configuration()
    if config is None:
        raise not_joined()
    return ClientView(
        running=False,
        client=config.client,
        name=config.name,
        network=config.network,
        addresses=config.addresses,
        interface=settings.interface,
    )


def render(view: ClientView) -> str:
    """The status for people."""
    lines = [
        f"client    {view.name} ({view.client}), {', '.join(view.addresses)}",
        f"network   {view.network}",
        f"health    {view.health}",
    ]
    if not view.running:
        return "\n".join(lines)
    changing = ", changing keys" if view.changing_keys else ""
    held = "holds us" if view.attached else "has not said that it holds us"
    using = next((relay.name for relay in view.relays if relay.in_use), None)
    lines += [
        f"altnetd   {view.version}, {view.interface} by {view.backend}{changing}, up {view.uptime:.0f} s",
        f"relay     {using}, which {held}" if using is not None else "relay     none",
        f"moves     {view.moves}" + (f", last {view.last_move}" if view.last_move else ""),
    ]
    for relay in view.relays:
        state = "in use" if relay.in_use else "stands by"
        answers = "answers" if relay.answers else "SILENT"
        rtt = f"{relay.rtt * 1e3:.1f} ms" if relay.rtt is not None else "-"
        age = f"{relay.handshake_age:.0f} s ago" if relay.handshake_age is not None else "never"
        lines.append(
            f"  {relay.name}  {state}  {answers}  rtt {rtt}  handshake {age}  {relay.endpoint or 'no endpoint'}"
        )
    lines += [f"refused   {what}" for what in view.refused]
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
        print(f"altnetd: {error}", file=sys.stderr)
    return USAGE if isinstance(error, Invalid | Conflict) else FAILED


def _print_json(value: object) -> None:
    print(msgspec.json.format(msgspec.json.encode(value)).decode())


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--settings", metavar="FILE", help=f"settings, TOML (default {SETTINGS} if there)")
    common.add_argument("--state-dir", metavar="DIR", help="where key and configuration are kept")
    common.add_argument("--interface", metavar="NAME", help="the WireGuard interface")
    common.add_argument("--backend", choices=("auto", "kernel", "wireguard-go"))
    common.add_argument("--json", action="store_true", help="print JSON")
    joining = argparse.ArgumentParser(add_help=False)
    joining.add_argument("--registry", metavar="URL", help="the registry's address")
    joining.add_argument("--token-file", metavar="FILE", help="file with the join token")
    joining.add_argument("--name", help="the client's name (default: the host's)")
    joining.add_argument("--region")
    joining.add_argument("--label", action="append", metavar="NAME=VALUE", help="repeatable")
    parser = argparse.ArgumentParser(prog="altnetd", description="The Altnet client.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("join", parents=[common, joining], help="become a client of a network, once")
    running = commands.add_parser("run", parents=[common], help="be this host's client")
    running.add_argument("--config", metavar="FILE", help="a configuration to follow instead of the kept one")
    running.add_argument("--registry", metavar="URL", help="the registry's address, if it has moved")
    commands.add_parser("status", parents=[common], help="how the running client is")
    commands.add_parser("down", parents=[common], help="remove the interface and its routes (stop altnetd first)")
    commands.add_parser("key", parents=[common], help="the public key of this host; made if there is none")
    commands.add_parser("rekey", parents=[common], help="change this host's key, without a break")
    commands.add_parser("version", parents=[common], help="altnetd's version")
    return parser


if __name__ == "__main__":
    sys.exit(main())
