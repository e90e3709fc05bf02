"""`Message`: what is sent to an actor, and its wire form."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import msgspec

from actors.errors import InvalidMessage, TooLarge
from tracing import TraceContext

MAX_PAYLOAD_BYTES = 1 << 20

_TYPE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,79}\Z")
_MESSAGE_TYPE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}\Z")
_ID = re.compile(r"[^/\\?#\x00-\x1f\x7f]{1,200}\Z")


def address(actor_type: str, key: str) -> str:
    """Return the actor id "Type/key".

    Raises:
        InvalidMessage: the type is not an identifier, or the key is empty, longer than 200
            characters or holds one of / \\ ? # or a control character.
    """
    if not _TYPE.match(actor_type):
        raise InvalidMessage(f"{actor_type[:80]!r} is not an actor type: use an identifier")
    if not _ID.match(key):
        raise InvalidMessage(
            f"{key[:80]!r} is not an actor key: 1 to 200 characters, none of / \\ ? # or control"
        )
    return f"{actor_type}/{key}"


def check_address(actor_id: str) -> None:
    """Raise `InvalidMessage` when that is no actor id, as `address` does."""
    actor_type, _, key = actor_id.partition("/")
    address(actor_type, key)


class Metadata(msgspec.Struct, frozen=True, gc=False):
    """What the runtime knows of a message beside its content.

    Attributes:
        sent_ns: when it was sent, nanoseconds since the epoch.
        sender: the actor ("Type/key") whose turn sent it; None from outside.
        workflow: name of the run that ends when this message has been handled.
        workflow_parent: parent of that run's span, when a web request started it.
        priority: lower is sooner, within one actor.
        reply: the sender waits for what the handler returns.
        not_before_ns: it is not delivered earlier, nanoseconds since the epoch; 0 for at once.
        expires_ns: its handling does not begin later, nanoseconds since the epoch; 0 for never.
        retry_of: the dead letter that this message was sent instead of.
    """

    sent_ns: int
    sender: str | None = None
    workflow: str | None = None
    workflow_parent: str | None = None
    priority: int = 0
    reply: bool = False
    not_before_ns: int = 0
    expires_ns: int = 0
    retry_of: str | None = None


class Message(msgspec.Struct, frozen=True):
    """One message to one actor.

    Attributes:
        message_id: unique; a second message of the same id is dropped.
        actor_id: whom it is for, "Type/key".
        message_type: which handler takes it.
        correlation_id: the run it belongs to; archived messages are partitioned by it.
        payload: a JSON object of at most 1 MiB.
        trace: its span, None when it is not traced.
    """

    message_id: str
    actor_id: str
    message_type: str
    correlation_id: str
    payload: Mapping[str, Any]
    metadata: Metadata
    trace: TraceContext | None = None

    @property
    def actor_type(self) -> str:
        return self.actor_id.partition("/")[0]

    @classmethod
    def new(
        cls,
        actor_id: str,
        message_type: str,
        payload: Mapping[str, Any],
        *,
        message_id: str | None = None,
        correlation_id: str | None = None,
        sender: str | None = None,
        priority: int = 0,
        reply: bool = False,
        not_before_ns: int = 0,
        expires_ns: int = 0,
        trace: TraceContext | None = None,
        workflow: str | None = None,
        workflow_parent: str | None = None,
        sent_ns: int | None = None,
    ) -> Message:
        """Make a message, checked. `sent_ns` is nanoseconds since the epoch, by default now.

        Raises:
            InvalidMessage: an id or type is malformed, or the payload is not a JSON object.
            TooLarge: the payload exceeds 1 MiB.
        """
        check_address(actor_id)
        if not _MESSAGE_TYPE.match(message_type):
            raise InvalidMessage(f"{message_type[:80]!r} is not a message type")
        message_id = message_id or uuid4().hex
        correlation_id = correlation_id or message_id
        for given in (message_id, correlation_id):
            if not _ID.match(given):
                raise InvalidMessage(f"{given[:80]!r} is not a message or correlation id")
        check_json(payload, "the payload", MAX_PAYLOAD_BYTES)
        # Whole microseconds, so that a message equals what is read back from its wire form.
        sent_ns = (time.time_ns() if sent_ns is None else sent_ns) // 1000 * 1000
        metadata = Metadata(
            sent_ns,
            sender,
            workflow,
            workflow_parent,
            priority,
            reply,
            -(-not_before_ns // 1000) * 1000,
            expires_ns // 1000 * 1000,
        )
        return cls(message_id, actor_id, message_type, correlation_id, payload, metadata, trace)

    def to_document(self) -> dict[str, Any]:
        """Return the wire form, also the archived document's body."""
        metadata = self.metadata
        # Microseconds: JSON numbers are doubles in Cosmos DB, and nanoseconds do not fit.
        meta: dict[str, Any] = {"sentAt": metadata.sent_ns // 1000}
        if metadata.sender is not None:
            meta["sender"] = metadata.sender
        if metadata.workflow is not None:
            meta["workflow"] = metadata.workflow
        if metadata.workflow_parent is not None:
            meta["workflowParent"] = metadata.workflow_parent
        if metadata.priority:
            meta["priority"] = metadata.priority
        if metadata.reply:
            meta["reply"] = True
        if metadata.not_before_ns:
            meta["notBefore"] = metadata.not_before_ns // 1000
        if metadata.expires_ns:
            meta["expiresAt"] = metadata.expires_ns // 1000
        if metadata.retry_of is not None:
            meta["retryOf"] = metadata.retry_of
        return {
            "id": self.message_id,
            "messageId": self.message_id,
            "actorId": self.actor_id,
            "messageType": self.message_type,
            "correlationId": self.correlation_id,
            "payload": self.payload,
            "trace": self.trace,
            "metadata": meta,
        }

    @classmethod
    def from_document(cls, body: Mapping[str, Any]) -> Message:
        """Read the wire form.

        Raises:
            InvalidMessage: a field is missing or of the wrong type.
        """
        try:
            wire = msgspec.convert(body, _Wire)
        except msgspec.ValidationError as error:
            raise InvalidMessage(f"not a message document: {error}") from None
        meta = wire.metadata
        return cls(
            wire.messageId,
            wire.actorId,
            wire.messageType,
            wire.correlationId,
            wire.payload,
            Metadata(
                meta.sentAt * 1000,
                meta.sender,
                meta.workflow,
                meta.workflowParent,
                meta.priority,
                meta.reply,
                meta.notBefore * 1000,
                meta.expiresAt * 1000,
                meta.retryOf,
            ),
            wire.trace,
        )


class _WireMetadata(msgspec.Struct):
    sentAt: int = 0
    sender: str | None = None
    workflow: str | None = None
    workflowParent: str | None = None
    priority: int = 0
    reply: bool = False
    notBefore: int = 0
    expiresAt: int = 0
    retryOf: str | None = None


class _Wire(msgspec.Struct):
    messageId: str
    actorId: str
    messageType: str
    correlationId: str
    payload: dict[str, Any]
    trace: TraceContext | None = None
    metadata: _WireMetadata = msgspec.field(default_factory=_WireMetadata)


def check_json(value: object, what: str, limit: int) -> bytes:
    """Return `value` as JSON.

    Raises:
        InvalidMessage: it is not made of JSON types.
        TooLarge: it takes more than `limit` bytes.
    """
    try:
        encoded = msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidMessage(f"{what} cannot be written as JSON: {error}") from None
    if len(encoded) > limit:
        raise TooLarge(what, len(encoded), limit)
    return encoded
