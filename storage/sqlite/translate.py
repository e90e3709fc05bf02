"""From `Query` and `ContainerSpec` to SQL text. Values are always bound, never written."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from storage.container import Document
from storage.errors import InvalidQuery
from storage.query import Query, Scalar, Where, decode_cursor
from storage.spec import ContainerSpec, check_path


def field(path: str) -> str:
    """Return the SQL expression of a document's field, the same text in queries and indexes."""
    if path == "id":
        return "id"
    return f"json_extract(body, '$.{check_path(path)}')"


def schema(spec: ContainerSpec) -> list[str]:
    """Return the statements that create a container's table and indexes where missing."""
    table = table_name(spec)
    statements = [
        (
            f"CREATE TABLE IF NOT EXISTS {table} (lsn INTEGER PRIMARY KEY, pk TEXT NOT NULL,"
            " id TEXT NOT NULL, body TEXT NOT NULL, modified INTEGER NOT NULL, expires INTEGER,"
            " UNIQUE (pk, id))"
        ),
        (
            f"CREATE INDEX IF NOT EXISTS {_index_name(spec, 'expires')} ON {table} (expires)"
            " WHERE expires IS NOT NULL"
        ),
    ]
    for path in spec.indexed:
        statements.append(
            f"CREATE INDEX IF NOT EXISTS {_index_name(spec, path)} ON {table} ({field(path)}, id)"
            f" WHERE {field(path)} IS NOT NULL"
        )
    for index in spec.indexes:
        paths = (*index.equal, *index.order)
        columns = ", ".join(field(path) for path in paths)
        present = " AND ".join(f"{field(path)} IS NOT NULL" for path in paths)
        name = _index_name(spec, "+".join(paths))
        statements.append(
            f"CREATE INDEX IF NOT EXISTS {name} ON {table} ({columns}, id) WHERE {present}"
        )
    return statements


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
        text, values = _condition(where)
        conditions.append(text)
        parameters += values
    ordered = {where.path for where in query.where if where.op != "contains"}
    for path in query.order_by:
        # Stated for the partial index's sake too: SQLite must see that its condition holds.
        if path not in ordered:
            conditions.append(f"{field(path)} IS NOT NULL")
    keys = [*(field(path) for path in query.order_by), "id"]
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


def _condition(where: Where) -> tuple[str, Sequence[Scalar]]:
    expression = field(where.path)
    if where.op == "in":
        values = where.value if isinstance(where.value, tuple) else ()
        return f"{expression} IN ({', '.join('?' * len(values))})", values
    value = where.value
    if isinstance(value, tuple):
        raise InvalidQuery(f"the operator {where.op!r} takes one value")
    if where.op == "contains":
        elements = f"json_each(body, '$.{check_path(where.path)}')"
        return f"EXISTS (SELECT 1 FROM {elements} WHERE value = ?)", [value]  # noqa: S608
    if where.op == "prefix":
        # A range can use the index; LIKE and GLOB cannot with a bound value.
        text = str(value)
        return (
            f"({expression} >= ? AND substr({expression}, 1, ?) = ?)",
            [text, len(text), text],
        )
    return f"{expression} {where.op} ?", [value]


def _index_name(spec: ContainerSpec, what: str) -> str:
    digest = hashlib.sha256(what.encode()).hexdigest()[:10]
    return f'"{spec.name}-{digest}"'
