"""`Redrive`: what a person does with dead letters: try again, edit and try again, let go.

A retry is a *new* message that names the dead letter as the one it is a retry of. It cannot be the
old one again: the queue keeps that aside under its id, and the journal says that its turn has
ended, so a worker that got it would only give it up once more. The new message keeps the actor,
type, run (correlation id), priority and sender. It goes to the end of the mailbox; its trace is its
own and always sampled; nobody waits for its answer, because a caller was told of the failure.

**Sent once.** The new message's id is made of the dead letter's id, and a letter is retried at most
once: when the retry fails for good too, that is a dead letter of its own. A retry has three steps:

1. The decision is written into the letter, under its etag: who, when, the new message's ids and,
   if it was edited, its payload. Of two people who decide at once, one is told of the other.
2. The message is archived and enqueued.
3. The letter says that it was sent, and holds the payload no longer.

Whoever is killed between two steps leaves a letter that is `SENDING`; retrying it goes on from step
2 with what was decided in step 1. That sends nothing twice: the queue knows the id until some time
after the message was acknowledged, and by then the actor's journal has the record that ended its
turn, which step 2 looks for first.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from actors.actor import Actor
from actors.deadletters import (
    UNRESOLVED,
    DeadLetter,
    DeadLetters,
    LetterCount,
    LetterFilter,
    LetterPage,
    LetterState,
    Resolution,
)
from actors.errors import ActorError, InvalidMessage, LetterGone, LetterResolved
from actors.journal import EntryType
from actors.message import MAX_PAYLOAD_BYTES, Message, Metadata, check_json
from actors.runtime import ActorRuntime
from actors.telemetry import Run
from storage import PreconditionFailed, StorageError
from tracing import TraceContext

MAX_REASON = 500
STEP = 20
"""Dead letters that one step of a group retry sends."""


class Fate(StrEnum):
    """What became of a retry."""

    WAITING = "waiting"
    """It is in its actor's mailbox, or being handled."""
    HANDLED = "handled"
    FAILED = "failed"
    """It is a dead letter too."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a group retry did with one dead letter.

    Attributes:
        problem: why it was not sent; None when it was. Of an `InvalidPayload`, the text may quote
            the payload.
    """

    letter: DeadLetter
    problem: ActorError | StorageError | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a group retry; `cursor` asks for the next one, None says that it is done."""

    outcomes: list[Outcome]
    cursor: str | None


class Redrive:
    """Resolves dead letters through the runtime.

    Every method may raise `storage.StorageError`; repeating the call is then safe.

    Args:
        actor_types: those that this process knows; payloads for others are not checked.
    """

    def __init__(
        self,
        runtime: ActorRuntime,
        letters: DeadLetters,
        actor_types: Sequence[type[Actor]] = (),
        *,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._runtime = runtime
        self._letters = letters
        self._types = {kind.type_name(): kind for kind in actor_types}
        self._clock_ns = clock_ns

    async def get(self, actor_id: str, message_id: str) -> DeadLetter | None:
        """Return one dead letter; None when there is none, or it has expired."""
        return await self._letters.get(actor_id, message_id)

    async def of_actor(self, actor_id: str) -> list[DeadLetter]:
        """Return an actor's dead letters as `DeadLetters.of_actor` does."""
        return await self._letters.of_actor(actor_id)

    async def of_spans(self, span_ids: Sequence[str]) -> list[DeadLetter]:
        """Return dead letters as `DeadLetters.of_spans` does."""
        return await self._letters.of_spans(span_ids)

    async def find(
        self,
        criteria: LetterFilter,
        *,
        cursor: str | None = None,
        limit: int = 50,
        oldest_first: bool = False,
    ) -> LetterPage:
        """Return dead letters as `DeadLetters.find` does."""
        return await self._letters.find(
            criteria, cursor=cursor, limit=limit, oldest_first=oldest_first
        )

    async def count(self, criteria: LetterFilter) -> LetterCount:
        """Count dead letters as `DeadLetters.count` does."""
        return await self._letters.count(criteria)

    async def message(self, letter: DeadLetter) -> Message | None:
        """Return the message that was given up; None when nothing keeps it any more."""
        found = await self._runtime.queue.dead(letter.message_id)
        if found is None and self._runtime.archive is not None:
            found = await self._runtime.archive.get(letter.correlation_id, letter.message_id)
        return found

    def input_type(self, letter: DeadLetter) -> Any:
        """Return the type that the handler takes; None where it takes any object, or is unknown."""
        actor = self._types.get(letter.actor_id.partition("/")[0])
        return None if actor is None else actor.input_type(letter.message_type)

    async def fates(self, letters: Sequence[DeadLetter]) -> dict[str, Fate]:
        """Return what became of the retries of those letters that were retried, by letter's id."""
        retried = [letter for letter in letters if letter.state is LetterState.RETRIED]
        fates = await asyncio.gather(*(self._fate(letter) for letter in retried))
        return {letter.message_id: fate for letter, fate in zip(retried, fates, strict=True)}

    async def _fate(self, letter: DeadLetter) -> Fate:
        new = retry_id(letter.message_id)
        records = await self._runtime.state_store.of_message(letter.actor_id, new)
        if records and records[-1].entries[-1].type is EntryType.TURN_COMPLETED:
            return Fate.HANDLED
        # A message that kills its worker has no record, and is a dead letter all the same.
        given_up = await self._letters.get(letter.actor_id, new)
        return Fate.WAITING if given_up is None else Fate.FAILED

    async def retry(
        self,
        actor_id: str,
        message_id: str,
        *,
        by: str,
        reason: str = "",
        payload: Mapping[str, Any] | None = None,
        batch: str = "",
    ) -> DeadLetter:
        """Send the message of a dead letter again, with `payload` in place of its own if given.

        A letter that is `SENDING` is finished as it was begun.

        Raises:
            LetterResolved: it was retried or discarded before, or somebody began to retry it with
                something else than this; nothing was sent by this call.
            LetterGone: there is no such letter, or nothing keeps its message any more.
            InvalidPayload, UnknownMessageType: the handler does not take it; nothing was sent.
            InvalidMessage, TooLarge: the payload cannot be sent; nothing was.
        """
        letter = await self._unresolved(actor_id, message_id)
        while letter.state is LetterState.OPEN:
            message = await self._kept(letter)
            self.check(letter, message.payload if payload is None else payload)
            edited = payload is not None and payload != message.payload
            begun = replace(
                letter,
                state=LetterState.SENDING,
                resolution=self._decide(message, by, reason, edited=edited, batch=batch),
                payload=payload if edited else None,
            )
            try:
                return await self._finish(await self._letters.replace(begun), message)
            except PreconditionFailed:
                letter = await self._unresolved(actor_id, message_id)
        message = await self._kept(letter)
        if payload is not None and payload != _chosen(letter, message):
            begun_by = letter.resolution.by if letter.resolution else "somebody"
            raise LetterResolved(f"{begun_by} is retrying it with another payload")
        return await self._finish(letter, message)

    async def discard(self, actor_id: str, message_id: str, *, by: str, reason: str) -> DeadLetter:
        """Let a dead letter go; it stays readable until it expires.

        Raises:
            InvalidMessage: no reason is given.
            LetterResolved, LetterGone: as `retry` does.
        """
        reason = reason.strip()[:MAX_REASON]
        if not reason:
            raise InvalidMessage("Discarding a dead letter takes a reason")
        while True:
            letter = await self._unresolved(actor_id, message_id)
            if letter.state is LetterState.SENDING and letter.resolution is not None:
                raise LetterResolved(f"{letter.resolution.by} is retrying it")
            resolution = Resolution(by, self._clock_ns() // 1000, reason)
            try:
                return await self._letters.replace(
                    replace(letter, state=LetterState.DISCARDED, resolution=resolution)
                )
            except PreconditionFailed:
                continue

    async def step(
        self, criteria: LetterFilter, *, by: str, batch: str, cursor: str | None = None
    ) -> Step:
        """Retry the next unresolved dead letters that match, oldest first, and say how it went.

        Those of one actor are sent in the order in which they were given up. A group retry is any
        number of steps, each of which may be repeated; `criteria.until_us` keeps it from retrying
        what fails again meanwhile.

        Raises:
            storage.InvalidQuery: the cursor is not one of this group retry.
        """
        page = await self._letters.find(
            replace(criteria, states=UNRESOLVED), cursor=cursor, limit=STEP, oldest_first=True
        )
        by_actor: dict[str, list[DeadLetter]] = {}
        for letter in page.letters:
            by_actor.setdefault(letter.actor_id, []).append(letter)
        parts = await asyncio.gather(
            *(self._in_order(letters, by, batch) for letters in by_actor.values())
        )
        done = {outcome.letter.message_id: outcome for part in parts for outcome in part}
        return Step([done[letter.message_id] for letter in page.letters], page.cursor)

    async def _in_order(self, letters: list[DeadLetter], by: str, batch: str) -> list[Outcome]:
        outcomes = []
        for letter in letters:
            try:
                sent = await self.retry(letter.actor_id, letter.message_id, by=by, batch=batch)
            except (ActorError, StorageError) as error:
                outcomes.append(Outcome(letter, error))
            else:
                outcomes.append(Outcome(sent))
        return outcomes

    def check(self, letter: DeadLetter, payload: Mapping[str, Any]) -> None:
        """Raise what `retry` would of this payload."""
        check_json(payload, "the payload", MAX_PAYLOAD_BYTES)
        actor = self._types.get(letter.actor_id.partition("/")[0])
        if actor is not None:
            actor.check(letter.message_type, payload)

    async def _unresolved(self, actor_id: str, message_id: str) -> DeadLetter:
        letter = await self._letters.get(actor_id, message_id)
        if letter is None:
            raise LetterGone("There is no such dead letter; they are kept for 30 days")
        if not letter.unresolved and letter.resolution is not None:
            raise LetterResolved(f"{letter.resolution.by} {letter.state.value} it before")
        return letter

    async def _kept(self, letter: DeadLetter) -> Message:
        message = await self.message(letter)
        if message is None:
            raise LetterGone("Neither the queue nor the archive keeps its message any more")
        return message

    def _decide(
        self, message: Message, by: str, reason: str, *, edited: bool, batch: str
    ) -> Resolution:
        tracer = self._runtime.tracer
        trace = run = None
        if tracer is not None:
            # Somebody asked for just this one, and will look for it.
            trace = tracer.create_root_trace(message.message_type, sampled=True)
            if message.metadata.workflow is not None:
                run, trace = trace, tracer.create_child_span(trace)
        return Resolution(
            by=by,
            at_us=self._clock_ns() // 1000,
            reason=reason.strip()[:MAX_REASON],
            message_id=retry_id(message.message_id),
            trace_id=None if trace is None else trace.trace_id,
            span_id=None if trace is None else trace.span_id,
            run_span_id=None if run is None else run.span_id,
            edited=edited,
            batch=batch,
        )

    async def _finish(self, letter: DeadLetter, message: Message) -> DeadLetter:
        """Send what a letter that is `SENDING` says, and write down that it was sent."""
        resolution = letter.resolution
        if resolution is None:
            raise LetterResolved("it is being retried, but does not say how")
        new, run = _new_message(message, resolution, _chosen(letter, message))
        # The queue may have forgotten a message that it had long ago; the journal has not.
        if not await self._runtime.state_store.of_message(new.actor_id, new.message_id):
            opens = {} if run is None else {new.message_id: run}
            await self._runtime.dispatch([new], opens=opens)
        sent = replace(letter, state=LetterState.RETRIED, payload=None)
        try:
            return await self._letters.replace(sent)
        except PreconditionFailed:
            # Whoever finished it meanwhile did the same.
            return await self._letters.get(letter.actor_id, letter.message_id) or sent


def retry_id(message_id: str) -> str:
    """Return the id of the message that is sent when the dead letter of `message_id` is retried."""
    return hashlib.sha256(f"retry\0{message_id}".encode()).hexdigest()[:32]


def _chosen(letter: DeadLetter, message: Message) -> Mapping[str, Any]:
    """Return the payload that somebody decided to send."""
    return message.payload if letter.payload is None else letter.payload


def _new_message(
    message: Message, resolution: Resolution, payload: Mapping[str, Any]
) -> tuple[Message, Run | None]:
    """Return the message of a decision, the same each time it is made, and the run it begins."""
    trace = run = None
    if resolution.trace_id is not None and resolution.span_id is not None:
        above = resolution.run_span_id
        trace = TraceContext(resolution.trace_id, resolution.span_id, above)
        if above is not None and message.metadata.workflow is not None:
            run = Run(message.metadata.workflow, TraceContext(resolution.trace_id, above))
    new = Message(
        message_id=retry_id(message.message_id),
        actor_id=message.actor_id,
        message_type=message.message_type,
        correlation_id=message.correlation_id,
        payload=payload,
        metadata=Metadata(
            sent_ns=resolution.at_us * 1000,
            sender=message.metadata.sender,
            workflow=message.metadata.workflow,
            priority=message.metadata.priority,
            retry_of=message.message_id,
        ),
        trace=trace,
    )
    return new, run
