"""The network lock: rows, and what relays are told of them.

Whoever changes something of a network's lock holds its row in `lock_networks` to the commit, so versions are in the
order of commits and a reader that has seen one has seen all before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from altnet.common.contracts.lock import PAGE, HostCertificates, LockPage, LockQuery
from altnet.common.db.uow import UnitOfWork
from altnet.common.lock.certificates import Certificate
from altnet.common.lock.encoding import Signature
from altnet.common.lock.log import Log, SignedEntry
from altnet.common.lock.statements import SignedStatement
from altnet.keyd.tables import IdentityRow, LockEntryRow, LockHostRow, LockNetworkRow, LockStatementRow
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

_TAKE: Final = text(
    "INSERT INTO keyd.lock_networks AS n (network, version) VALUES (:network, :count)"
    " ON CONFLICT (network) DO UPDATE SET version = n.version + :count RETURNING version"
)


async def next_version(uow: UnitOfWork, network: str, count: int = 1) -> int:
    """The first of `count` versions, one for each row that changes; nobody else changes the lock before the commit."""
    return int((await uow.connection.execute(_TAKE, {"network": network, "count": count})).scalar_one()) - count + 1


async def entries(session: AsyncSession, network: str, *, after: int = 0) -> Sequence[LockEntryRow]:
    query = select(LockEntryRow).where(col(LockEntryRow.network) == network, col(LockEntryRow.number) > after)
    return (await session.execute(query.order_by(col(LockEntryRow.number)))).scalars().all()


async def last(session: AsyncSession, network: str) -> LockEntryRow | None:
    query = select(LockEntryRow).where(col(LockEntryRow.network) == network)
    return (await session.execute(query.order_by(col(LockEntryRow.number).desc()).limit(1))).scalars().first()


async def log_of(session: AsyncSession, network: str) -> Log:
    """The log, verified anew. Raises what is wrong with it: somebody wrote into the table."""
    return Log(network).extended([signed_entry(row) for row in await entries(session, network)])


async def statement(session: AsyncSession, network: str, subject: str) -> LockStatementRow | None:
    return await session.get(LockStatementRow, (network, subject))


async def statements_of(session: AsyncSession, network: str, subjects: Sequence[str]) -> dict[str, LockStatementRow]:
    query = select(LockStatementRow).where(
        col(LockStatementRow.network) == network, col(LockStatementRow.subject).in_(subjects)
    )
    return {row.subject: row for row in (await session.execute(query)).scalars().all()}


async def host(session: AsyncSession, relay: str, *, lock: bool = False) -> LockHostRow | None:
    return await session.get(LockHostRow, relay, with_for_update=lock)


async def hosts_of(session: AsyncSession, network: str) -> dict[str, LockHostRow]:
    query = select(LockHostRow).where(col(LockHostRow.network) == network)
    return {row.relay: row for row in (await session.execute(query)).scalars().all()}


async def members(session: AsyncSession, network: str) -> Sequence[IdentityRow]:
    """Identities of a network that are not revoked."""
    query = select(IdentityRow).where(col(IdentityRow.network) == network, col(IdentityRow.state) != "revoked")
    return (await session.execute(query.order_by(col(IdentityRow.id)))).scalars().all()


async def unpublished(session: AsyncSession) -> Sequence[LockNetworkRow]:
    query = select(LockNetworkRow).where(col(LockNetworkRow.version) != col(LockNetworkRow.published))
    return (await session.execute(query)).scalars().all()


async def networks(session: AsyncSession) -> Sequence[LockNetworkRow]:
    return (await session.execute(select(LockNetworkRow))).scalars().all()


async def page(session: AsyncSession, network: str, query: LockQuery, *, clients: bool = False) -> LockPage:
    """What is new since a version; of clients, statements about those that are asked for (`clients`: all new ones)."""
    counter = await session.get(LockNetworkRow, network)
    newest = counter.version if counter is not None else 0
    end = await last(session, network)
    length, head = (end.number, end.hash) if end is not None else (0, "")
    if not length:  # nothing counts before there is a log
        return LockPage(network=network, since=0, version=0, length=0, head="")
    since = query.since if query.since <= newest else 0  # it has seen more than we have: a restored backup
    statements = select(LockStatementRow).where(
        col(LockStatementRow.network) == network, col(LockStatementRow.version) > since
    )
    if not clients:
        statements = statements.where(col(LockStatementRow.kind) == "relay")
    told = (await session.execute(statements.order_by(col(LockStatementRow.version)).limit(PAGE))).scalars().all()
    certified = select(LockHostRow).where(col(LockHostRow.network) == network, col(LockHostRow.version) > since)
    hosts = (await session.execute(certified.order_by(col(LockHostRow.version)).limit(PAGE))).scalars().all()
    full = [rows[-1].version for rows in (told, hosts) if len(rows) == PAGE]  # each row has a version of its own
    upto = min([newest, *full])
    asked = await statements_of(session, network, query.clients) if query.clients else {}
    chosen = [row for row in told if row.version <= upto and row.subject not in asked]
    new = await entries(session, network, after=min(query.length, length))
    return LockPage(
        network=network,
        since=since,
        version=upto,
        length=length,
        head=head,
        entries=tuple(signed_entry(row) for row in new[:PAGE]),
        statements=tuple(signed_statement(row) for row in (*chosen, *asked.values())),
        hosts=tuple(
            HostCertificates(relay=row.relay, certificates=certificates_of(row)) for row in hosts if row.version <= upto
        ),
        more=upto < newest or len(new) > PAGE,
    )


async def is_on(session: AsyncSession, network: str) -> bool:
    """Whether neighbours would refuse a key without certificate."""
    end = await last(session, network)
    return end is not None and signed_entry(end).opened().enabled


def signed_entry(row: LockEntryRow) -> SignedEntry:
    return SignedEntry(entry=row.entry, signatures=msgspec.convert(row.signatures, tuple[Signature, ...]))


def signed_statement(row: LockStatementRow) -> SignedStatement:
    return SignedStatement(statement=row.statement, authority=row.authority, signature=row.signature)


def certificates_of(row: LockHostRow | None) -> tuple[Certificate, ...]:
    return msgspec.convert(row.certificates, tuple[Certificate, ...]) if row is not None else ()
