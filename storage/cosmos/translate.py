"""From `Query` and `ContainerSpec` to Cosmos DB SQL and index policies."""

from __future__ import annotations

from collections.abc import Mapping
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
    # What is equal in all of the result does not change its order, but naming it lets Cosmos DB
    # use the composite index that begins with it.
    named = [*_equal_of(spec, query), *paths]
    order = ", ".join(f"{field(path)} {direction}" for path in named)
    filters = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    text = f"SELECT TOP {query.limit + 1} * FROM c{filters} ORDER BY {order}"  # noqa: S608
    return text, [{"name": f"@p{i}", "value": value} for i, value in enumerate(values)]


def without_ttl(
    spec: ContainerSpec, partition: str, since: str, until: str, most: int
) -> tuple[str, Parameters]:
    """Return the query for ids and etags of documents of a partition that have no TTL of their own:
    those with ids from `since` to before `until`, in order, and so many at most."""
    text = (
        f"SELECT TOP {most} c.id, c._etag FROM c WHERE {field(spec.partition_key)} = @partition"  # noqa: S608
        " AND c.id >= @since AND c.id < @until AND NOT IS_DEFINED(c.ttl) ORDER BY c.id ASC"
    )
    values = {"@partition": partition, "@since": since, "@until": until}
    return text, [{"name": name, "value": value} for name, value in values.items()]


def _equal_of(spec: ContainerSpec, query: Query) -> tuple[str, ...]:
    """Return the leading paths of the most specific index that the query can use."""
    equal = {where.path for where in query.where if where.op == "="}
    usable = [
        index.equal
        for index in spec.indexes
        if index.order == query.order_by
        and index.descending == query.descending
        and equal.issuperset(index.equal)
    ]
    return max(usable, key=len, default=())


def indexing_policy(spec: ContainerSpec) -> dict[str, Any]:
    """Return a policy that indexes what is queried and nothing else: writes are charged by it."""
    included = [{"path": f"/{path.replace('.', '/')}/?"} for path in spec.paths]
    # `contains` looks into arrays, whose elements have a path of their own.
    arrays = {*spec.indexed, *(path for index in spec.indexes for path in index.covers)}
    included += [{"path": f"/{path.replace('.', '/')}/[]/?"} for path in sorted(arrays)]
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


def differences(spec: ContainerSpec, found: Mapping[str, Any]) -> list[str]:
    """Return how a container's properties, as Cosmos DB gives them, differ from its spec."""
    said = []
    key = [f"/{spec.partition_key}"]
    if found.get("partitionKey", {}).get("paths") != key:
        paths = found.get("partitionKey", {}).get("paths")
        said.append(f"{spec.name}: the partition key is {paths}, not {key}; it cannot be changed")
    if found.get("defaultTtl") != spec.default_ttl:
        said.append(
            f"{spec.name}: documents live {found.get('defaultTtl')} seconds by default, not"
            f" {spec.default_ttl}"
        )
    have, want = found.get("indexingPolicy", {}), indexing_policy(spec)
    for name in ("includedPaths", "excludedPaths"):
        # Cosmos DB excludes the etag by itself.
        there = {path["path"] for path in have.get(name, ())} - {'/"_etag"/?', "/_etag/?"}
        wanted = {path["path"] for path in want[name]}
        if there != wanted:
            missing, extra = sorted(wanted - there), sorted(there - wanted)
            said.append(f"{spec.name}: {name} lack {missing} and have {extra} besides")
    if _composites(have) != _composites(want):
        lacking = len(_composites(want) - _composites(have))
        extra_ones = len(_composites(have) - _composites(want))
        said.append(
            f"{spec.name}: {lacking} composite indexes are missing, {extra_ones} are not used"
        )
    return said


def _composites(policy: Mapping[str, Any]) -> set[tuple[tuple[str, str], ...]]:
    return {
        tuple((part["path"], part.get("order", "ascending")) for part in index)
        for index in policy.get("compositeIndexes") or ()
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
