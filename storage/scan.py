"""Reading everything that a container holds, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator

from storage.container import Container, Document


async def scan(container: Container, *, page: int = 500) -> AsyncIterator[Document]:
    """Yield every document in order of its last write; what is written meanwhile comes too."""
    token: str | None = None
    while True:
        changes = await container.changes(token, limit=page)
        for document in changes.documents:
            yield document
        if not changes.documents:
            return
        token = changes.token
