"""`ActorWatch`: what all actors are doing now, and what holds up those that do not get on.

The queue knows which mailbox waits; why is in the end of its actor's journal. That is read for the
mailboxes that are shown, and for no others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from actors.commands import spent
from actors.journal import EntryType, Journal, JournalEntry, JournalRecord
from actors.message import Message
from actors.parking import ParkedFor
from actors.queues.port import Mailbox, MailboxState, MessageQueue, Tally
from actors.retry import MESSAGE_RETRIES, RetryPolicy
from actors.waiting import WAITING, Wait, open_waits
from storage import StorageError

TAIL = 20
"""Journal records, the latest first, that are read of an actor to say what it is held up by."""
AT_ONCE = 16
"""Actors whose journals are read side by side."""
_END = 10**12 - 1


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """The last attempt at a message that failed. `text` is as permissioned as a payload.

    Attributes:
        record: index of the journal record that says so.
    """

    error_type: str
    text: str
    attempt: int
    at_us: int
    record: int

    @property
    def at_ns(self) -> int:
        return self.at_us * 1000


@dataclass(frozen=True, slots=True)
class Account:
    """A mailbox, and what the end of its actor's journal says of the turn of its head.

    Attributes:
        failed: the turn's last failed attempt; None when there was none.
        waits: what the turn waits for while it is suspended.
        parked: what kind of code it waits for, if it waits for that.
        spent: attempts of the turn that do not count any more, because it was suspended since.
        last_us: when anything was journaled of the actor last; None when nothing was.
        unread: whether the journal could not be read.
    """

    mailbox: Mailbox
    failed: FailedAttempt | None = None
    waits: tuple[Wait, ...] = ()
    parked: ParkedFor | None = None
    spent: int = 0
    last_us: int | None = None
    unread: bool = False

    @property
    def head(self) -> Message | None:
        return self.mailbox.head

    @property
    def attempts(self) -> int:
        """How many attempts at its head count, the one that runs included."""
        return max(0, self.mailbox.attempts - self.spent)

    @property
    def begun(self) -> bool:
        """Whether a turn of its head is under way, and others wait behind it."""
        box = self.mailbox
        return box.attempts > 0 or box.state in (MailboxState.RUNNING, MailboxState.SUSPENDED)


class ActorWatch:
    """Reads mailboxes, and the ends of journals. Reads only; nothing is activated by it.

    Every method may raise `storage.StorageError` when the queue does not answer.
    """

    def __init__(
        self, queue: MessageQueue, journal: Journal, retry_policy: RetryPolicy = MESSAGE_RETRIES
    ) -> None:
        self._queue = queue
        self._journal = journal
        self.max_attempts = retry_policy.max_attempts

    async def tally(self) -> list[Tally]:
        """Count what is in the queue, by actor type."""
        return await self._queue.tally()

    async def failing(self, *, limit: int) -> list[Account]:
        """Return turns of which an attempt failed and that are not given up, the oldest first.

        Those whose next attempt runs just now are among the oldest that run, or left out.
        """
        retrying, running = await asyncio.gather(
            self._queue.oldest(MailboxState.RETRYING, limit=limit),
            self._queue.oldest(MailboxState.RUNNING, limit=limit),
        )
        again = [mailbox for mailbox in running if mailbox.attempts > 1]
        # One that began its attempt between the two answers is in both.
        found = {mailbox.actor_id: mailbox for mailbox in (*retrying, *again)}
        accounts = await self.accounts(sorted(found.values(), key=_age)[:limit])
        return [
            account
            for account in accounts
            if account.mailbox.state is MailboxState.RETRYING or account.attempts > 1
        ]

    async def held_up(self, states: Iterable[MailboxState], *, limit: int) -> list[Account]:
        """Return the oldest `limit` mailboxes of each of these states, the oldest first."""
        found = await asyncio.gather(*(self._queue.oldest(state, limit=limit) for state in states))
        mailboxes = {mailbox.actor_id: mailbox for some in found for mailbox in some}
        return await self.accounts(sorted(mailboxes.values(), key=_age))

    async def of_type(
        self,
        actor_type: str,
        *,
        state: MailboxState | None = None,
        prefix: str = "",
        after: str = "",
        limit: int,
    ) -> list[Account]:
        """Return a type's mailboxes by actor id, as `MessageQueue.mailboxes` does."""
        return await self.accounts(
            await self._queue.mailboxes(
                actor_type, state=state, prefix=prefix, after=after, limit=limit
            )
        )

    async def of_actor(self, actor_id: str) -> Account | None:
        """Return one actor's mailbox; None when it holds nothing and is not paused."""
        mailbox = await self.mailbox(actor_id)
        return None if mailbox is None else (await self.accounts([mailbox]))[0]

    async def mailbox(self, actor_id: str) -> Mailbox | None:
        """Return one actor's mailbox without a look at its journal; None as `of_actor` does."""
        actor_type, _, key = actor_id.partition("/")
        # The key itself is the first of those that begin with it.
        found = await self._queue.mailboxes(actor_type, prefix=key, limit=1)
        return found[0] if found and found[0].actor_id == actor_id else None

    async def waiting(self, actor_id: str, *, limit: int) -> list[Message]:
        """Return messages of an actor as `MessageQueue.peek` does."""
        return await self._queue.peek(actor_id, limit=limit)

    async def accounts(self, mailboxes: Sequence[Mailbox]) -> list[Account]:
        """Add to mailboxes what the ends of their actors' journals say, one read for each."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def tell(mailbox: Mailbox) -> Account:
            if mailbox.head is None or mailbox.state is MailboxState.WAITING:
                return Account(mailbox)
            async with gate:
                return await self._tell(mailbox, mailbox.head.message_id)

        return list(await asyncio.gather(*(tell(mailbox) for mailbox in mailboxes)))

    async def _tell(self, mailbox: Mailbox, turn: str) -> Account:
        try:
            latest = await anext(
                aiter(self._journal.latest(mailbox.actor_id, until=_END, page=TAIL))
            )
        except StorageError:
            return Account(mailbox, unread=True)
        records = [record for record in latest if record.message_id == turn]
        suspended = mailbox.state is MailboxState.SUSPENDED
        parked = _parked(records) if suspended else None
        return Account(
            mailbox,
            failed=_failed(records),
            waits=_waits(turn, records) if suspended and parked is None else (),
            parked=parked,
            spent=_spent(records),
            last_us=latest[0].at_us if latest else None,
        )


def _age(mailbox: Mailbox) -> tuple[int, str]:
    return mailbox.since_us or 0, mailbox.actor_id


def _failed(records: Sequence[JournalRecord]) -> FailedAttempt | None:
    for record in records:
        last = record.entries[-1]
        if last.type is EntryType.TURN_FAILED:
            error = last.data["error"]
            return FailedAttempt(
                *(str(error["type"]), str(error["message"]), int(last.data["attempt"])),
                *(record.at_us, record.index),
            )
    return None


def _spent(records: Sequence[JournalRecord]) -> int:
    """Return the attempts before the latest `suspended` entry, of those that are read."""
    entries = (entry for record in records for entry in reversed(record.entries))
    return next((spent(entry) for entry in entries if entry.type is EntryType.SUSPENDED), 0)


def _parked(records: Sequence[JournalRecord]) -> ParkedFor | None:
    last = records[0].entries[-1] if records else None
    if last is None or last.type is not EntryType.TURN_PARKED:
        return None
    return ParkedFor(last.data["reason"])


def _waits(turn: str, records: Sequence[JournalRecord]) -> tuple[Wait, ...]:
    """Return what the latest `suspended` entry names, with all that the other entries add."""
    found = next(
        (
            (entry, record.at_us)
            for record in records
            for entry in reversed(record.entries)
            if entry.type is EntryType.SUSPENDED
        ),
        None,
    )
    if found is None:
        return ()
    suspended, since_us = found
    lines = [(entry, record.at_us) for record in reversed(records) for entry in record.entries]
    began = {entry.data["seq"]: at_us for entry, at_us in lines if entry.type in WAITING}
    waits = open_waits(turn, [entry for entry, _ in lines], began)
    named = [waits[seq] for seq in suspended.data["seqs"] if seq in waits]
    return tuple(named) or (_of(turn, suspended, since_us),)


def _of(turn: str, suspended: JournalEntry, since_us: int) -> Wait:
    """Return what a `suspended` entry says by itself."""
    event = suspended.data["for"]
    return Wait(
        f"{turn}-{suspended.data['seq']}",
        None if event is None else str(event),
        since_us,
        suspended.data["due"],
    )
