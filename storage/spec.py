"""`ContainerSpec`: one declaration per container, from which every engine builds itself."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_NAME = re.compile(r"[a-z][a-z0-9-]{1,62}\Z")
_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*\Z")

DAY = 86_400


def check_path(path: str) -> str:
    """Return `path` if it is a dotted path of identifiers ("root.actor").

    Raises:
        ValueError: it is anything else.
    """
    if not _PATH.match(path):
        raise ValueError(f"{path!r} is not a dotted path of identifiers, such as 'root.actor'")
    return path


@dataclass(frozen=True, slots=True)
class Index:
    """An index that ordered queries use: equality on `equal`, then order by `order`, then by id.

    All of `order` goes the same way; `descending` says which. Engines add the id as the last
    column, because keyset paging needs a total order.

    `covers` are paths that such a query may also filter by, arrays included. An engine keeps them
    in the index if it can: what they rule out then costs no document read.
    """

    order: tuple[str, ...]
    equal: tuple[str, ...] = ()
    descending: bool = False
    covers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for path in (*self.equal, *self.order, *self.covers):
            check_path(path)


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """What a container is called, how it is partitioned and what is queried in it.

    Attributes:
        name: lower case, digits and dashes; the name in Cosmos DB and of the SQLite table.
        partition_key: the top-level field that holds the partition key, without a slash.
        default_ttl: seconds a document lives after its last write. None keeps all for ever; -1
            keeps those for ever that say nothing else. A document's own `ttl` field (seconds, or
            -1 for ever) goes before it, unless this is None.
        indexed: paths that filters may name, with an index of their own.
        indexes: composite indexes for ordered queries.
    """

    name: str
    partition_key: str
    default_ttl: int | None = None
    indexed: tuple[str, ...] = ()
    indexes: tuple[Index, ...] = field(default=())

    def __post_init__(self) -> None:
        if not _NAME.match(self.name):
            raise ValueError(f"container name {self.name!r}: lower case letters, digits, dashes")
        if "." in check_path(self.partition_key):
            raise ValueError(f"partition key {self.partition_key!r} must be a top-level field")
        for path in self.indexed:
            check_path(path)
        if len({path.lower() for path in self.paths}) < len(self.paths):
            raise ValueError(f"{self.name}: paths that differ only in case")
        if self.default_ttl is not None and self.default_ttl <= 0 and self.default_ttl != -1:
            raise ValueError("default_ttl is in seconds and positive, -1 or None to keep for ever")

    @property
    def paths(self) -> tuple[str, ...]:
        """Every path that is declared as queried, sorted; the id, which always is, left out."""
        found = {*self.indexed}
        for index in self.indexes:
            found.update(index.equal, index.order, index.covers)
        return tuple(sorted(found - {"id", self.partition_key}))
