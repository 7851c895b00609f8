"""Pages of rows in the order of one unique column; identifiers and change numbers sort by time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from altnet.common.http.paging import PageParams, fetch_page
from sqlalchemy.ext.asyncio import AsyncSession


async def page_of(
    session: AsyncSession, query: Any, *, by: Any, params: PageParams, name: str, descending: bool = False
) -> tuple[Sequence[Any], str | None]:
    """Rows of a page and the next cursor. `query` is a select, `by` one of its tables' columns.

    Untyped, since SQLModel declares columns as their values. Raises `Invalid` (`bad_cursor`).
    """
    return await fetch_page(session, query, order=by, key=by, params=params, name=name, descending=descending)
