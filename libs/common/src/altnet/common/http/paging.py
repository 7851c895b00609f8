"""Lists in pages, by keyset: a page costs the same wherever it lies, and what is inserted meanwhile shifts nothing.

A cursor is the last row's sort value and id, opaque to clients. It belongs to one list and one order, and is refused
elsewhere. Total counts are not given: they cost a scan and are wrong at once.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Generic, TypeVar

import msgspec
from altnet.common.errors import Invalid
from altnet.common.http.schema import Model
from fastapi import Depends, Query
from pydantic import ConfigDict, Field
from sqlalchemy import Row, Select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql import ColumnElement

DEFAULT_LIMIT: Final = 50
LARGEST_LIMIT: Final = 500
LONGEST_CURSOR: Final = 1024

T = TypeVar("T")


class Page(Model, Generic[T]):
    """One page of a list."""

    # pydantic would look for the docstrings of `Page[Relay]` in the source of every caller up the stack, where they are
    # not: for twenty lists that was a quarter of a second of each start.
    model_config = ConfigDict(use_attribute_docstrings=False)

    items: list[T]
    next_cursor: str | None = Field(description="Ask with it for the next page; null on the last one.")

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """`Page[Relay]` is called `RelayPage`, in the API document and so in every SDK."""
        return f"{params[0].__name__}Page"


@dataclass(frozen=True, kw_only=True)
class PageParams:
    """What a client asks of a list."""

    cursor: str | None = None
    limit: int = DEFAULT_LIMIT


def _params(
    cursor: Annotated[
        str | None, Query(max_length=LONGEST_CURSOR, description="`next_cursor` of the page before.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=LARGEST_LIMIT, description="At most so many items.")] = DEFAULT_LIMIT,
) -> PageParams:
    return PageParams(cursor=cursor, limit=limit)


Paging = Annotated[PageParams, Depends(_params)]
"""Parameter of every handler of a list."""

Column = InstrumentedAttribute[Any] | ColumnElement[Any]


async def fetch_page(
    session: AsyncSession,
    select: Select[Any],
    *,
    order: Column,
    key: Column,
    params: PageParams,
    name: str,
    descending: bool = False,
) -> tuple[Sequence[Row[Any]], str | None]:
    """Run `select` for one page: its rows, and the cursor of the next page.

    Sorted by `order` (never null) and `key` (unique), which an index on both makes cheap. Rows carry what `select`
    names; two columns are added at their end for the cursor. `name` names the list and its filters and order (as
    `relays:name`): a cursor of another list is refused. Raises `Invalid` (`bad_cursor`).
    """
    if params.cursor is not None:
        last = decode_cursor(params.cursor, name=name, types=(_python_type(order), _python_type(key)))
        place = tuple_(order, key)
        select = select.where(place < last if descending else place > last)
    ordering = (order.desc(), key.desc()) if descending else (order.asc(), key.asc())
    marked = select.add_columns(order.label("page_order"), key.label("page_key"))
    found = (await session.execute(marked.order_by(*ordering).limit(params.limit + 1))).all()
    rows = found[: params.limit]
    if len(found) <= params.limit:
        return rows, None
    return rows, encode_cursor(name, rows[-1].page_order, rows[-1].page_key)


def encode_cursor(name: str, *values: Any) -> str:
    """A cursor behind the row with these sort values (texts, numbers, datetimes, UUIDs)."""
    return base64.urlsafe_b64encode(msgspec.json.encode([name, *values])).rstrip(b"=").decode()


def decode_cursor(cursor: str, *, name: str, types: tuple[type[Any], ...]) -> tuple[Any, ...]:
    """The sort values of a cursor. Raises `Invalid` (`bad_cursor`) for anything that `encode_cursor` did not make."""
    values = _values(cursor, (str, *types))
    if values is None or values[0] != name:
        raise Invalid(
            "bad_cursor",
            "the cursor is not one of this list and order.",
            field="/cursor",
            mend="Start without a cursor, and pass next_cursor on as it is.",
        )
    return values[1:]


def _values(cursor: str, types: tuple[type[Any], ...]) -> tuple[Any, ...] | None:
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        found: tuple[Any, ...] = msgspec.json.decode(raw, type=tuple.__class_getitem__(types))
    except (binascii.Error, ValueError):  # msgspec's errors are ValueErrors
        return None
    return found


def _python_type(column: Column) -> type[Any]:
    return column.type.python_type
