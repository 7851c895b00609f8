"""`altnet lock`: who may let relays and clients in, signed by owners whose keys are on no server.

`--out FILE` writes what is to be signed, for a machine without network; `altnet lock sign --in FILE --key FILE --out
FILE` signs it there; `--in FILE` of any command here sends it when enough have signed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from altnet.common.errors import Conflict, Invalid, NotFound, Unauthenticated
from altnet.common.lock.encoding import canonical
from altnet.common.lock.log import Entry, LockChange, Log, SignedEntry, first_entry, next_entry
from altnet.common.lock.statements import Statement
from altnet.common.signing import SigningKey, same_fingerprint
from altnet.host.operator.api import Api
from altnet.host.operator.lock_files import (
    Carried,
    make_key,
    read_carried,
    read_keys,
    sign_carried,
    statement_words,
    words_of,
    write_carried,
)
from altnet.host.operator.lock_subjects import Subject, chosen, counted, merged, revoking, subjects_of
from altnet.host.operator.options import Json, Network, api_of, group, network_of
from altnet.host.operator.output import note
from altnet_sdk.api.lock import add_lock_entry, add_lock_statements, get_lock, list_lock_entries, list_lock_hosts
from altnet_sdk.models.lock_entry_new import LockEntryNew
from altnet_sdk.models.lock_statements_new import LockStatementsNew

lock = group("The network lock: agents take only what owners' and authorities' keys vouch for.")

AT_ONCE = 100
"""Statements in one request."""

Out = Annotated[Path | None, typer.Option("--out", help="Write what is to be signed here, and send nothing")]
In = Annotated[Path | None, typer.Option("--in", help="A file that was written by --out and signed", exists=True)]
Keys = Annotated[list[Path] | None, typer.Option("--key", help="Key file to sign with here; repeatable", exists=True)]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask")]
Force = Annotated[bool, typer.Option("--force", help="Although relays or clients that lack something are cut off")]
Owners = Annotated[list[str] | None, typer.Option("--owner", help="An owner's public key; repeatable: all of them")]
Authorities = Annotated[
    list[str] | None, typer.Option("--authority", help="An authority's public key; repeatable: all of them")
]
Threshold = Annotated[int | None, typer.Option(min=1, max=16, help="How many owners sign an entry")]


@lock.command()
def key(
    out: Annotated[Path, typer.Argument(help="New file for the key, mode 0600")],
    authority: Annotated[bool, typer.Option("--authority", help="An authority's, not an owner's")] = False,
    json_output: Json = False,
) -> None:
    """Make a key, on the machine where it stays, and print its public half. Needs no network."""
    public = make_key(out, "authority" if authority else "owner")
    print(json.dumps({"public": public.base64, "file": str(out)}) if json_output else public.base64)


@lock.command()
def init(
    context: typer.Context,
    network: Network = None,
    owner: Owners = None,
    make: Annotated[int, typer.Option(min=0, max=16, help="Owners' keys to make here")] = 0,
    keys_dir: Annotated[Path, typer.Option("--keys", help="Folder for keys that are made here")] = Path(),
    authority: Authorities = None,
    make_authority: Annotated[bool, typer.Option(help="Make an authority's key here")] = False,
    threshold: Threshold = None,
    key: Keys = None,
    out: Out = None,
    in_: In = None,
    force: Force = False,
    yes: Yes = False,
    json_output: Json = False,
) -> None:
    """Turn the lock on for a network. Everything that is there has to be signed first (`altnet lock sign`).

    Where keys are made here nothing is sent yet: the entry goes to --out, or to init.json beside the keys.
    """
    if in_ is not None:
        _send(context, in_, force=force, yes=yes, as_json=json_output)
        return
    api = api_of(context)
    where = network_of(api, network)
    if _log(api, where.id).length:
        raise Conflict("lock_exists", "the network has a lock.", mend="See `altnet lock status`, `altnet lock rotate`.")
    signing, owners, authorities = read_keys(key or []), list(owner or []), list(authority or [])
    count = make + len(owners)
    _check_quorum(threshold, count)
    if not authorities and not make_authority:
        raise Invalid("no_authority", "without an authority nobody can vouch for relays.", field="/authority")
    names = [keys_dir / f"owner-{number}.key" for number in range(1, make + 1)]
    names_authority = [keys_dir / "authority.key"] if make_authority else []
    for path in (*names, *names_authority):
        if path.exists():
            raise Conflict("file_exists", f"{path} is there already.", field="/keys", mend="Name another folder.")
    keys_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in names:
        made = SigningKey.generate()
        owners.append(make_key(path, "owner", made).base64)
        signing.append(made)
        note(f"owner {owners[-1]}: {path}")
    for path in names_authority:
        authorities.append(make_key(path, "authority").base64)
        note(f"authority {authorities[-1]}: {path}")
    entry = first_entry(where.id, owners=owners, threshold=threshold or count, authorities=authorities)
    if names or names_authority:  # a refusal now must not leave keys without what they have signed
        out = out or keys_dir / "init.json"
        note(f"sign what is there: altnet lock sign --all --key FILE; then: altnet lock init --in {out}")
    _finish(context, Log(where.id), entry, signing, out=out, force=force, yes=yes, as_json=json_output)


@lock.command()
def sign(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(help="Relays and clients, by name or id")] = None,
    network: Network = None,
    every: Annotated[bool, typer.Option("--all", help="Everything that lacks a signature")] = False,
    revoke: Annotated[bool, typer.Option("--revoke", help="Say that they are out")] = False,
    prefix: Annotated[list[str] | None, typer.Option(help="A prefix that the relays may originate besides")] = None,
    outside: Annotated[list[str] | None, typer.Option(help="A prefix that the relays may bring in besides")] = None,
    key: Keys = None,
    out: Out = None,
    in_: In = None,
    yes: Yes = False,
    json_output: Json = False,
) -> None:
    """List what lacks a signature; sign it with an authority's key; or sign, or send, a file that was passed on."""
    if in_ is not None:
        if key:
            _sign_file(in_, key, out or in_, yes=yes, as_json=json_output)
        else:
            _send(context, in_, force=False, yes=yes, as_json=json_output)
        return
    api = api_of(context)
    where = network_of(api, network)
    log = _log(api, where.id)
    subjects = subjects_of(api, where, log, prefixes=prefix or (), outside=outside or ())
    if not names and not every:
        if key or out or revoke:
            raise Invalid("nothing_chosen", "say what is to be signed: names, or --all.", field="/names")
        _show_lacking(subjects, as_json=json_output)
        return
    wanted = _wanted(subjects, names or [], revoke=revoke, more=bool(prefix or outside))
    carried = Carried(network=where.id, log=log.entries, statements=tuple(wanted))
    if not wanted:
        _print({"signed": 0}, "nothing lacks a signature", as_json=json_output)
        return
    if key:
        _confirm(words_of(carried), yes=yes)
        carried = sign_carried(carried, read_keys(key))
    if out is not None:
        write_carried(out, carried)
        _print(
            {"file": str(out), "missing": carried.missing}, f"{len(wanted)} statements in {out}", as_json=json_output
        )
    elif key:
        _upload_statements(api, carried, as_json=json_output)
    else:
        raise Invalid(
            "no_key", "statements are signed with --key, or written with --out for who has the key.", field="/key"
        )


@lock.command()
def status(
    context: typer.Context,
    network: Network = None,
    fingerprint: Annotated[str | None, typer.Option(help="The log has to be the one with this fingerprint")] = None,
    json_output: Json = False,
) -> None:
    """The lock as its log says, verified here; who lacks a signature; which relays refuse something.

    Exit code 1 if relays are alarmed or refuse something, 6 if the log is not the expected one.
    """
    api = api_of(context)
    where = network_of(api, network)
    log, state = _log(api, where.id), api.ask(get_lock.sync_detailed, network=where.id)
    if fingerprint is not None and not same_fingerprint(log.fingerprint, fingerprint):
        raise Conflict("lock_other_than_expected", f"the log's fingerprint is {log.fingerprint or 'none'}.")
    hosts = list(api.each(list_lock_hosts.sync_detailed, network=where.id))
    lacking = counted(subjects_of(api, where, log))
    refusing = [one for one in hosts if one.refused_count or one.alarm]
    if json_output:
        facts = {**state.to_dict(), "lacking": dict(lacking), "refusing_hosts": [one.to_dict() for one in refusing]}
        print(json.dumps(facts, indent=2))
    else:
        _show_status(log, state, lacking, refusing)
    if refusing:
        raise typer.Exit(1)


@lock.command()
def rotate(
    context: typer.Context,
    network: Network = None,
    owner: Owners = None,
    threshold: Threshold = None,
    authority: Authorities = None,
    key: Keys = None,
    out: Out = None,
    in_: In = None,
    yes: Yes = False,
    json_output: Json = False,
) -> None:
    """Replace the owners, or the authorities; one entry does one of the two. New owners have to sign as well."""
    if in_ is not None:
        _send(context, in_, force=False, yes=yes, as_json=json_output)
        return
    if bool(owner or threshold) == bool(authority):
        raise Invalid("one_change", "give either --owner and --threshold, or --authority.", field="/owner")
    api = api_of(context)
    log = _log(api, network_of(api, network).id)
    if authority:
        entry = next_entry(log, LockChange.AUTHORITIES, authorities=authority)
    else:
        entry = next_entry(log, LockChange.OWNERS, owners=owner, threshold=threshold)
    _finish(context, log, entry, read_keys(key or []), out=out, force=False, yes=yes, as_json=json_output)


@lock.command()
def disable(
    context: typer.Context,
    network: Network = None,
    key: Keys = None,
    out: Out = None,
    in_: In = None,
    yes: Yes = False,
    json_output: Json = False,
) -> None:
    """Turn the lock off: agents believe the servers again. Its log stays."""
    _switch(context, LockChange.DISABLE, network, key, out, in_, force=False, yes=yes, as_json=json_output)


@lock.command()
def enable(
    context: typer.Context,
    network: Network = None,
    key: Keys = None,
    out: Out = None,
    in_: In = None,
    force: Force = False,
    yes: Yes = False,
    json_output: Json = False,
) -> None:
    """Turn the lock on again after `disable`, with the owners and authorities that its log names."""
    _switch(context, LockChange.ENABLE, network, key, out, in_, force=force, yes=yes, as_json=json_output)


def _switch(
    context: typer.Context,
    change: LockChange,
    network: str | None,
    key: list[Path] | None,
    out: Path | None,
    in_: Path | None,
    *,
    force: bool,
    yes: bool,
    as_json: bool,
) -> None:
    if in_ is not None:
        _send(context, in_, force=force, yes=yes, as_json=as_json)
        return
    api = api_of(context)
    log = _log(api, network_of(api, network).id)
    entry = next_entry(log, change)
    _finish(context, log, entry, read_keys(key or []), out=out, force=force, yes=yes, as_json=as_json)


def _finish(
    context: typer.Context,
    log: Log,
    entry: Entry,
    keys: list[SigningKey],
    *,
    out: Path | None,
    force: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Sign an entry with the keys that are here; write it, or send it if enough have signed."""
    carried = Carried(network=log.network, log=log.entries, entry=SignedEntry(entry=canonical(entry)))
    carried = sign_carried(carried, keys)
    if out is not None:
        write_carried(out, carried)
        text = f"{out}: {carried.missing} signatures missing"
        _print({"file": str(out), "missing": carried.missing, "hash": entry.hash}, text, as_json=as_json)
        return
    _upload_entry(api_of(context), carried, force=force, yes=yes, as_json=as_json)


def _sign_file(path: Path, keys: list[Path], out: Path, *, yes: bool, as_json: bool) -> None:
    carried = read_carried(path)
    _confirm(words_of(carried), yes=yes)
    signed = sign_carried(carried, read_keys(keys))
    write_carried(out, signed)
    _print(
        {"file": str(out), "missing": signed.missing}, f"{out}: {signed.missing} signatures missing", as_json=as_json
    )


def _send(context: typer.Context, path: Path, *, force: bool, yes: bool, as_json: bool) -> None:
    carried = read_carried(path)
    api = api_of(context)
    if carried.entry is not None:
        _upload_entry(api, carried, force=force, yes=yes, as_json=as_json)
    else:
        _upload_statements(api, carried, as_json=as_json)


def _upload_entry(api: Api, carried: Carried, *, force: bool, yes: bool, as_json: bool) -> None:
    assert carried.entry is not None
    if carried.missing:
        raise Unauthenticated(
            "lock_unsigned",
            f"{carried.missing} signatures of owners are missing.",
            mend="Write it with --out, let owners sign it (`altnet lock sign --in FILE --key FILE`), send it by --in.",
        )
    entry, before = carried.entry.opened(), carried.verified_log()
    if entry.enabled and not before.enabled and not force:
        _check_nothing_lacks(api, before.extended([carried.entry]))
    _confirm(words_of(carried), yes=yes)
    body = {"network": carried.network, "force": force, **msgspec.to_builtins(carried.entry)}
    state = api.ask(add_lock_entry.sync_detailed, body=LockEntryNew.from_dict(body))
    text = f"the lock is {'on' if state.enabled else 'off'}: entry {state.length}, fingerprint {state.fingerprint}"
    _print(state.to_dict(), text, as_json=as_json)


def _upload_statements(api: Api, carried: Carried, *, as_json: bool) -> None:
    if carried.statements:
        raise Unauthenticated("lock_unsigned", f"{len(carried.statements)} statements are not signed.")
    taken = 0
    for start in range(0, len(carried.signed), AT_ONCE):
        part = msgspec.to_builtins(carried.signed[start : start + AT_ONCE])
        body = LockStatementsNew.from_dict({"network": carried.network, "statements": part})
        taken += api.ask(add_lock_statements.sync_detailed, body=body).taken
    _print({"signed": taken}, f"{taken} statements taken", as_json=as_json)


def _check_nothing_lacks(api: Api, after: Log) -> None:
    subjects = subjects_of(api, network_of(api, after.network), after)
    lacking = [f"{one.kind} {one.name} lacks {one.lacks}" for one in subjects if one.lacks]
    if lacking:
        raise Conflict(
            "lock_unsigned_subjects",
            f"{len(lacking)} would be cut off: {'; '.join(lacking[:10])}.",
            mend="`altnet lock sign --all --key FILE` signs what can be signed; --force turns it on all the same.",
        )


def _wanted(subjects: list[Subject], names: list[str], *, revoke: bool, more: bool) -> list[Statement]:
    if revoke:
        if not names:
            raise Invalid("nothing_chosen", "say who is out, by name.", field="/names")
        return [revoking(one) for one in chosen(subjects, names)]
    if not names:
        return [one.proposed for one in subjects if one.to_sign]
    picked = chosen(subjects, names)
    without = [one.name for one in picked if one.wanted is None]
    if without:
        raise NotFound("no_identity", f"{', '.join(without)} has not shown an identity key to keyd yet.")
    return [merged(one) for one in picked if one.to_sign or more or one.out]


def _log(api: Api, network: str) -> Log:
    """The log as it is shown, verified here. Raises what is wrong with it."""
    told = api.each(list_lock_entries.sync_detailed, network=network)
    entries = [
        msgspec.convert({"entry": one.entry, "signatures": [item.to_dict() for item in one.signatures]}, SignedEntry)
        for one in told
    ]
    return Log(network).extended(entries)


def _check_quorum(threshold: int | None, owners: int) -> None:
    if not owners:
        raise Invalid(
            "no_owners", "a lock has owners: --make some here, or give public keys by --owner.", field="/owner"
        )
    if threshold is not None and threshold > owners:
        raise Invalid("lock_bad_keys", f"{threshold} signatures of {owners} owners cannot be had.", field="/threshold")


def _confirm(lines: list[str], *, yes: bool) -> None:
    for line in lines:
        note(line)
    if not yes and sys.stdin.isatty() and not typer.confirm("Go on?", err=True):
        raise typer.Exit(1)


def _show_lacking(subjects: list[Subject], *, as_json: bool) -> None:
    lacking = [one for one in subjects if one.lacks]
    if as_json:
        rows = [
            {
                "id": one.id,
                "name": one.name,
                "kind": one.kind,
                "lacks": one.lacks,
                "statement": msgspec.to_builtins(one.wanted) if one.wanted is not None else None,
            }
            for one in lacking
        ]
        print(json.dumps(rows, indent=2))
        return
    for one in lacking:
        print(f"{one.kind} {one.name} ({one.id}) lacks {one.lacks}")
        if one.to_sign:
            print(f"    {statement_words(merged(one))}")
    if not lacking:
        note("nothing lacks a signature")


def _show_status(log: Log, state: Any, lacking: Any, refusing: list[Any]) -> None:
    last = log.last
    if last is None:
        print("lock         none")
    else:
        print(f"lock         {'on' if log.enabled else 'OFF'}, entry {log.length}, {last.change}")
        print(f"fingerprint  {log.fingerprint}")
        print(f"owners       {last.threshold} of {len(last.owners)} sign")
        for one in last.owners:
            print(f"  {one}")
        print("authorities")
        for one in last.authorities:
            print(f"  {one}")
    print(f"relays       {state.hosts} have reported, {state.behind} know another log")
    print(f"lacking      {lacking['relay']} relays, {lacking['client']} clients (`altnet lock sign`)")
    for host in refusing:
        if host.alarm:
            print(f"ALARM        {host.name}: {host.alarm}: {host.alarm_text}")
        for one in host.refused:
            print(f"refused      by {host.name}: {one.object} {one.what}: {one.reason}")


def _print(facts: dict[str, Any], text: str, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(facts))
    else:
        note(text)
