"""What every engine asks of a document before it writes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from storage.container import MAX_DOCUMENT_BYTES, Body
from storage.errors import DocumentTooLarge, InvalidDocument
from storage.spec import ContainerSpec

# Cosmos DB: at most 1,023 bytes, and none of the characters that its resource addresses use.
_ID = re.compile(r"[^/\\?#\x00-\x1f\x7f]{1,255}\Z")
_MAX_KEY_BYTES = 1_023
_SYSTEM_FIELDS = frozenset({"_rid", "_self", "_etag", "_attachments", "_ts", "_lsn"})


def encode(spec: ContainerSpec, body: Body) -> tuple[str, str, str]:
    """Return the document's id, partition key and JSON.

    Raises:
        InvalidDocument: an id or key is missing or malformed, `ttl` is no number of seconds, or a
            value is not JSON.
        DocumentTooLarge: the JSON exceeds 2 MB.
    """
    id, partition = body.get("id"), body.get(spec.partition_key)
    if not isinstance(id, str) or not _ID.match(id):
        raise InvalidDocument(
            f"{spec.name}: {str(id)[:80]!r} is not a document id: 1 to 255 characters, none of"
            " / \\ ? # or control"
        )
    if not isinstance(partition, str) or not partition:
        raise InvalidDocument(f"{spec.name}: {spec.partition_key!r} must be a non-empty string")
    if len(partition.encode("utf-8", "replace")) > _MAX_KEY_BYTES:
        raise InvalidDocument(f"{spec.name}: {spec.partition_key!r} exceeds {_MAX_KEY_BYTES} bytes")
    ttl = body.get("ttl")
    if ttl is not None and not (isinstance(ttl, int) and (ttl > 0 or ttl == -1)):
        raise InvalidDocument(f"{spec.name}: ttl is {ttl!r}; it takes seconds above 0, or -1")
    try:
        encoded = msgspec.json.encode(body)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidDocument(f"{spec.name}: {id} cannot be written as JSON: {error}") from None
    if len(encoded) > MAX_DOCUMENT_BYTES:
        raise DocumentTooLarge(
            f"{spec.name}: {id} is {len(encoded):,} bytes; a document takes at most"
            f" {MAX_DOCUMENT_BYTES:,}"
        )
    return id, partition, encoded.decode()


def decode(encoded: bytes | str) -> dict[str, Any]:
    """Return the body of a stored document."""
    body: dict[str, Any] = msgspec.json.decode(encoded)
    return body


def expires_at(spec: ContainerSpec, body: Body, modified: float) -> int | None:
    """Return when a document written at `modified` expires, in seconds, or None for never."""
    ttl = body.get("ttl", spec.default_ttl)
    # As in Cosmos DB: without a default, a document's own ttl has no effect.
    if spec.default_ttl is None or ttl is None or ttl == -1:
        return None
    return int(modified) + int(ttl)


def without_system_fields(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body without what Cosmos DB adds to it."""
    return {key: value for key, value in body.items() if key not in _SYSTEM_FIELDS}
