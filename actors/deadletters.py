"""Dead letters: which messages were given up, why, and what a person made of each.

The message itself stays elsewhere: whole in the queue, and in the archive.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from actors.message import Message
from storage import DAY, Conflict, Container, ContainerSpec, Document, Index, NotFound, Query, Where

_FILTERS = ("state", "errorType", "actorType")

DEAD_LETTERS = ContainerSpec(
    "dead-letters",
    "actorId",
    default_ttl=30 * DAY,
    indexed=("spanId",),
    indexes=tuple(
        Index(equal=equal, order=("at",), descending=descending, covers=covers)
        for equal, covers in (
            ((), _FILTERS),
            (("fingerprint",), _FILTERS),
            (("batch",), ("state",)),
        )
        for descending in (True, False)
    ),
)


OF_ACTOR = 200
"""Dead letters that are read of one actor at most."""
COUNTED = 1_000
"""Dead letters that are counted at most."""


class LetterState(StrEnum):
    """What became of a dead letter."""

    OPEN = "open"
    SENDING = "sending"
    """Somebody retries it: the decision is written down, that it was sent is not yet."""
    RETRIED = "retried"
    DISCARDED = "discarded"


UNRESOLVED = (LetterState.OPEN, LetterState.SENDING)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a message was given up.

    Attributes:
        error_type, fingerprint: of the last failure; its text is in the journal.
        attempts: how often the message was leased.
        journal_index: the failed turn's record; None when the turn never got to write one.
    """

    error_type: str
    fingerprint: str
    attempts: int
    journal_index: int | None


@dataclass(frozen=True, slots=True)
class Resolution:
    """Who resolved a dead letter, when and how. `at_us` is microseconds since the epoch.

    Attributes:
        reason: what that person said about it.
        message_id: the message that was sent instead; None for one that was discarded.
        trace_id, span_id, run_span_id: of that message; of the run that it begins anew, if any.
        edited: whether that message has another payload.
        batch: names the group retry that it was part of; "" for one that was retried alone.
    """

    by: str
    at_us: int
    reason: str = ""
    message_id: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    run_span_id: str | None = None
    edited: bool = False
    batch: str = ""

    @property
    def at_ns(self) -> int:
        return self.at_us * 1000


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was given up. `at_us` is when, microseconds since the epoch.

    Attributes:
        trace_id, span_id: the message's span; None when it was not traced.
        retry_of: the dead letter that this message was a retry of.
        payload: what is to be sent instead, while the letter is `SENDING` with another payload.
        etag: of the document; a change is made under it.
    """

    message_id: str
    actor_id: str
    message_type: str
    correlation_id: str
    trace_id: str | None
    span_id: str | None
    error_type: str
    fingerprint: str
    attempts: int
    journal_index: int | None
    at_us: int
    retry_of: str | None = None
    state: LetterState = LetterState.OPEN
    resolution: Resolution | None = None
    payload: Mapping[str, Any] | None = field(default=None, repr=False)
    etag: str = ""

    @property
    def at_ns(self) -> int:
        return self.at_us * 1000

    @property
    def unresolved(self) -> bool:
        """Whether it still waits for somebody to decide, or to finish what somebody began."""
        return self.state in UNRESOLVED

    def to_document(self) -> dict[str, Any]:
        found = self.resolution
        resolution: dict[str, Any] | None = None
        if found is not None:
            resolution = {
                "by": found.by,
                "at": found.at_us,
                "reason": found.reason,
                "messageId": found.message_id,
                "traceId": found.trace_id,
                "spanId": found.span_id,
                "runSpanId": found.run_span_id,
                "edited": found.edited,
            }
        return {
            "id": self.message_id,
            "actorId": self.actor_id,
            "actorType": self.actor_id.partition("/")[0],
            "messageType": self.message_type,
            "correlationId": self.correlation_id,
            "traceId": self.trace_id,
            "spanId": self.span_id,
            "errorType": self.error_type,
            "fingerprint": self.fingerprint,
            "attempts": self.attempts,
            "journalIndex": self.journal_index,
            "at": self.at_us,
            "retryOf": self.retry_of,
            "state": self.state.value,
            "resolution": resolution,
            **({"batch": found.batch} if found is not None and found.batch else {}),
            **({} if self.payload is None else {"payload": self.payload}),
        }

    @classmethod
    def from_document(cls, document: Document) -> DeadLetter:
        body = document.body
        found = body["resolution"]
        return cls(
            message_id=body["id"],
            actor_id=body["actorId"],
            message_type=body["messageType"],
            correlation_id=body["correlationId"],
            trace_id=body["traceId"],
            span_id=body.get("spanId"),
            error_type=body["errorType"],
            fingerprint=body["fingerprint"],
            attempts=body["attempts"],
            journal_index=body["journalIndex"],
            at_us=body["at"],
            retry_of=body.get("retryOf"),
            # Versions before 0.3 wrote none.
            state=LetterState(body.get("state", "open")),
            resolution=None
            if found is None
            else Resolution(
                by=found["by"],
                at_us=found["at"],
                reason=found["reason"],
                message_id=found["messageId"],
                trace_id=found["traceId"],
                span_id=found["spanId"],
                run_span_id=found["runSpanId"],
                edited=found["edited"],
                batch=body.get("batch", ""),
            ),
            payload=body.get("payload"),
            etag=document.etag,
        )


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Every field that is set must hold.

    Attributes:
        states: any of these; empty takes all.
        batch: resolved by this group retry.
        until_us: given up no later, microseconds since the epoch.
    """

    states: tuple[LetterState, ...] = ()
    actor_type: str | None = None
    error_type: str | None = None
    fingerprint: str | None = None
    batch: str | None = None
    until_us: int | None = None


@dataclass(frozen=True, slots=True)
class LetterPage:
    """Dead letters in order; `cursor` asks for the next page, None says there is none."""

    letters: list[DeadLetter]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class LetterCount:
    """How many dead letters match; `more` says that there are others beyond those counted."""

    number: int
    more: bool


class DeadLetters:
    """The dead letters of all actors, in one container partitioned by actor.

    Every method may raise `storage.StorageError`.
    """

    def __init__(self, container: Container, *, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._container = container
        self._clock_ns = clock_ns

    async def add(self, message: Message, reason: Reason) -> str:
        """Record that `message` was given up; repeating it changes nothing. Returns its id."""
        trace = message.trace
        letter = DeadLetter(
            message_id=message.message_id,
            actor_id=message.actor_id,
            message_type=message.message_type,
            correlation_id=message.correlation_id,
            trace_id=None if trace is None else trace.trace_id,
            span_id=None if trace is None else trace.span_id,
            error_type=reason.error_type,
            fingerprint=reason.fingerprint,
            attempts=reason.attempts,
            journal_index=reason.journal_index,
            at_us=self._clock_ns() // 1000,
            retry_of=message.metadata.retry_of,
        )
        # A conflict: a worker did not live to take it off the queue. What somebody has decided
        # since then stays.
        with contextlib.suppress(Conflict):
            await self._container.create(letter.to_document())
        return message.message_id

    async def get(self, actor_id: str, message_id: str) -> DeadLetter | None:
        """Return one dead letter; None when there is none, or it has expired."""
        try:
            return DeadLetter.from_document(await self._container.read(message_id, actor_id))
        except NotFound:
            return None

    async def of_actor(self, actor_id: str) -> list[DeadLetter]:
        """Return an actor's dead letters, the latest first, from at most `OF_ACTOR` of them."""
        page = await self._container.query(Query(partition=actor_id, limit=OF_ACTOR))
        letters = [DeadLetter.from_document(document) for document in page.documents]
        return sorted(letters, key=lambda letter: -letter.at_us)

    async def of_spans(self, span_ids: Sequence[str]) -> list[DeadLetter]:
        """Return the dead letters of the messages with these spans, of any actor, in no order."""
        where = (Where("spanId", "in", tuple(span_ids)),)
        page = await self._container.query(Query(where, limit=1_000))
        return [DeadLetter.from_document(document) for document in page.documents]

    async def find(
        self,
        criteria: LetterFilter,
        *,
        cursor: str | None = None,
        limit: int = 50,
        oldest_first: bool = False,
    ) -> LetterPage:
        """Return dead letters, those given up last first unless `oldest_first`.

        Raises:
            storage.InvalidQuery: the cursor is not one of this list.
        """
        where: list[Where] = []
        if criteria.states:
            where.append(Where("state", "in", tuple(state.value for state in criteria.states)))
        for path, value in (
            ("actorType", criteria.actor_type),
            ("errorType", criteria.error_type),
            ("fingerprint", criteria.fingerprint),
            ("batch", criteria.batch),
        ):
            if value is not None:
                where.append(Where(path, "=", value))
        if criteria.until_us is not None:
            where.append(Where("at", "<=", criteria.until_us))
        page = await self._container.query(
            Query(tuple(where), None, ("at",), not oldest_first, limit, cursor)
        )
        letters = [DeadLetter.from_document(document) for document in page.documents]
        return LetterPage(letters, page.cursor)

    async def count(self, criteria: LetterFilter) -> LetterCount:
        """Count dead letters, up to `COUNTED`: no store tells without reading them."""
        page = await self.find(criteria, limit=COUNTED)
        return LetterCount(len(page.letters), page.cursor is not None)

    async def replace(self, letter: DeadLetter) -> DeadLetter:
        """Write a changed letter, if nobody else has changed it since it was read.

        Raises:
            storage.PreconditionFailed: somebody has.
            storage.NotFound: it has expired.
        """
        document = await self._container.replace(letter.to_document(), if_etag=letter.etag)
        return DeadLetter.from_document(document)
