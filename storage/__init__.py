"""Documents behind one port: `Container`, `ContainerSpec`, structured queries.

Knows nothing of actors or traces. Engines live in `storage.sqlite`, `storage.cosmos` and
`storage.memory`; they are chosen in `loomweb.wiring` and nowhere else.
"""

from storage.container import (
    MAX_DOCUMENT_BYTES,
    Body,
    Changes,
    Container,
    Document,
    Page,
    Store,
    Usage,
    Write,
)
from storage.errors import (
    Conflict,
    DocumentTooLarge,
    InvalidDocument,
    InvalidQuery,
    NotFound,
    PreconditionFailed,
    StorageError,
    Throttled,
    Unavailable,
)
from storage.query import Query, Where
from storage.scan import scan
from storage.spec import DAY, ContainerSpec, Index
from storage.together import Joinable, at_once, forgiving, in_turn, joined, mapped

__all__ = [
    "DAY",
    "MAX_DOCUMENT_BYTES",
    "Body",
    "Changes",
    "Conflict",
    "Container",
    "ContainerSpec",
    "Document",
    "DocumentTooLarge",
    "Index",
    "InvalidDocument",
    "InvalidQuery",
    "Joinable",
    "NotFound",
    "Page",
    "PreconditionFailed",
    "Query",
    "StorageError",
    "Store",
    "Throttled",
    "Unavailable",
    "Usage",
    "Where",
    "Write",
    "at_once",
    "forgiving",
    "in_turn",
    "joined",
    "mapped",
    "scan",
]
