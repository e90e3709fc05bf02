"""What a message queue is, in the plainest way: lists, and a clock that may jump.

Engines may differ in one thing. When the clock is set back, a message whose time had come, or a
mailbox that was ready, may be offered at once or when the clock is there again. So what must be
leased is known only while the clock stands at its latest; what may not be leased always is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from actors import Depth, Lease, Message
from actors.queues import MailboxState, Tally
from actors.queues.port import DEDUPE_SECONDS


@dataclass(eq=False)
class Waiting:
    """A message in its mailbox. Times are microseconds."""

    number: int
    message: Message
    visible_at: int
    enqueued_at: int
    attempts: int = 0
    leases: int = 0

    @property
    def order(self) -> tuple[int, int]:
        return self.message.metadata.priority, self.number


@dataclass
class Mailbox:
    """`until` is when the lease ends, or what holds the mailbox back."""

    messages: list[Waiting] = field(default_factory=list)
    lease: tuple[Waiting, Lease] | None = None
    wakes_at_lease: int = 0
    held: bool = False
    until: int = 0
    parked: Waiting | None = None
    wakes: int = 0
    paused: bool = False
    failed: bool = False

    @property
    def state(self) -> MailboxState:
        if self.paused:
            return MailboxState.PAUSED
        if self.lease is not None:
            return MailboxState.RUNNING
        if self.held and self.failed:
            return MailboxState.RETRYING
        if self.held and self.parked is not None:
            return MailboxState.SUSPENDED
        return MailboxState.WAITING

    def is_leased(self, now: int) -> bool:
        return self.lease is not None and self.until > now

    def is_held(self, now: int) -> bool:
        return self.held and self.until > now


class QueueModel:
    """Says what a queue must answer, and whether what it leased is right."""

    def __init__(self) -> None:
        self.now = self.latest = 0
        self.boxes: dict[str, Mailbox] = {}
        self.known: dict[str, int | None] = {}
        self.dead = 0
        self._number = 0

    def set_clock(self, seconds: float) -> None:
        self.now = int(seconds * 1e6)
        self.latest = max(self.latest, self.now)

    @property
    def at_latest(self) -> bool:
        return self.now == self.latest

    def enqueue(self, messages: Sequence[Message], delay: float) -> list[bool]:
        return [self._add(message, int(delay * 1e6)) for message in messages]

    def _add(self, message: Message, delay: int) -> bool:
        if message.message_id in self.known:
            until = self.known[message.message_id]
            if until is None or until > self.now:
                return False
        self.known[message.message_id] = None
        self._number += 1
        visible = max(self.now + delay, message.metadata.not_before_ns // 1000)
        # What is not delayed needs no clock.
        visible = visible if visible > self.now else 0
        box = self.boxes.setdefault(message.actor_id, Mailbox())
        box.messages.append(Waiting(self._number, message, visible, self.now))
        return True

    def leased(self, types: Collection[str], limit: int, until: int, got: list[Lease]) -> None:
        """Check what was leased, and note it."""
        offered = {actor for actor in self.boxes if self._offered(actor, types)}
        actors = [lease.message.actor_id for lease in got]
        assert len(set(actors)) == len(actors) <= limit
        assert set(actors) <= offered, "a mailbox was leased that is busy, held back or paused"
        if self.at_latest:
            assert len(got) == min(limit, len(offered)), "what is ready was not leased"
        for lease in got:
            box = self.boxes[lease.message.actor_id]
            waiting = self._head(box, lease)
            waiting.attempts += 1
            assert lease.attempt == waiting.attempts
            assert lease.again == (waiting.leases > 0)
            waiting.leases += 1
            box.lease, box.until, box.held = (waiting, lease), self.now + until, False
            box.wakes_at_lease = box.wakes

    def _offered(self, actor: str, types: Collection[str]) -> bool:
        box = self.boxes[actor]
        if box.paused or box.is_leased(self.now) or box.is_held(self.now):
            return False
        due = any(waiting.visible_at <= self.latest for waiting in box.messages)
        return due and actor.partition("/")[0] in types

    def _head(self, box: Mailbox, lease: Lease) -> Waiting:
        (found,) = (one for one in box.messages if one.message == lease.message)
        if box.parked is not None:
            assert found is box.parked, "a message went ahead of a suspended turn"
        else:
            assert found.visible_at <= self.latest, "a message was delivered before its time"
            due = [one for one in box.messages if one.visible_at <= self.now]
            assert all(found.order <= one.order for one in due), "a message overtook another"
        return found

    def _held_by(self, lease: Lease) -> tuple[Mailbox, Waiting] | None:
        box = self.boxes.get(lease.message.actor_id)
        if box is None or box.lease is None or not box.is_leased(self.now):
            return None
        waiting, current = box.lease
        return (box, waiting) if current.token == lease.token else None

    def ack(self, lease: Lease) -> bool:
        return self._end(lease, self.now + DEDUPE_SECONDS * 1_000_000)

    def dead_letter(self, lease: Lease) -> bool:
        ended = self._end(lease, None)
        self.dead += ended
        return ended

    def _end(self, lease: Lease, known_until: int | None) -> bool:
        held = self._held_by(lease)
        if held is None:
            return False
        box, waiting = held
        box.messages.remove(waiting)
        box.lease = box.parked = None
        box.failed = False
        self.known[waiting.message.message_id] = known_until
        self._drop_if_empty(lease.message.actor_id)
        return True

    def nack(self, lease: Lease, delay: int, count: bool) -> bool:
        held = self._held_by(lease)
        if held is None:
            return False
        box, waiting = held
        waiting.attempts -= not count
        box.failed = box.failed or count
        box.lease, box.held, box.until = None, True, self.now + delay
        return True

    def park(self, lease: Lease, seconds: int) -> bool:
        held = self._held_by(lease)
        if held is None:
            return False
        box, waiting = held
        box.parked, box.failed = waiting, False
        return self.nack(lease, seconds if box.wakes == box.wakes_at_lease else 0, False)

    def extend(self, lease: Lease, until: int) -> bool:
        held = self._held_by(lease)
        if held is not None:
            held[0].until = self.now + until
        return held is not None

    def wake(self, actor: str) -> None:
        box = self.boxes.get(actor)
        if box is None:
            return
        box.wakes += 1
        if box.parked is not None and box.held:
            box.until = self.now

    def pause(self, actor: str) -> None:
        self.boxes.setdefault(actor, Mailbox()).paused = True

    def resume(self, actor: str) -> None:
        if actor in self.boxes:
            self.boxes[actor].paused = False
            self._drop_if_empty(actor)

    def _drop_if_empty(self, actor: str) -> None:
        box = self.boxes[actor]
        if not box.messages and not box.paused:
            del self.boxes[actor]

    def is_paused(self, actor: str) -> bool:
        return actor in self.boxes and self.boxes[actor].paused

    def waiting(self, actor: str) -> int:
        box = self.boxes.get(actor, Mailbox())
        begun = box.lease is not None or box.held or box.parked is not None
        return len(box.messages) - begun

    def parked(self, actor_type: str) -> list[str]:
        return sorted(
            actor
            for actor, box in self.boxes.items()
            if box.parked is not None and actor.partition("/")[0] == actor_type
        )

    def peek(self, actor: str) -> list[Waiting]:
        """Return what may be delivered, in order; told only while the clock is at its latest."""
        box = self.boxes.get(actor, Mailbox())
        begun = box.parked if box.lease is None else box.lease[0]
        due = [one for one in box.messages if one.visible_at <= self.now or one is begun]
        return sorted(due, key=lambda one: (one is not begun, one.order))

    def mailboxes(self, actor_type: str) -> list[tuple[str, MailboxState, int, int | None, int]]:
        """Return actor, state, attempts and time of the head, and how many are behind it."""
        found = []
        for actor, box in sorted(self.boxes.items()):
            if actor.partition("/")[0] == actor_type:
                head = next(iter(self.peek(actor)), None)
                attempts, since = (0, None) if head is None else (head.attempts, head.enqueued_at)
                behind = len(box.messages) - (head is not None)
                found.append((actor, box.state, attempts, since, behind))
        return found

    def tally(self) -> list[Tally]:
        kinds = sorted({actor.partition("/")[0] for actor in self.boxes})
        of = {
            kind: [b for a, b in self.boxes.items() if a.startswith(f"{kind}/")] for kind in kinds
        }
        return [
            Tally(
                kind,
                Counter(box.state for box in of[kind]),
                sum(len(box.messages) for box in of[kind]),
            )
            for kind in kinds
        ]

    def depth(self) -> Depth:
        """Count; told only while the clock stands at its latest."""
        open_ = [box for box in self.boxes.values() if not box.paused]
        messages = [one for box in open_ for one in box.messages]
        due = [one.enqueued_at for one in messages if one.visible_at <= self.now]
        delayed = len(messages) - len(due) + sum(box.is_held(self.now) for box in open_)
        leased = sum(box.is_leased(self.now) for box in open_)
        ready = len(messages) - delayed - leased
        stopped = [box for box in self.boxes.values() if box.paused]
        finishing = sum(box.is_leased(self.now) for box in stopped)
        paused = sum(len(box.messages) for box in stopped) - finishing
        oldest = min(due) * 1000 if ready else None
        return Depth(ready, delayed, leased + finishing, self.dead, oldest, paused)
