"""From `Query` and `ContainerSpec` to Cosmos DB SQL and index policies."""

from __future__ import annotations

from typing import Any

from storage.errors import InvalidQuery
from storage.query import Query, Scalar, Where, decode_cursor
from storage.spec import ContainerSpec, check_path

Parameters = list[dict[str, Any]]


def field(path: str) -> str:
    """Return the SQL expression of a document's field."""
    return "c" + "".join(f'["{part}"]' for part in check_path(path).split("."))


def select(spec: ContainerSpec, query: Query) -> tuple[str, Parameters]:
    """Return the query text for one page and one document more, and its parameters.

    Raises:
        InvalidQuery: the cursor is not one of this query.
    """
    values: list[Any] = []

    def bind(value: Scalar) -> str:
        values.append(value)
        return f"@p{len(values) - 1}"

    conditions = []
    if query.partition is not None:
        # Also sent as the request's partition key, which is what routes it.
        conditions.append(f"{field(spec.partition_key)} = {bind(query.partition)}")
    for where in query.where:
        conditions.append(_condition(where, bind))
    for path in query.order_by:
        conditions.append(f"IS_DEFINED({field(path)})")
    paths = [*query.order_by, "id"]
    if query.cursor is not None:
        sign = "<" if query.descending else ">"
        after = decode_cursor(query.cursor, len(paths))
        conditions.append(_after(paths, after, sign, bind))
    direction = "DESC" if query.descending else "ASC"
    order = ", ".join(f"{field(path)} {direction}" for path in paths)
    filters = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    text = f"SELECT TOP {query.limit + 1} * FROM c{filters} ORDER BY {order}"  # noqa: S608
    return text, [{"name": f"@p{i}", "value": value} for i, value in enumerate(values)]


def indexing_policy(spec: ContainerSpec) -> dict[str, Any]:
    """Return a policy that indexes what is queried and nothing else: writes are charged by it."""
    paths = {*spec.indexed, *(path for index in spec.indexes for path in index.equal + index.order)}
    included = [{"path": f"/{path.replace('.', '/')}/?"} for path in sorted(paths)]
    # `contains` looks into arrays, whose elements have a path of their own.
    included += [{"path": f"/{path.replace('.', '/')}/[]/?"} for path in spec.indexed]
    composite = []
    for index in spec.indexes:
        order = "descending" if index.descending else "ascending"
        composite.append(
            [
                {"path": f"/{path.replace('.', '/')}", "order": order}
                for path in (*index.equal, *index.order, "id")
            ]
        )
    return {
        "indexingMode": "consistent",
        "automatic": True,
        "includedPaths": included,
        "excludedPaths": [{"path": "/*"}],
        "compositeIndexes": composite,
    }


def _condition(where: Where, bind: Any) -> str:
    expression = field(where.path)
    if where.op == "in":
        values = where.value if isinstance(where.value, tuple) else ()
        return f"{expression} IN ({', '.join(bind(value) for value in values)})"
    if isinstance(where.value, tuple):
        raise InvalidQuery(f"the operator {where.op!r} takes one value")
    if where.op == "contains":
        return f"ARRAY_CONTAINS({expression}, {bind(where.value)})"
    if where.op == "prefix":
        return f"STARTSWITH({expression}, {bind(where.value)})"
    return f"{expression} {where.op} {bind(where.value)}"


def _after(paths: list[str], after: list[Scalar], sign: str, bind: Any) -> str:
    """(a, b) > (x, y), spelled out: Cosmos DB has no row values."""
    alternatives = []
    for position, path in enumerate(paths):
        equal = [f"{field(paths[i])} = {bind(after[i])}" for i in range(position)]
        alternatives.append(
            "(" + " AND ".join([*equal, f"{field(path)} {sign} {bind(after[position])}"]) + ")"
        )
    return f"({' OR '.join(alternatives)})"
