"""Structured queries: what the port promises, in a form that each engine translates."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from storage.errors import InvalidQuery
from storage.spec import check_path

Operator = Literal["=", "<", "<=", ">", ">=", "prefix", "contains", "in"]
Scalar = str | int | float | bool

MAX_LIMIT = 1_000
_OPERATORS = ("=", "<", "<=", ">", ">=", "prefix", "contains", "in")


@dataclass(frozen=True, slots=True)
class Where:
    """One filter. All filters of a query must hold.

    `prefix` compares the start of a string, `contains` asks whether an array holds the value,
    `in` takes a tuple of scalars. A document that lacks the path, or has null there, never matches.
    All documents that have the path hold values of one type there, the type of `value`: engines
    differ in how they compare a number with a string.
    """

    path: str
    op: Operator
    value: Scalar | tuple[Scalar, ...]

    def __post_init__(self) -> None:
        try:
            check_path(self.path)
        except ValueError as error:
            raise InvalidQuery(str(error)) from None
        if self.op not in _OPERATORS:
            raise InvalidQuery(f"no operator {self.op!r}; there are {', '.join(_OPERATORS)}")
        if (self.op == "in") != isinstance(self.value, tuple):
            raise InvalidQuery("the operator 'in', and no other, takes a tuple of values")
        if self.op == "prefix" and not isinstance(self.value, str):
            raise InvalidQuery("the operator 'prefix' takes a string")


@dataclass(frozen=True, slots=True)
class Query:
    """A page of documents of one container.

    Attributes:
        where: filters, all of which must hold.
        partition: stay within one partition (cheap everywhere); None asks across all.
        order_by: paths, all in the direction of `descending`; the id is always the last key.
            Documents that lack one of the paths are not returned.
        limit: the most documents in a page, 1 to 1,000.
        cursor: `Page.cursor` of the page before; the rest of the query must be unchanged.

    Across partitions, an ordered query pages by (order_by, id): documents that match it must have
    ids that are unique in the container.
    """

    where: tuple[Where, ...] = ()
    partition: str | None = None
    order_by: tuple[str, ...] = ()
    descending: bool = False
    limit: int = 100
    cursor: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= MAX_LIMIT:
            raise InvalidQuery(f"limit {self.limit} is outside 1 to {MAX_LIMIT}")
        for path in self.order_by:
            try:
                check_path(path)
            except ValueError as error:
                raise InvalidQuery(str(error)) from None


def encode_cursor(keys: Sequence[Scalar]) -> str:
    """Pack the order keys and the id of the last document of a page into an opaque cursor."""
    return base64.urlsafe_b64encode(msgspec.json.encode(list(keys))).rstrip(b"=").decode()


def decode_cursor(cursor: str, length: int) -> list[Scalar]:
    """Return the `length` keys that `encode_cursor` packed.

    Raises:
        InvalidQuery: the cursor is not one of ours, or belongs to another query.
    """
    try:
        raw = base64.urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4))
        keys = msgspec.json.decode(raw, type=list[str | int | float | bool])
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise InvalidQuery(
            "this cursor was not made by this list; start at its first page"
        ) from None
    if len(keys) != length:
        raise InvalidQuery("this cursor belongs to another order; start at the first page")
    return keys
