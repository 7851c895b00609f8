"""`altnet admin`: set-up apart, migrations, backup and restore, repair of the bus."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Coroutine
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="Set-up, backup, restore, repair.")

DataDirOption = Annotated[Path | None, typer.Option("--data-dir", help="[default: the user's data folder]")]
JsonOption = Annotated[bool, typer.Option("--json", help="Facts as JSON on standard output")]


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(help="Folder for keys and passwords; made if missing")],
    bus_store: Annotated[Path, typer.Option(help="Where nats-server keeps its data, as it sees it")] = Path("/data"),
) -> None:
    """Make keys and passwords for a control plane that runs apart, and NATS's configuration. May be repeated."""
    from altnet.common.bus.jwt import server_config
    from altnet.common.clock import SystemClock
    from altnet.common.files import write_private
    from altnet.host.hosting import SERVICES, load_service
    from altnet.host.secrets import SecretsDir

    clock = SystemClock()
    secrets = SecretsDir(directory)
    secrets.create(schemas=[load_service(name).schema for name in SERVICES], clock=clock)
    config = server_config(secrets.bus_identity(clock), host="0.0.0.0", store_dir=bus_store, monitor_port=8222)  # noqa: S104 - inside its container
    write_private(directory / "nats.conf", config.encode())
    _tell({"secrets": str(directory), "bus_config": str(directory / "nats.conf")}, json_output=False)


@app.command()
def migrate() -> None:
    """Provision roles and schemas and bring every schema to its newest revision (settings as for `altnet serve`)."""
    from altnet.common.settings import load
    from altnet.host.hosting import SERVICES, dsn_of, load_service, prepare_database
    from altnet.host.secrets import SUPERUSER
    from altnet.host.serve import place_of, secrets_of
    from altnet.host.settings import HostSettings

    settings = load(HostSettings, prefix="ALTNET", env=os.environ)
    secrets, place = secrets_of(settings), place_of(settings)
    superuser = dsn_of(place, settings.database.superuser, secrets.database_password(SUPERUSER), database="postgres")
    services = [load_service(name) for name in SERVICES]
    _run(prepare_database(superuser, place=place, secrets=secrets, services=services))


@app.command("first-owner")
def make_first_owner(
    out: Annotated[
        Path | None, typer.Option(help="Write the token there, mode 0600 [default: standard output, shown once]")
    ] = None,
) -> None:
    """Make the first owner's token, once, where services run apart (settings as for `altnet serve`)."""
    from altnet.common.clock import SystemClock
    from altnet.common.errors import Conflict
    from altnet.common.files import write_private
    from altnet.common.settings import load
    from altnet.host.admin.owners import first_owner
    from altnet.host.settings import HostSettings

    if out is not None and out.exists():  # before it is made: it cannot be made again
        raise Conflict("file_exists", f"{out} exists.", field="/out", mend="Name another file.")
    settings = load(HostSettings, prefix="ALTNET", env=os.environ)
    token = _run(first_owner(settings, clock=SystemClock(), env=os.environ))
    if out is None:
        print(token.reveal())
    else:
        write_private(out, token.reveal().encode() + b"\n")
        _tell({"owner_token": str(out)}, json_output=False)


@app.command()
def backup(
    target: Annotated[Path, typer.Argument(help="The file to write; refused if it exists")],
    data_dir: DataDirOption = None,
    json_output: JsonOption = False,
) -> None:
    """Write everything that cannot be made again into one private file, while it runs."""
    from altnet.common.clock import SystemClock
    from altnet.host.admin.backup import back_up
    from altnet.host.data_dir import DataDir, default_root
    from altnet.host.hosting import SERVICES, load_service

    data = DataDir((data_dir or default_root()).absolute())
    services = [load_service(name) for name in SERVICES]
    made = _run(back_up(data, target.absolute(), services=services, clock=SystemClock()))
    _tell({"file": str(made.path), "at": made.at, "bytes": made.size, "schemas": list(made.schemas)}, json_output)


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(help="A file that `altnet admin backup` wrote", exists=True)],
    data_dir: DataDirOption = None,
    json_output: JsonOption = False,
) -> None:
    """Make an empty data directory what a backup holds; then start `altnet up` on it."""
    from altnet.common.clock import SystemClock
    from altnet.host.admin.backup import restore as restore_into
    from altnet.host.data_dir import DataDir, default_root
    from altnet.host.hosting import SERVICES, load_service

    data = DataDir((data_dir or default_root()).absolute())
    services = [load_service(name) for name in SERVICES]
    _run(restore_into(source.absolute(), data, services=services, clock=SystemClock()))
    _tell({"restored": str(data.root), "from": str(source)}, json_output)


@app.command("replace-signing-key")
def replace_signing_key(
    data_dir: DataDirOption = None,
    secrets_dir: Annotated[
        Path | None,
        typer.Option("--secrets", help="The folder of `altnet admin init`, in place of a data folder"),
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Replace the key that signs operators' access tokens, for when somebody has it. API tokens stay as they are.

    Services on the same folder take it up within a second, others when they get the new file.
    """
    from altnet.host.data_dir import DataDir, default_root
    from altnet.host.secrets import SecretsDir

    found = SecretsDir(secrets_dir or DataDir((data_dir or default_root()).absolute()).secrets)
    found.signing_key()  # so that a wrong folder is refused
    found.replace_signing_key()
    _tell({"replaced": str(found.root / "tokens" / "signing.pem")}, json_output)


@app.command()
def replay(
    since: Annotated[str, typer.Option(help="From when on: an instant (RFC 3339), or hours back like 24h")] = "24h",
    data_dir: DataDirOption = None,
    json_output: JsonOption = False,
) -> None:
    """Publish events of the ledger again, for a NATS that lost them. Consumers know what they had."""
    from altnet.host.admin.repair import replay_events

    counted = _run(replay_events(data_dir, _instant(since)))
    _tell({"events": counted}, json_output)


@app.command("security-gaps")
def security_gaps(data_dir: DataDirOption = None, json_output: JsonOption = False) -> None:
    """Say which security events are missing, by the numbers that each emitter gives them. Ends with 1 if any is.

    Numbers that a restore left out on purpose are not named; after the loss of NATS's data `altnet admin replay` fills
    them in.
    """
    from altnet.host.admin.gaps import security_gaps as look

    found = _run(look(data_dir))
    said: dict[str, object] = {
        emitter: {"first": one.first, "last": one.last, "missing": [f"{gap.first}-{gap.last}" for gap in one.missing]}
        for emitter, one in found.items()
    }
    _tell({"emitters": said, "missing": sum(one.count for one in found.values())}, json_output)
    if any(one.missing for one in found.values()):
        raise typer.Exit(1)


@app.command("rebuild-desired")
def rebuild_desired(data_dir: DataDirOption = None, json_output: JsonOption = False) -> None:
    """Publish every document of desired state anew."""
    from altnet.host.admin.repair import rebuild_documents

    counted = _run(rebuild_documents(data_dir))
    _tell({"documents": counted}, json_output)


@app.command()
def openapi(
    directory: Annotated[Path, typer.Argument(help="Folder for the documents")] = Path("docs/openapi"),
) -> None:
    """Write each service's OpenAPI document and the merged one. Needs neither Postgres nor NATS."""
    from altnet.host.admin.documents import write_openapi

    for path in _run(write_openapi(directory)):
        print(path)


def _instant(text: str) -> datetime:
    from altnet.common.clock import SystemClock
    from altnet.common.errors import Invalid

    try:
        if text.endswith("h"):
            return SystemClock().now() - timedelta(hours=float(text[:-1]))
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is None:
            raise ValueError
    except ValueError:
        raise Invalid(
            "bad_instant", f"{text!r} is no instant.", field="/since", mend="Write 2026-11-01T12:00:00Z, or 24h."
        ) from None
    return instant


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def _tell(facts: dict[str, Any], json_output: bool) -> None:
    if json_output:
        print(json.dumps(facts))
        return
    for name, value in facts.items():
        print(f"{name}: {value}", file=sys.stderr)
