"""`altnet lab …`: the lab's command line. Thin: it reads arguments, calls `Lab`, prints.

Exit codes: 0 done, 1 it could not be done, 2 the command line is wrong. With `--json`, standard output is one JSON
object and nothing else, also for errors; progress goes to standard error and only without `--json`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import msgspec
import typer
from altnet.common.errors import AltnetError, Invalid
from altnet.common.settings import load
from altnet.host.lab import commands, faults, tuning
from altnet.host.lab.faults import Impairment, Shape
from altnet.host.lab.lab import Lab, Target
from altnet.host.lab.settings import LabSettings
from altnet.host.lab.status import LabStatus
from altnet.host.lab.steps import Silent, spoken
from altnet.host.lab.topology import Spec

app = typer.Typer(
    name="lab",
    help="A whole network on this host: internet, relays, clients behind NAT, in namespaces of its own. Needs root.",
    invoke_without_command=True,
)

Prefix = Annotated[str | None, typer.Option(help="First part of the namespaces' names.", show_default="altlab")]
Json = Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")]


@app.callback()
def alone(context: typer.Context) -> None:
    if context.invoked_subcommand is not None:
        return
    run(False, lambda: commands.require_root(os.geteuid()))  # who cannot use it has no need of its verbs
    print(context.get_help())
    raise typer.Exit(2)


def lab_of(prefix: str | None, *, json: bool) -> Lab:
    """The lab that the command line and the environment name. Raises `Forbidden` without root."""
    commands.require_root(os.geteuid())
    env = dict(os.environ) | ({"ALTNET_LAB_PREFIX": prefix} if prefix else {})
    settings = load(LabSettings, prefix="ALTNET_LAB", env=env)
    return Lab(settings, steps=Silent() if json else spoken())


def run(json: bool, action: Callable[[], Any]) -> None:
    """Do it and print what it returns: text for people, or anything that msgspec encodes for `--json`."""
    try:
        answer = action()
    except AltnetError as error:
        if json:
            problem = {"code": error.code, "detail": error.detail, "field": error.field, "mend": error.mend}
            _print_json({"error": problem})
        else:
            print(f"altnet lab: {error}", file=sys.stderr)
        raise typer.Exit(2 if isinstance(error, Invalid) else 1) from None
    except KeyboardInterrupt:
        print("altnet lab: interrupted; the next `altnet lab up` or `down` goes on from here", file=sys.stderr)
        raise typer.Exit(1) from None
    if json:
        _print_json(answer)
    elif answer:
        print(answer)


@app.command()
def up(
    relays: Annotated[int, typer.Option(help="Relay hosts.")] = 4,
    clients: Annotated[int, typer.Option(help="Clients.")] = 2,
    routers: Annotated[int, typer.Option(help="Routers of the internet, in a ring.")] = 3,
    clients_per_nat: Annotated[int, typer.Option(help="Clients that share a home router.")] = 1,
    roaming: Annotated[int, typer.Option(help="Clients, the first ones, that run altnetd and have two relays.")] = 0,
    network_only: Annotated[bool, typer.Option(help="Hosts and cables, but nothing runs on them.")] = False,
    tune_host: Annotated[bool, typer.Option(help="Raise limits of this host that a large lab needs.")] = False,
    prefix: Prefix = None,
    json: Json = False,
) -> None:
    """Build the lab; mend or resize it if it is there. Twice is the same as once."""

    def action() -> Any:
        lab = lab_of(prefix, json=json)
        spec = Spec(
            prefix=lab.settings.prefix,
            routers=routers,
            relays=relays,
            clients=clients,
            clients_per_nat=clients_per_nat,
            roaming=roaming,
        )
        tune(spec, lab, allowed=tune_host)
        lab.up(spec, network_only=network_only)
        status = lab.status()
        return status if json else status_text(status)

    run(json, action)


@app.command()
def status(prefix: Prefix = None, json: Json = False) -> None:
    """What there is, and what is missing."""

    def action() -> Any:
        found = lab_of(prefix, json=json).status()
        return found if json else status_text(found)

    run(json, action)


@app.command("exec", context_settings={"ignore_unknown_options": True})
def exec_(
    host: Annotated[str, typer.Argument(help="Such as relay1, client2, router1, control.")],
    command: Annotated[list[str], typer.Argument(help="After `--`: the command and its arguments.")],
    prefix: Prefix = None,
    json: Json = False,
) -> None:
    """Run a command on a host of the lab; its exit code is this command's. With --json: exit code, output, errors."""

    def action() -> Any:
        argv = lab_of(prefix, json=json).exec_argv(host, command)
        if not json:
            sys.stdout.flush()
            os.execvp(argv[0], argv)  # noqa: S606  no shell is meant: the command is run as it was given
        return argv

    if json:
        exec_captured(action)
    else:
        run(json, action)


@app.command()
def kill(
    host: Annotated[str, typer.Argument(help="Such as relay2.")],
    process: Annotated[
        Target | None, typer.Option(help="Only this of the host; without it the host's power fails.")
    ] = None,
    prefix: Prefix = None,
    json: Json = False,
) -> None:
    """Take a host away at once (all processes, all interfaces; its disk stays), or one kind of process on it."""

    def action() -> Any:
        hit = lab_of(prefix, json=json).kill(host, process)
        return {"killed": hit} if json else f"killed: {', '.join(hit)}; to bring it back: altnet lab heal {host}"

    run(json, action)


@app.command()
def heal(
    hosts: Annotated[
        list[str] | None, typer.Argument(help="Without any: everything, all cuts, all impaired paths.")
    ] = None,
    prefix: Prefix = None,
    json: Json = False,
) -> None:
    """Bring back killed hosts and processes, and take away cuts and impairments that concern them."""

    def action() -> Any:
        lab = lab_of(prefix, json=json)
        lab.heal(hosts or ())
        found = lab.status()
        return found if json else status_text(found)

    run(json, action)


@app.command()
def partition(
    one: Annotated[str, typer.Argument(help="Hosts on one side, with commas between them: relay1,relay2.")],
    other: Annotated[str, typer.Argument(help="Hosts on the other side.")],
    one_way: Annotated[bool, typer.Option(help="Drop only what goes from the first to the second.")] = False,
    prefix: Prefix = None,
    json: Json = False,
) -> None:
    """Drop what goes between two sets of hosts, in the routers. A client stands for its home."""

    def action() -> Any:
        state = lab_of(prefix, json=json).partition(_names(one), _names(other), one_way=one_way)
        cuts = [{"from": list(cut.sources), "to": list(cut.targets)} for cut in state.cuts]
        return {"cuts": cuts} if json else f"cut; to undo all: altnet lab heal ({len(cuts)} directions are cut)"

    run(json, action)


@app.command()
def impair(
    one: Annotated[str, typer.Argument(help="Such as relay1.")],
    other: Annotated[str, typer.Argument(help="Such as relay2.")],
    cut: Annotated[bool, typer.Option("--cut", help="Drop everything; links stay up.")] = False,
    loss: Annotated[str, typer.Option(help="Share of packets that is lost: 30%.")] = "0%",
    delay: Annotated[str, typer.Option(help="How long each packet takes more: 20ms.")] = "0ms",
    one_way: Annotated[bool, typer.Option(help="Only from the first to the second.")] = False,
    prefix: Prefix = None,
    json: Json = False,
) -> None:
    """Make the path between two hosts bad without anybody being told. With no option the path is mended."""

    def action() -> Any:
        share, seconds = faults.parse_share(loss), faults.parse_seconds(delay)
        state = lab_of(prefix, json=json).impair(one, other, cut=cut, loss=share, delay=seconds, one_way=one_way)
        if json:
            return {"impairments": state.impairments}
        return "\n".join(impairment_text(path) for path in state.impairments) or "no path is impaired"

    run(json, action)


@app.command()
def shape(
    form: Annotated[Shape, typer.Argument(help="Who reaches whom over the internet.")],
    prefix: Prefix = None,
    json: Json = False,
) -> None:
    """Cut the paths between relays so that only neighbours by number reach each other; `full` lets all again."""

    def action() -> Any:
        state = lab_of(prefix, json=json).shape(form)
        return {"shape": state.shape} if json else f"the relays form: {state.shape}"

    run(json, action)


@app.command()
def drain(relay: Annotated[str, typer.Argument()], prefix: Prefix = None, json: Json = False) -> None:
    """Have the registry take a relay out of service: no new clients, no transit."""
    run(json, lambda: _drained(lab_of(prefix, json=json).drain(relay), relay, json))


@app.command()
def undrain(relay: Annotated[str, typer.Argument()], prefix: Prefix = None, json: Json = False) -> None:
    """Have the registry put a relay back into service."""
    run(json, lambda: _drained(lab_of(prefix, json=json).drain(relay, draining=False), relay, json))


@app.command()
def down(prefix: Prefix = None, json: Json = False) -> None:
    """Remove the lab: processes, namespaces, files. Also what a crash has left."""

    def action() -> Any:
        removed = lab_of(prefix, json=json).down()
        return {"removed": removed} if json else f"removed {removed} namespaces"

    run(json, action)


def tune(spec: Spec, lab: Lab, *, allowed: bool) -> None:
    """Raise the host's limits if that is allowed; otherwise say the line that does, when they are too low."""
    limits = tuning.too_low(spec, tuning.read_sysctl)
    if not limits:
        return
    reasons = "; ".join(f"{limit.name} is {limit.found}, {limit.needed} are needed: {limit.why}" for limit in limits)
    if allowed:
        tuning.apply(limits)
        lab.steps.say(f"raised on this host ({reasons})")
        return
    raise Invalid(
        "host_limits_too_low",
        f"this host's limits are too low for {spec.relays} relays ({reasons}).",
        mend=f"Run `{tuning.command(limits)}`, or give --tune-host.",
    )


def status_text(status: LabStatus) -> str:
    """The status for people."""
    lines = [f"lab {status.prefix}: {status.state}" + (f", API at {status.api}" if status.api else "")]
    for host in status.hosts:
        running = ", ".join(f"{name} {'runs' if pid else 'does not run'}" for name, pid in host["processes"].items())
        routing = routing_text(host["routing"])
        lines.append(f"  {host['name']:<10} {host['state']:<8} {host.get('ipv6', ''):<24} {running}{routing}".rstrip())
    lines += [f"  cut: {','.join(cut.sources)} -> {','.join(cut.targets)}" for cut in status.cuts]
    lines += [f"  {impairment_text(path)}" for path in status.impairments]
    lines += [f"  shape: {status.shape}"] if status.shape is not Shape.FULL else []
    lines += [f"  missing: {what}" for what in status.missing]
    return "\n".join(lines)


def routing_text(routing: Mapping[str, Any] | None) -> str:
    """What a relay's agent says of its routing, for people."""
    if routing is None:
        return ""
    problem = f" ({routing['problem']})" if routing["problem"] else ""
    return f", {routing['engine']} {routing['established']} of {routing['sessions']} sessions{problem}"


def impairment_text(path: Impairment) -> str:
    """One impaired path, for people."""
    what = ["cut"] if path.cut else []
    what += [f"{path.loss:.4g} of the packets are lost"] if path.loss else []
    what += [f"{path.delay * 1000:g} ms later"] if path.delay else []
    return f"impaired: {path.source} -> {path.target}: {', '.join(what)}"


def _drained(state: str, relay: str, json: bool) -> Any:
    return {"relay": relay, "state": state} if json else f"{relay} is {state}"


def exec_captured(action: Callable[[], Any]) -> None:
    """Run the command that `action` gives and answer with what it said."""

    def captured() -> dict[str, Any]:
        done = subprocess.run(action(), capture_output=True, text=True, check=False)
        return {"exit_code": done.returncode, "stdout": done.stdout, "stderr": done.stderr}

    run(True, captured)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _print_json(value: Any) -> None:
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
