"""The `altnet` command. Data goes to standard output, words to standard error; `--json` where a script might look.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not reachable, 4 not allowed, 5 not found, 6 conflict. Nothing asks a
question where there is no terminal. Imports stay inside the commands, and groups are imported by name (groups.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from altnet.common import heap
from altnet.common.errors import (
    AltnetError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Stale,
    Unauthenticated,
    Unavailable,
)
from altnet.host.groups import LazyGroup
from altnet.host.operator.options import remember

if TYPE_CHECKING:
    from altnet.host.up import Up

app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    help="Altnet: a private IPv6 network of your own.",
)

EXIT_CODES: Sequence[tuple[type[AltnetError], int]] = (
    (Invalid, 2),
    (Unavailable, 3),
    (Unauthenticated, 4),
    (Forbidden, 4),
    (NotFound, 5),
    (Conflict, 6),
    (Stale, 6),
)

app.callback()(remember)

DataDirOption = Annotated[
    Path | None, typer.Option("--data-dir", help="Where everything is kept [default: the user's data folder]")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Facts as JSON on standard output")]
ConfigOption = Annotated[Path | None, typer.Option("--config", help="TOML file of settings", exists=True)]


def main() -> None:
    """Entry point: turns our errors into one line and an exit code."""
    heap.grow()
    try:
        app()
    except AltnetError as error:
        print(f"altnet: {error}", file=sys.stderr)
        raise SystemExit(exit_code(error)) from None


def exit_code(error: AltnetError) -> int:
    """The exit code that stands for an error."""
    return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), 1)


def say(text: str) -> None:
    """A word to the person, on standard error."""
    print(text, file=sys.stderr, flush=True)


@app.command()
def up(
    data_dir: DataDirOption = None,
    listen: Annotated[
        list[str] | None, typer.Option(help="Where the API listens, host:port or a socket's path; repeatable")
    ] = None,
    bus_listen: Annotated[str | None, typer.Option(help="Where nats-server listens, host:port")] = None,
    bus_advertise: Annotated[
        list[str] | None, typer.Option(help="What relays are told to connect to, nats://host:port; repeatable")
    ] = None,
    prefix: Annotated[str | None, typer.Option(help="The first network's /48, or `random`; counts once")] = None,
    config: ConfigOption = None,
    json_output: JsonOption = False,
) -> None:
    """Run the whole control plane on embedded Postgres and nats-server, until Ctrl-C."""
    import json

    from altnet.common import log
    from altnet.common.clock import SystemClock

    heap.grow()
    from altnet.common.settings import load
    from altnet.host.data_dir import DataDir, default_root
    from altnet.host.hosting import SERVICES, load_service
    from altnet.host.settings import HostSettings
    from altnet.host.up import run_up

    env = _with_flags(listen=listen, bus_listen=bus_listen, bus_advertise=bus_advertise)
    if prefix is not None:
        env["ALTNET_REGISTRY_NETWORK__PREFIX"] = prefix
    settings = load(HostSettings, prefix="ALTNET", env=env, file=config, section="host" if config else None)
    log.configure(json=settings.log.json, level=settings.log.level)
    os.environ.pop("LISTEN_FDS", None)  # run_up reads the copy; children must not believe it is theirs

    def ready(state: Up) -> None:
        if json_output:
            print(json.dumps(state.facts()), flush=True)
            return
        say(f"ready after {state.seconds:.1f} s")
        say(f"  API          {'  '.join(state.api)}")
        say(f"  bus          {'  '.join(state.bus)}")
        say(f"  owner token  {state.owner_token}")
        say("try, in another terminal:")
        for line in first_steps(
            state, token_is_found=data_dir is None, api_is_found=settings.listen == HostSettings().listen
        ):
            say(f"  {line}")

    _run(
        run_up(
            DataDir((data_dir or default_root()).absolute()),
            settings=settings,
            services=[load_service(name) for name in SERVICES],
            clock=SystemClock(),
            env=env,
            say=(lambda _text: None) if json_output else say,
            ready=ready,
            file=config,
        )
    )


@app.command()
def serve(
    name: Annotated[str, typer.Argument(help="The service: registry or keyd")],
    listen: Annotated[list[str] | None, typer.Option(help="Where it listens; repeatable")] = None,
    config: ConfigOption = None,
) -> None:
    """Run one service on a Postgres and a NATS that are there already (see docs/operations.md)."""
    from altnet.common import log
    from altnet.common.clock import SystemClock

    heap.grow()
    from altnet.common.settings import load
    from altnet.host.hosting import load_service
    from altnet.host.serve import run_serve
    from altnet.host.settings import HostSettings

    env = _with_flags(listen=listen)
    settings = load(HostSettings, prefix="ALTNET", env=env, file=config, section="host" if config else None)
    log.configure(json=True, level="info" if settings.log.level == "warning" else settings.log.level)
    _run(run_serve(load_service(name), settings=settings, clock=SystemClock(), env=env, file=config))


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="Run the story to its end and exit; 0 only if all held")] = False,
    relays: Annotated[int, typer.Option(min=3, max=32, help="How many relays")] = 4,
    prefix: Annotated[
        str | None, typer.Option(help="First part of the namespaces' names, as in `altnet lab`", show_default="altlab")
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Show the whole product on this machine, live: relays, clients, packets, failures. Needs root."""
    from altnet.host.demo import run_demo

    raise typer.Exit(run_demo(once=once, json=json_output, prefix=prefix, relays=relays))


def first_steps(state: Up, *, token_is_found: bool, api_is_found: bool) -> list[str]:
    """What to type first: `altnet` finds a token and an API at their usual places by itself, others have to be told."""
    token, api = shlex.quote(str(state.owner_token)), next((url for url in state.api if url.startswith("http")), None)
    lines = [] if token_is_found else [f"export ALTNET_TOKEN_FILE={token}"]
    if api is not None and not api_is_found:
        lines.append(f"export ALTNET_API={api}")
    lines += ["altnet networks list", "altnet join-tokens create --kind relay"]
    if api is not None:
        lines.append(f'curl -H "Authorization: Bearer $(cat {token})" {api}/v1/networks')
    return lines


def _with_flags(**flags: Sequence[str] | str | None) -> dict[str, str]:
    """The environment with flags on top: a flag is the same setting, said louder."""
    env = dict(os.environ)
    for name, value in flags.items():
        if value:
            env[f"ALTNET_{name.upper()}"] = value if isinstance(value, str) else ",".join(value)
    return env


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run until done, or until SIGINT or SIGTERM, which end it in good order."""
    import uvloop

    async def until_told() -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await work

    uvloop.run(until_told())


if __name__ == "__main__":
    main()
