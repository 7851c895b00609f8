"""Owners and authorities of a network lock, for tests: what they would sign on their own machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from altnet.common.lock.certificates import Certificate, WgUse, certify
from altnet.common.lock.encoding import canonical
from altnet.common.lock.log import Entry, LockChange, Log, SignedEntry, first_entry, next_entry
from altnet.common.lock.statements import ClientStatement, RelayStatement, SignedStatement, Statement, sign_statement
from altnet.common.signing import SigningKey


@dataclass
class Locksmith:
    """Two of three owners, one authority. `log` is what they have made."""

    network: str
    owners: list[SigningKey] = field(default_factory=lambda: [SigningKey.generate() for _ in range(3)])
    threshold: int = 2
    authority: SigningKey = field(default_factory=SigningKey.generate)
    log: Log = field(init=False)

    def __post_init__(self) -> None:
        self.log = Log(self.network)

    def signed(self, entry: Entry, signers: int | None = None) -> SignedEntry:
        made = SignedEntry(entry=canonical(entry))
        for owner in self.owners[: self.threshold if signers is None else signers]:
            made = made.with_signature(owner)
        return made

    def init(self, *, signers: int | None = None) -> SignedEntry:
        keys = [one.public().base64 for one in self.owners]
        entry = first_entry(
            self.network, owners=keys, threshold=self.threshold, authorities=[self.authority.public().base64]
        )
        return self.signed(entry, signers)

    def change(self, change: LockChange, *, signers: int | None = None, **fields: Any) -> SignedEntry:
        return self.signed(next_entry(self.log, change, **fields), signers)

    def take(self, item: SignedEntry) -> SignedEntry:
        """It is in the log from now on."""
        self.log = self.log.extended([item])
        return item

    def sign(self, statement: Statement, *, by: SigningKey | None = None) -> SignedStatement:
        return sign_statement(statement, by=by or self.authority)

    def relay(self, id: str, *, slot: int, identity: str, serial: int = 1, **fields: Any) -> SignedStatement:
        made = RelayStatement(network=self.network, relay=id, name=id, slot=slot, identity=identity, serial=serial)
        return self.sign(msgspec.structs.replace(made, **fields))

    def client(self, id: str, *, key: str, addresses: Sequence[str], serial: int = 1, **fields: Any) -> SignedStatement:
        made = ClientStatement(
            network=self.network, client=id, name=id, key=key, addresses=tuple(addresses), serial=serial
        )
        return self.sign(msgspec.structs.replace(made, **fields))

    def certificate(self, relay: str, key: str, *, by: SigningKey, epoch: int = 0) -> Certificate:
        return certify(network=self.network, relay=relay, use=WgUse.MESH, epoch=epoch, key=key, by=by)


def entry_body(item: SignedEntry, **more: Any) -> dict[str, Any]:
    """For `POST /v1/lock/entries`."""
    return {"entry": item.entry, "signatures": msgspec.to_builtins(item.signatures), **more}


def statements_body(*items: SignedStatement) -> dict[str, Any]:
    """For `POST /v1/lock/statements`."""
    return {"statements": msgspec.to_builtins(items)}
