"""`write_many` in terms of single writes, for engines that have no better way."""

from __future__ import annotations

from storage.container import Container, Document, Write
from storage.errors import StorageError


async def one_write(container: Container, write: Write) -> Document | StorageError:
    """Do one write; return its error instead of raising it."""
    try:
        if write.if_etag is None:
            return await container.create(write.body)
        return await container.replace(write.body, if_etag=write.if_etag)
    except StorageError as error:
        return error
