"""What a storage engine may raise; nothing else leaves an engine.

StorageError
├── Conflict             create: a document with this id exists in the partition
├── NotFound             read, replace, delete: no such document (or it has expired)
├── PreconditionFailed   replace, delete: the document changed since its etag was read
├── DocumentTooLarge     the encoded document is above the limit that every engine keeps
├── InvalidDocument      no id, no partition key, or a value JSON cannot hold
├── InvalidQuery         a query that the port does not promise, or a cursor that is not ours
└── Unavailable          the engine did not answer; the operation may or may not have happened
    └── Throttled        the engine asks for `retry_after` seconds of peace; nothing happened
"""

from __future__ import annotations


class StorageError(Exception):
    """Base of everything a `Container` raises."""


class Conflict(StorageError):
    """A document with this id already exists in the partition."""


class NotFound(StorageError):
    """There is no such document, or it has expired."""


class PreconditionFailed(StorageError):
    """The document changed since its etag was read."""


class DocumentTooLarge(StorageError):
    """The encoded document exceeds the size that every engine accepts."""


class InvalidDocument(StorageError):
    """The document lacks an id or partition key, or holds what JSON cannot."""


class InvalidQuery(StorageError):
    """The query or its cursor is outside what the port promises."""


class Unavailable(StorageError):
    """The engine did not answer. The write may have happened: retry only what is idempotent."""


class Throttled(Unavailable):
    """The engine refused for now; nothing was written.

    `retry_after` is in seconds.
    """

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after
