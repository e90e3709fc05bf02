"""From `Query` and `ContainerSpec` to SQL text. Values are always bound, never written."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence

import msgspec

from storage.container import Body, Document
from storage.errors import InvalidQuery
from storage.query import Query, Scalar, Where, decode_cursor
from storage.spec import ContainerSpec, check_path

Encoded = str | int | float | None
_PLAIN = re.compile(r"[A-Za-z0-9_. -]*\Z")
_NOT_TEXT = (0xD800, 0x110000)
"""What follows a code point and is none: a surrogate, and the end."""
_EDGE = "\x1f"
"""Stands around each element of an array; JSON text never holds it."""


def field(spec: ContainerSpec, path: str) -> str:
    """Return the SQL expression of a document's field: its column, if it has one."""
    if path == "id":
        return "id"
    if path == spec.partition_key:
        return "pk"
    if path in spec.paths:
        return column(path)
    return f"json_extract(body, '$.{check_path(path)}')"


def column(path: str) -> str:
    """Return the quoted name of the column that holds a declared path."""
    return f'"{check_path(path)}:"'


class Columns:
    """Takes what a document has at each of its spec's paths, as its row holds it.

    Scalars are kept as they are. An array becomes the JSON of its scalars with a separator around
    each, so that one `instr` finds an element without reading the document.
    """

    def __init__(self, spec: ContainerSpec) -> None:
        self.names = [column(path) for path in spec.paths]
        self._top = {path: column(path) for path in spec.paths if "." not in path}
        self._deep = [(column(path), path.split(".")) for path in spec.paths if "." in path]

    def of(self, body: Body) -> dict[str, Encoded]:
        """Return the values that are not null, by the names of their columns."""
        found: dict[str, Encoded] = {}
        for key in body.keys() & self._top.keys():
            value = body[key]
            # Most are text, which is kept as it is.
            if type(value) is not str:
                value = _encoded(value)
                if value is None:
                    continue
            found[self._top[key]] = value
        for name, parts in self._deep:
            at: object = body
            for part in parts:
                at = at.get(part) if isinstance(at, Mapping) else None
            value = _encoded(at)
            if value is not None:
                found[name] = value
        return found


def _encoded(value: object) -> Encoded:
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        # SQLite's integers have 64 bits; what is larger is compared as a float.
        return value if -(2**63) <= value < 2**63 else float(value)
    if isinstance(value, float):
        return value
    if isinstance(value, list | tuple | set) and value:
        return _EDGE + _EDGE.join([element(item) for item in value]) + _EDGE
    return None


def element(value: object) -> str:
    """Return an array's scalar as the column writes it; numbers that are equal, equally."""
    if isinstance(value, str) and _PLAIN.match(value):
        return f'"{value}"'
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return msgspec.json.encode(value).decode()


def schema(spec: ContainerSpec) -> list[str]:
    """Return the statements that create a container's indexes where missing."""
    table = table_name(spec)
    statements = [
        (
            f"CREATE INDEX IF NOT EXISTS {_index_name(spec, 'expires')} ON {table} (expires)"
            " WHERE expires IS NOT NULL"
        ),
    ]
    for path in spec.indexed:
        statements.append(
            f"CREATE INDEX IF NOT EXISTS {_index_name(spec, path)} ON {table}"
            f" ({field(spec, path)}, id) WHERE {field(spec, path)} IS NOT NULL"
        )
    for index in spec.indexes:
        paths = (*index.equal, *index.order)
        # Whether it has expired belongs to what an index can rule out, too.
        extra = [*(field(spec, path) for path in index.covers), "expires"]
        keys = ", ".join([*(field(spec, path) for path in paths), "id", *extra])
        present = " AND ".join(f"{field(spec, path)} IS NOT NULL" for path in paths)
        name = _index_name(spec, f"{paths}{index.covers}")
        statements.append(f"CREATE INDEX IF NOT EXISTS {name} ON {table} ({keys}) WHERE {present}")
    return statements


def index_names(spec: ContainerSpec) -> set[str]:
    """Return the names of the indexes that `schema` creates, without quotes."""
    return {statement.split('"')[1] for statement in schema(spec)}


def table(spec: ContainerSpec) -> str:
    """Return the statement that creates a container's table where missing."""
    fields = "".join(f", {column(path)}" for path in spec.paths)
    return (
        f"CREATE TABLE IF NOT EXISTS {table_name(spec)} (lsn INTEGER PRIMARY KEY,"
        " pk TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL, modified INTEGER NOT NULL,"
        f" expires INTEGER{fields}, UNIQUE (pk, id))"
    )


def table_name(spec: ContainerSpec) -> str:
    """Return the quoted table name; container names hold no quote."""
    return f'"{spec.name}"'


def select(spec: ContainerSpec, query: Query, now: int) -> tuple[str, list[Scalar]]:
    """Return the statement for one page and one document more, and its parameters.

    Raises:
        InvalidQuery: the cursor is not one of this query.
    """
    conditions = ["(expires IS NULL OR expires > ?)"]
    parameters: list[Scalar] = [now]
    if query.partition is not None:
        conditions.append("pk = ?")
        parameters.append(query.partition)
    for where in query.where:
        text, values = _condition(spec, where)
        conditions.append(text)
        parameters += values
    ordered = {where.path for where in query.where}
    for path in query.order_by:
        # Stated for the partial index's sake too: SQLite must see that its condition holds.
        if path not in ordered:
            conditions.append(f"{field(spec, path)} IS NOT NULL")
    keys = [*(field(spec, path) for path in query.order_by), "id"]
    direction = "DESC" if query.descending else "ASC"
    if query.cursor is not None:
        after = decode_cursor(query.cursor, len(keys))
        sign = "<" if query.descending else ">"
        conditions.append(f"({', '.join(keys)}) {sign} ({', '.join('?' * len(keys))})")
        parameters += after
    order = ", ".join(f"{key} {direction}" for key in keys)
    parameters.append(query.limit + 1)
    text = (
        f"SELECT lsn, body, modified FROM {table_name(spec)}"  # noqa: S608 - checked paths
        f" WHERE {' AND '.join(conditions)} ORDER BY {order} LIMIT ?"
    )
    return text, parameters


def cursor_keys(query: Query, document: Document) -> list[Scalar]:
    """Return the order keys of a page's last document."""
    return [*(value_at(document.body, path) for path in query.order_by), document.body["id"]]


def value_at(body: object, path: str) -> Scalar:
    """Return the scalar at a dotted path.

    Raises:
        InvalidQuery: there is an object or array, which has no order.
    """
    value = body
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if not isinstance(value, str | int | float | bool):
        raise InvalidQuery(f"{path} is not a string, number or boolean, so it gives no order")
    return value


def _condition(spec: ContainerSpec, where: Where) -> tuple[str, Sequence[Scalar]]:
    expression = field(spec, where.path)
    if where.op == "in":
        values = where.value if isinstance(where.value, tuple) else ()
        return f"{expression} IN ({', '.join('?' * len(values))})", values
    value = where.value
    if isinstance(value, tuple):
        raise InvalidQuery(f"the operator {where.op!r} takes one value")
    if where.op == "contains":
        if where.path in spec.paths:
            return f"instr({expression}, ?) > 0", [f"{_EDGE}{element(value)}{_EDGE}"]
        elements = f"json_each(body, '$.{check_path(where.path)}')"
        return f"EXISTS (SELECT 1 FROM {elements} WHERE value = ?)", [value]  # noqa: S608
    if where.op == "prefix":
        # A range can use the index; LIKE and GLOB cannot with a bound value.
        text = str(value)
        bounds, ends = f"{expression} >= ?", [text]
        if text and (past := ord(text[-1]) + 1) not in _NOT_TEXT:
            bounds, ends = f"{bounds} AND {expression} < ?", [text, text[:-1] + chr(past)]
        return (
            f"({bounds} AND substr({expression}, 1, ?) = ?)",
            [*ends, len(text), text],
        )
    return f"{expression} {where.op} ?", [value]


def _index_name(spec: ContainerSpec, what: str) -> str:
    digest = hashlib.sha256(what.encode()).hexdigest()[:10]
    return f'"{spec.name}-{digest}"'
