"""A document that one process alone writes, as a whole, again and again."""

from __future__ import annotations

from typing import Any

from storage import Conflict, Container, NotFound, PreconditionFailed


class OwnedDocument:
    """Writes versions of one document, so that the latest one given is the one that stays.

    An upsert whose answer was late may arrive after a newer one and undo it. This names the version
    that it replaces instead: what comes late is refused.
    """

    def __init__(self, container: Container, id: str, partition: str) -> None:
        self._container = container
        self._key = (id, partition)
        self._etag: str | None = None

    async def write(self, body: dict[str, Any]) -> None:
        """Store the document's next version.

        Raises:
            storage.StorageError: it may be stored or not; write again.
        """
        while True:
            try:
                if self._etag is None:
                    self._etag = (await self._container.create(body)).etag
                else:
                    stored = await self._container.replace(body, if_etag=self._etag)
                    self._etag = stored.etag
                return
            except (Conflict, PreconditionFailed):
                # An earlier write did arrive, or arrived late: this one replaces it.
                try:
                    self._etag = (await self._container.read(*self._key)).etag
                except NotFound:
                    self._etag = None
            except NotFound:
                # It has expired, or somebody took it for left behind.
                if self._etag is None:
                    raise
                self._etag = None

    async def remove(self) -> None:
        """Delete the document; nothing happens when it is gone."""
        self._etag = None
        try:
            await self._container.delete(*self._key)
        except NotFound:
            return
