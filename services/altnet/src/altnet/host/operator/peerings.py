"""`altnet peerings`: BGP sessions with routers outside.

A password comes from a file or standard input, never from an argument, where every process of the machine could read
it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from altnet.common.errors import Invalid
from altnet.host.operator.api import Api, etag
from altnet.host.operator.options import Json, Network, api_of, body_of, given, group, pairs
from altnet.host.operator.output import note, show_list, show_one
from altnet.host.operator.relays import Name, confirm
from altnet_sdk.api.peerings import change_peering, create_peering, get_peering, list_peerings, remove_peering
from altnet_sdk.api.relays import list_relays
from altnet_sdk.models.peering_new import PeeringNew
from altnet_sdk.models.peering_patch import PeeringPatch

peerings = group("Peerings: BGP sessions of relays with routers outside.")

PEERING_COLUMNS: Final = (
    ("NAME", "name"),
    ("RELAY", "relay"),
    ("NEIGHBOUR", "address"),
    ("ASN", "asn"),
    ("STANDING", "standing"),
    ("STATE", "session.state"),
    ("SINCE", "session.since"),
    ("RECEIVED", "session.received"),
    ("REFUSED", "session.refused"),
    ("ID", "id"),
)
LONGEST_PASSWORD: Final = 4096
"""Bytes that are read of a password; the registry says what is too long."""

_RULE: Final = re.compile(r"(?P<prefix>[^\^]+)(\^((?P<all>\+)|(?P<shortest>\d{1,3})(-(?P<longest>\d{1,3}))?))?\Z")

Import = Annotated[
    list[str] | None,
    typer.Option(
        "--import", help="What is accepted: PREFIX, PREFIX^24, PREFIX^24-28 or PREFIX^+ (RFC 2622); repeatable"
    ),
]
Export = Annotated[list[str] | None, typer.Option("--export", help="What is announced; written alike, repeatable")]
Family = Annotated[list[str] | None, typer.Option(help="ipv6 or ipv4; repeatable [default: the address's own]")]
PasswordFile = Annotated[
    Path | None, typer.Option(help="File with the session's password; - reads it from standard input")
]
Label = Annotated[list[str] | None, typer.Option(help="name=value; repeatable")]


@peerings.command("list")
def list_all(
    context: typer.Context,
    network: Network = None,
    relay: Annotated[str | None, typer.Option(help="Held by this relay")] = None,
    standing: Annotated[str | None, typer.Option(help="up, down or new")] = None,
    json_output: Json = False,
) -> None:
    """Every peering, and how its session is."""
    api = api_of(context)
    holder = _relay(api, relay) if relay else None
    options = given(network=network, relay=holder, standing=standing)
    show_list(api.each(list_peerings.sync_detailed, **options), PEERING_COLUMNS, as_json=json_output)


@peerings.command()
def show(context: typer.Context, peering: Name, json_output: Json = False) -> None:
    """One peering, its session, and what is worth a word."""
    api = api_of(context)
    found = api.find(list_peerings.sync_detailed, peering, kind="peering")
    _show(api.ask(get_peering.sync_detailed, found.id), json_output)


@peerings.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Option(help="One label, as in DNS")],
    relay: Annotated[str, typer.Option(help="The relay that holds the session")],
    address: Annotated[str, typer.Option(help="The neighbour's address")],
    asn: Annotated[int, typer.Option(help="The neighbour's AS number")],
    interface: Annotated[str | None, typer.Option(help="For a link-local neighbour: the host's interface")] = None,
    source: Annotated[str | None, typer.Option(help="Our end [default: what the routing table says]")] = None,
    local_asn: Annotated[int | None, typer.Option(help="What we call ourselves [default: the relay's number]")] = None,
    family: Family = None,
    imports: Import = None,
    exports: Export = None,
    accept_everything: Annotated[bool, typer.Option(help="Let an import rule be as wide as the internet")] = False,
    announce_everything: Annotated[bool, typer.Option(help="Let an export rule be as wide")] = False,
    import_limit: Annotated[int | None, typer.Option(help="Routes of one family [default: 1000]")] = None,
    export_limit: Annotated[int | None, typer.Option(help="Routes of one family [default: 1000]")] = None,
    password_file: PasswordFile = None,
    bfd: Annotated[bool, typer.Option("--bfd", help="Watch the neighbour by BFD")] = False,
    multihop: Annotated[int | None, typer.Option(help="Most hops to the neighbour")] = None,
    ttl_security: Annotated[bool, typer.Option("--ttl-security", help="Refuse forwarded packets (RFC 5082)")] = False,
    passive: Annotated[bool, typer.Option("--passive", help="Wait for the neighbour to connect")] = False,
    hold_time: Annotated[int | None, typer.Option(help="Seconds [default: 90]")] = None,
    restart_time: Annotated[int | None, typer.Option(help="Seconds [default: 120]")] = None,
    preference: Annotated[int | None, typer.Option(help="Among peerings, the highest wins [default: 100]")] = None,
    label: Label = None,
    json_output: Json = False,
) -> None:
    """Let a relay speak BGP with a router outside. What no rule names is refused, both ways."""
    api = api_of(context)
    fields = given(
        name=name,
        relay=_relay(api, relay),
        address=address,
        asn=asn,
        interface=interface,
        source=source,
        local_asn=local_asn,
        families=family or None,
        imports=rules(imports, field="/import"),
        exports=rules(exports, field="/export"),
        accept_everything=accept_everything or None,
        announce_everything=announce_everything or None,
        import_limit=import_limit,
        export_limit=export_limit,
        password=password_of(password_file),
        bfd=bfd or None,
        multihop=multihop,
        ttl_security=ttl_security or None,
        passive=passive or None,
        hold_time=hold_time,
        restart_time=restart_time,
        preference=preference,
        labels=pairs(label, field="/label"),
    )
    _show(api.ask(create_peering.sync_detailed, body=body_of(PeeringNew, fields)), json_output)


@peerings.command("set")
def change(
    context: typer.Context,
    peering: Name,
    name: Annotated[str | None, typer.Option()] = None,
    address: Annotated[str | None, typer.Option(help="The neighbour's address")] = None,
    asn: Annotated[int | None, typer.Option(help="The neighbour's AS number")] = None,
    imports: Import = None,
    exports: Export = None,
    accept_everything: Annotated[
        bool | None, typer.Option(help="Let an import rule be as wide as the internet")
    ] = None,
    announce_everything: Annotated[bool | None, typer.Option(help="Let an export rule be as wide")] = None,
    import_limit: Annotated[int | None, typer.Option(help="Routes of one family")] = None,
    export_limit: Annotated[int | None, typer.Option(help="Routes of one family")] = None,
    password_file: PasswordFile = None,
    no_password: Annotated[bool, typer.Option("--no-password", help="Remove the password")] = False,
    bfd: Annotated[bool | None, typer.Option(help="Watch the neighbour by BFD")] = None,
    multihop: Annotated[int | None, typer.Option(help="Most hops to the neighbour")] = None,
    hold_time: Annotated[int | None, typer.Option(help="Seconds")] = None,
    preference: Annotated[int | None, typer.Option(help="Among peerings, the highest wins")] = None,
    enabled: Annotated[bool | None, typer.Option("--enable/--disable", help="Hold the session or not")] = None,
    label: Label = None,
    json_output: Json = False,
) -> None:
    """Change what is named; --import and --export replace all rules of theirs."""
    if no_password and password_file is not None:
        raise Invalid("bad_password", "--no-password and --password-file contradict each other.", field="/password")
    api = api_of(context)
    fields = given(
        name=name,
        address=address,
        asn=asn,
        imports=rules(imports, field="/import"),
        exports=rules(exports, field="/export"),
        accept_everything=accept_everything,
        announce_everything=announce_everything,
        import_limit=import_limit,
        export_limit=export_limit,
        password=password_of(password_file),
        bfd=bfd,
        multihop=multihop,
        hold_time=hold_time,
        preference=preference,
        enabled=enabled,
        labels=pairs(label, field="/label"),
    )
    if no_password:
        fields["password"] = None
    found = api.find(list_peerings.sync_detailed, peering, kind="peering")
    body = body_of(PeeringPatch, fields)
    _show(api.ask(change_peering.sync_detailed, found.id, body=body, if_match=etag(found.version)), json_output)


@peerings.command("remove")
def remove_one(
    context: typer.Context,
    peering: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask")] = False,
) -> None:
    """End the session; what the neighbour told goes with it."""
    api = api_of(context)
    found = api.find(list_peerings.sync_detailed, peering, kind="peering")
    confirm(f"Remove the peering {found.name} with {found.address}?", yes=yes)
    api.ask(remove_peering.sync_detailed, found.id, if_match=etag(found.version))


def rules(texts: list[str] | None, *, field: str) -> list[dict[str, Any]] | None:
    """Prefix rules as the API takes them. Raises `Invalid` (`bad_rule`)."""
    if not texts:
        return None
    found: list[dict[str, Any]] = []
    for number, text in enumerate(texts):
        said = _RULE.match(text.strip())
        if said is None:
            raise Invalid(
                "bad_rule",
                f"{text!r} is no rule.",
                field=f"{field}/{number}",
                mend="Write 10.0.0.0/8, 10.0.0.0/8^16, 10.0.0.0/8^16-24 or 10.0.0.0/8^+.",
            )
        rule: dict[str, Any] = {"prefix": said["prefix"]}
        if said["all"]:
            rule["longest"] = 128 if ":" in said["prefix"] else 32
        elif said["shortest"]:
            rule["shortest"] = int(said["shortest"])
            rule["longest"] = int(said["longest"] or said["shortest"])
        found.append(rule)
    return found


def password_of(file: Path | None) -> str | None:
    """The first line of a file, or of standard input for `-`. Raises `Invalid` (`bad_password_file`)."""
    if file is None:
        return None
    try:
        if str(file) == "-":
            text = sys.stdin.readline(LONGEST_PASSWORD)
        else:
            with file.open(encoding="utf-8") as stream:
                text = stream.readline(LONGEST_PASSWORD)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise Invalid("bad_password_file", f"{file} cannot be read: {reason}.", field="/password-file") from None
    password = text.rstrip("\r\n")
    if not password:
        raise Invalid("bad_password_file", f"{file} has no password in its first line.", field="/password-file")
    return password


def _relay(api: Api, wanted: str) -> str:
    return str(api.find(list_relays.sync_detailed, wanted, kind="relay").id)


def _show(peering: Any, json_output: bool) -> None:
    show_one(peering, as_json=json_output, leave_out=("remarks",))
    for remark in peering.remarks:
        note(f"altnet: {remark.field}: {remark.detail} {remark.mend}")
