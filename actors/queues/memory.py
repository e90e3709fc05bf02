"""A queue in this process's memory, for tests."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from actors.message import Message
from actors.queues.port import DEDUPE_SECONDS, Depth, Lease, Mailbox, MailboxState, Tally


@dataclass(slots=True)
class _Entry:
    seq: int
    message: Message
    visible_at: float
    enqueued_at: float
    attempts: int = 0
    leases: int = 0

    @property
    def order(self) -> tuple[int, int]:
        return self.message.metadata.priority, self.seq


@dataclass(slots=True)
class _Mailbox:
    entries: list[_Entry] = field(default_factory=list)
    next_at: float = 0.0
    held: bool = False
    token: str | None = None
    leased: _Entry | None = None
    parked: _Entry | None = None
    wakes: int = 0
    paused: bool = False
    failed: bool = False

    @property
    def state(self) -> MailboxState:
        if self.paused:
            return MailboxState.PAUSED
        if self.token is not None:
            return MailboxState.RUNNING
        if self.held and self.failed:
            return MailboxState.RETRYING
        if self.held and self.parked is not None:
            return MailboxState.SUSPENDED
        return MailboxState.WAITING

    def in_order(self, now: float) -> list[_Entry]:
        """Return what may be delivered, the message whose turn is under way first."""
        ready = [entry for entry in self.entries if entry.visible_at <= now]
        return sorted(ready, key=lambda e: (e is not self.leased, e is not self.parked, *e.order))


@dataclass(frozen=True, slots=True)
class Upcoming:
    """What a queue expects.

    Attributes:
        first, retry: when the first mailbox, and the first that waits for the retry of a failed
            message, will be ready; seconds since the epoch, None when there is none.
        leased: how many are leased.
    """

    first: float | None
    retry: float | None
    leased: int


class MemoryQueue:
    """A `MessageQueue` that forgets everything with its process."""

    forgets = False

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._mailboxes: dict[str, _Mailbox] = {}
        self._known: dict[str, float] = {}
        self._dead: list[Message] = []
        self._seq = 0
        self._changed = asyncio.Event()

    async def enqueue(self, messages: Sequence[Message], *, delay: float = 0.0) -> list[bool]:
        now = self._clock()
        added = []
        for message in messages:
            new = self._known.get(message.message_id, 0.0) <= now
            added.append(new)
            if not new:
                continue
            self._known[message.message_id] = float("inf")
            self._seq += 1
            visible = max(now + delay, message.metadata.not_before_ns / 1e9)
            box = self._mailboxes.setdefault(message.actor_id, _Mailbox(next_at=visible))
            # What is not delayed needs no clock, which may be set back before it is leased.
            box.entries.append(_Entry(self._seq, message, visible if visible > now else 0.0, now))
            if box.token is None and not box.held:
                box.next_at = min(box.next_at, visible)
        self._changed.set()
        return added

    async def lease(
        self, actor_types: Collection[str], *, limit: int, seconds: float, owner: str | None = None
    ) -> list[Lease]:
        now = self._clock()
        leases: list[Lease] = []
        boxes = sorted(self._mailboxes.items(), key=lambda item: item[1].next_at)
        for actor_id, box in boxes:
            if len(leases) == limit:
                break
            if box.paused or box.next_at > now or actor_id.partition("/")[0] not in actor_types:
                continue
            # A turn that is under way comes before any other message, whatever its priority.
            entry = box.parked or min(
                (each for each in box.entries if each.visible_at <= now),
                key=lambda each: each.order,
                default=None,
            )
            if entry is None:
                self._reschedule(actor_id)
                continue
            entry.attempts += 1
            entry.leases += 1
            box.token, box.leased = f"{entry.seq}:{secrets.token_hex(8)}", entry
            box.next_at, box.held = now + seconds, False
            again = entry.leases > 1
            leases.append(Lease(entry.message, entry.attempts, box.token, box.wakes, False, again))
        return leases

    async def ack(self, lease: Lease) -> bool:
        box = self._held_by(lease)
        if box is None or box.leased is None:
            return False
        box.entries.remove(box.leased)
        self._known[lease.message.message_id] = self._clock() + DEDUPE_SECONDS
        self._reschedule(lease.message.actor_id)
        return True

    async def nack(self, lease: Lease, *, delay: float = 0.0, count: bool = True) -> bool:
        box = self._held_by(lease)
        if box is None or box.leased is None:
            return False
        if not count:
            box.leased.attempts -= 1
        box.failed = box.failed or count
        box.next_at, box.held = self._clock() + delay, True
        box.token = box.leased = None
        self._changed.set()
        return True

    async def park(self, lease: Lease, *, seconds: float) -> bool:
        box = self._held_by(lease)
        if box is None:
            return False
        box.parked, box.failed = box.leased, False
        wait = seconds if box.wakes == lease.wakes else 0.0
        return await self.nack(lease, delay=wait, count=False)

    async def wake(self, actor_id: str) -> None:
        box = self._mailboxes.get(actor_id)
        if box is None:
            return
        box.wakes += 1
        if box.parked is not None and box.held:
            box.next_at = self._clock()
            self._changed.set()

    async def pause(self, actor_id: str) -> None:
        self._mailboxes.setdefault(actor_id, _Mailbox(next_at=float("inf"))).paused = True

    async def resume(self, actor_id: str) -> None:
        box = self._mailboxes.get(actor_id)
        if box is None:
            return
        box.paused = False
        if not box.entries:
            del self._mailboxes[actor_id]
        self._changed.set()

    async def paused(self, actor_id: str) -> bool:
        box = self._mailboxes.get(actor_id)
        return box is not None and box.paused

    def upcoming(self, actor_types: Collection[str]) -> Upcoming:
        """Return when mailboxes of these types will be ready; leased ones are only counted."""
        boxes = [
            box
            for actor_id, box in self._mailboxes.items()
            if actor_id.partition("/")[0] in actor_types
        ]
        free = [box for box in boxes if box.token is None and not box.paused]
        retried = [box.next_at for box in free if box.held and box.parked is None]
        return Upcoming(
            min((box.next_at for box in free), default=None),
            min(retried, default=None),
            sum(box.token is not None for box in boxes),
        )

    async def extend(self, leases: Sequence[Lease], *, seconds: float) -> list[bool]:
        kept = []
        for lease in leases:
            box = self._held_by(lease)
            if box is not None:
                box.next_at = self._clock() + seconds
            kept.append(box is not None)
        return kept

    async def dead_letter(self, lease: Lease) -> bool:
        box = self._held_by(lease)
        if box is None or box.leased is None:
            return False
        box.entries.remove(box.leased)
        self._dead.append(lease.message)
        self._reschedule(lease.message.actor_id)
        return True

    async def dead(self, message_id: str) -> Message | None:
        return next((message for message in self._dead if message.message_id == message_id), None)

    async def depth(self) -> Depth:
        now = self._clock()
        boxes = [box for box in self._mailboxes.values() if not box.paused]
        entries = [entry for box in boxes for entry in box.entries]
        leased = sum(box.token is not None and box.next_at > now for box in boxes)
        stopped = [box for box in self._mailboxes.values() if box.paused]
        finishing = sum(box.token is not None and box.next_at > now for box in stopped)
        paused = sum(len(box.entries) for box in stopped) - finishing
        delayed = sum(entry.visible_at > now for entry in entries) + sum(
            box.held and box.next_at > now for box in boxes
        )
        ready = max(0, len(entries) - leased - delayed)
        visible = [entry.enqueued_at for entry in entries if entry.visible_at <= now]
        oldest = int(min(visible) * 1e6) * 1000 if ready and visible else None
        return Depth(ready, delayed, leased + finishing, len(self._dead), oldest, paused)

    async def waiting(self, actor_id: str) -> int:
        box = self._mailboxes.get(actor_id)
        if box is None:
            return 0
        begun = box.token is not None or box.held or box.parked is not None
        return len(box.entries) - begun

    async def parked(self, actor_type: str, *, limit: int) -> list[str]:
        return sorted(
            actor_id
            for actor_id, box in self._mailboxes.items()
            if box.parked is not None and actor_id.partition("/")[0] == actor_type
        )[:limit]

    async def mailboxes(
        self,
        actor_type: str,
        *,
        state: MailboxState | None = None,
        prefix: str = "",
        after: str = "",
        limit: int,
    ) -> list[Mailbox]:
        return [
            self._mailbox(actor_id, box)
            for actor_id, box in sorted(self._mailboxes.items())
            if actor_id.startswith(f"{actor_type}/{prefix}")
            and actor_id > after
            and state in (None, box.state)
        ][:limit]

    async def oldest(self, state: MailboxState, *, limit: int) -> list[Mailbox]:
        found = [
            self._mailbox(actor_id, box)
            for actor_id, box in self._mailboxes.items()
            if box.state is state
        ]
        return sorted(found, key=lambda one: (one.since_us or 0, one.actor_id))[:limit]

    async def tally(self) -> list[Tally]:
        states: dict[str, Counter[MailboxState]] = {}
        messages: Counter[str] = Counter()
        for actor_id, box in self._mailboxes.items():
            actor_type = actor_id.partition("/")[0]
            states.setdefault(actor_type, Counter())[box.state] += 1
            messages[actor_type] += len(box.entries)
        return [Tally(name, states[name], messages[name]) for name in sorted(states)]

    async def peek(self, actor_id: str, *, limit: int) -> list[Message]:
        box = self._mailboxes.get(actor_id)
        entries = [] if box is None else box.in_order(self._clock())
        return [entry.message for entry in entries[:limit]]

    async def wait(
        self,
        within: float,
        actor_types: Collection[str],
        *,
        limit: int,
        seconds: float,
        owner: str | None = None,
    ) -> list[Lease]:
        try:
            # Not in step: of workers that look one after the other, the first would get it all.
            pause = 0.05 * random.uniform(0.5, 1)  # noqa: S311 - no secret
            async with asyncio.timeout(min(within, pause)):
                await self._changed.wait()
        except TimeoutError:
            return []
        self._changed.clear()
        return []

    def _mailbox(self, actor_id: str, box: _Mailbox) -> Mailbox:
        head = next(iter(box.in_order(self._clock())), None)
        return Mailbox(
            actor_id,
            box.state,
            None if head is None else head.message,
            0 if head is None else head.attempts,
            None if head is None else int(box.next_at * 1e6),
            None if head is None else int(head.enqueued_at * 1e6),
            len(box.entries) - (head is not None),
        )

    def _held_by(self, lease: Lease) -> _Mailbox | None:
        box = self._mailboxes.get(lease.message.actor_id)
        if box is None or box.token != lease.token or box.next_at <= self._clock():
            return None
        return box

    def _reschedule(self, actor_id: str) -> None:
        box = self._mailboxes[actor_id]
        box.token, box.leased, box.parked = None, None, None
        box.held = box.failed = False
        if box.entries:
            box.next_at = max(self._clock(), min(entry.visible_at for entry in box.entries))
        elif box.paused:
            box.next_at = float("inf")
        else:
            del self._mailboxes[actor_id]
        self._changed.set()
