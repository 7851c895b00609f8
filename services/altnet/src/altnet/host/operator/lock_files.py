"""Files of the network lock: keys, and what is carried between machines to be signed.

A key file holds one private key, mode 0600, and never leaves the machine of whoever it belongs to. A carried file has
no secret in it: the log, and an entry or statements with the signatures collected so far. Signing needs no network.

Invariant: no private key is written to a file that is carried, or printed.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec
from altnet.common.errors import UNREADABLE, AltnetError, Conflict, Invalid
from altnet.common.files import read as read_private
from altnet.common.files import write_private
from altnet.common.lock.log import Log, SignedEntry, missing_signatures
from altnet.common.lock.statements import (
    ClientStatement,
    RelayStatement,
    SignedStatement,
    Statement,
    sign_statement,
)
from altnet.common.signing import SigningKey, VerifyKey

KEY_KIND: Final = "altnet-lock-key"
CARRIED_KIND: Final = "altnet-lock-request"
LARGEST: Final = 64 * 2**20


class KeyFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind: Literal["altnet-lock-key"] = KEY_KIND
    role: Literal["owner", "authority"]
    public: str
    private: str

    def __repr__(self) -> str:
        return f"KeyFile(role={self.role!r}, public={self.public!r})"


class Carried(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is passed around. Exactly one of `entry` and `statements` with `signed` is given."""

    kind: Literal["altnet-lock-request"] = CARRIED_KIND
    network: str
    log: tuple[SignedEntry, ...] = ()
    """The log that it is to come after, so that who signs can see what changes."""
    entry: SignedEntry | None = None
    statements: tuple[Statement, ...] = ()
    """Not signed yet."""
    signed: tuple[SignedStatement, ...] = ()

    def verified_log(self) -> Log:
        """Raises what is wrong with it."""
        return Log(self.network).extended(self.log)

    @property
    def missing(self) -> int:
        """Signatures of owners, or statements without one, that it still lacks."""
        return missing_signatures(self.verified_log(), self.entry) if self.entry is not None else len(self.statements)


def make_key(path: Path, role: Literal["owner", "authority"], key: SigningKey | None = None) -> VerifyKey:
    """Make a key and keep it in a new file. Raises `Conflict` (`file_exists`): no key is ever overwritten."""
    if path.exists():
        raise Conflict("file_exists", f"{path} is there already.", field="/keys", mend="Name another file.")
    made = key or SigningKey.generate()
    public = made.public()
    text = base64.b64encode(made.reveal()).decode()
    write_private(path, _pretty(KeyFile(role=role, public=public.base64, private=text)))
    return public


def read_key(path: Path) -> SigningKey:
    """Raises `Invalid` (`no_key_file`, `bad_key_file`), and if others can read the file."""
    data = read_private(path)
    if data is None:
        raise Invalid("no_key_file", f"{path} is not there.", field="/key")
    try:
        found = msgspec.json.decode(data, type=KeyFile)
        key = SigningKey.parse(found.private)
    except (ValueError, AltnetError):  # the reason could quote the key
        raise Invalid("bad_key_file", f"{path} holds no key of a network lock.", field="/key") from None
    if key.public().base64 != found.public:
        raise Invalid("bad_key_file", f"{path}: its two halves do not belong together.", field="/key")
    return key


def read_keys(paths: Sequence[Path]) -> list[SigningKey]:
    return [read_key(path) for path in paths]


def write_carried(path: Path, carried: Carried) -> None:
    """Raises `Unavailable`."""
    write_private(path, _pretty(carried), mode=0o644)


def read_carried(path: Path) -> Carried:
    """Raises `Invalid` (`bad_lock_file`): also for one whose log does not hold."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise ValueError(f"larger than {LARGEST} bytes")
        found = msgspec.json.decode(data, type=Carried)
    except (OSError, *UNREADABLE) as error:
        raise Invalid("bad_lock_file", f"{path}: {error}.", field="/in") from None
    if (found.entry is None) == (not found.statements and not found.signed):
        raise Invalid("bad_lock_file", f"{path} holds neither an entry nor statements, or both.", field="/in")
    found.verified_log()
    return found


def sign_carried(carried: Carried, keys: Sequence[SigningKey]) -> Carried:
    """With the signatures of these keys: owners' on an entry, an authority's on statements.

    Raises `Invalid` (`not_an_owner`, `not_an_authority`, `one_key`): a signature that does not count is not made.
    """
    log = carried.verified_log()
    if carried.entry is not None:
        entry = carried.entry.opened()
        may = {*entry.owners, *(log.last.owners if log.last is not None else ())}
        signed = carried.entry
        for key in keys:
            if key.public().base64 not in may:
                reason = f"{key.public()} is no owner, before this entry or after it."
                raise Invalid("not_an_owner", reason, field="/key")
            signed = signed.with_signature(key)
        return msgspec.structs.replace(carried, entry=signed)
    if len(keys) != 1:
        raise Invalid("one_key", "statements are signed by the key of one authority.", field="/key")
    (key,) = keys
    if log.last is not None and key.public().base64 not in log.authorities:
        raise Invalid("not_an_authority", f"{key.public()} is no authority of this network.", field="/key")
    made = tuple(sign_statement(one, by=key) for one in carried.statements)
    return msgspec.structs.replace(carried, statements=(), signed=(*carried.signed, *made))


def words_of(carried: Carried) -> list[str]:
    """What somebody is about to sign, or to send, line by line."""
    if carried.entry is not None:
        return _entry_words(carried.verified_log(), carried.entry)
    opened = [one.opened() for one in carried.signed]
    return [
        *(f"sign    {statement_words(one)}" for one in carried.statements),
        *(f"signed  {statement_words(one)}" for one in opened),
    ]


def statement_words(one: Statement) -> str:
    out = ": REVOKED" if one.revoked else ""
    if isinstance(one, RelayStatement):
        may = f", may originate {', '.join(one.prefixes) or 'nothing more'}"
        outside = f", may bring in {', '.join(one.outside)}" if one.outside else ""
        return f"relay {one.name} ({one.relay}){out}: slot {one.slot}, identity {one.identity}{may}{outside}"
    assert isinstance(one, ClientStatement)
    where = f", at {', '.join(one.relays)} only" if one.relays else ""
    return f"client {one.name} ({one.client}){out}: key {one.key}, addresses {', '.join(one.addresses)}{where}"


def _entry_words(log: Log, item: SignedEntry) -> list[str]:
    entry = item.opened()
    lines = [f"network {entry.network}, entry {entry.number}: {entry.change}, hash {item.hash}"]
    if log.last is not None:
        lines.append(f"the log so far: {log.length} entries, fingerprint {log.fingerprint}")
    for name, before, after in (
        ("owner", log.last.owners if log.last else (), entry.owners),
        ("authority", log.last.authorities if log.last else (), entry.authorities),
    ):
        lines += [f"  {name} {key}{'' if key in before else '  NEW'}" for key in after]
        lines += [f"  {name} {key}  REMOVED" for key in before if key not in after]
    lines.append(
        f"  {entry.threshold} of {len(entry.owners)} owners sign; the lock is {'on' if entry.enabled else 'OFF'}"
    )
    signers = item.signers()
    lines.append(f"  signed by {', '.join(sorted(signers)) or 'nobody'}; {missing_signatures(log, item)} missing")
    return lines


def _pretty(value: msgspec.Struct) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value)) + b"\n"
