"""What an actor is held up by, and whether it takes longer than usual."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from actors.queues.port import MailboxState
from actors.watch import Account

GRACE_US = 5_000_000
"""Shorter delays are never called long, whatever is usual: workers look around every second."""


class Hold(StrEnum):
    """What an actor waits for."""

    EVENT = "event"
    CALL = "call"
    """Another actor's answer."""
    TIMER = "timer"
    CODE = "code"
    """Code that goes on where its journal ends."""
    OTHER = "other"
    """Its turn is suspended, and the end of its journal does not say for what."""
    PAUSED = "paused"
    WORKER = "worker"
    """Its message is ready, and nobody takes it."""
    LEASE = "lease"
    """The worker that took its message was not heard of any more, and no other took over."""
    RUN = "run"
    """Its handler runs."""
    BACKOFF = "backoff"
    """The next attempt's time has not come."""


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual of an actor type: nanoseconds, None where nothing was measured.

    Attributes:
        waiting: 95 of 100 messages waited no longer in their mailbox.
        handling: 99 of 100 runs took no longer.
    """

    waiting: int | None = None
    handling: int | None = None


@dataclass(frozen=True, slots=True)
class Holdup:
    """What holds up an actor. Times are microseconds since the epoch.

    Attributes:
        since_us: since when; for a handler that runs, since when at the earliest.
        due_us: when it ends by itself; None when that is not known.
        longer: whether it takes longer than usual, or longer than it may.
        usual_ns: what it was compared with; None when it was not compared with anything usual.
    """

    account: Account
    by: Hold
    since_us: int | None
    due_us: int | None
    longer: bool
    usual_ns: int | None = None

    @property
    def since_ns(self) -> int:
        return (self.since_us or 0) * 1000

    @property
    def due_ns(self) -> int:
        return (self.due_us or 0) * 1000


def holdup_of(account: Account, usual: Usual, now_us: int) -> Holdup:
    """Say what holds up a mailbox at `now_us`.

    A wait for an event, an answer or a time is never called long: how long such waits usually take
    is not recorded. One whose time has come waits for a worker.
    """
    mailbox = account.mailbox
    next_at = mailbox.next_at_us
    if mailbox.state is MailboxState.PAUSED:
        # Nothing records when it was paused.
        return Holdup(account, Hold.PAUSED, None, None, longer=True)
    if mailbox.state is MailboxState.SUSPENDED and (next_at is None or next_at > now_us):
        return _suspended(account)
    if mailbox.state is MailboxState.RUNNING:
        return _running(account, usual, now_us)
    if next_at is None or next_at > now_us:
        return Holdup(account, Hold.BACKOFF, None, next_at, longer=False)
    return _compared(account, Hold.WORKER, next_at, now_us, usual.waiting)


def _suspended(account: Account) -> Holdup:
    if account.parked is not None:
        return Holdup(account, Hold.CODE, account.last_us, None, longer=True)
    waits = account.waits
    if not waits:
        return Holdup(account, Hold.OTHER, account.last_us, None, longer=False)
    first = waits[0]
    hold = Hold.CALL if first.is_call else Hold.TIMER if first.event is None else Hold.EVENT
    since = min((w.since_us for w in waits if w.since_us is not None), default=account.last_us)
    due = min((w.due_us for w in waits if w.due_us is not None), default=None)
    return Holdup(account, hold, since, due, longer=False)


def _running(account: Account, usual: Usual, now_us: int) -> Holdup:
    mailbox = account.mailbox
    if mailbox.next_at_us is not None and mailbox.next_at_us < now_us:
        return Holdup(account, Hold.LEASE, mailbox.next_at_us, None, longer=True)
    # Nothing records when a lease began: not before the message came, nor before what was journaled
    # last.
    since = max(mailbox.since_us or 0, account.last_us or 0) or None
    return _compared(account, Hold.RUN, since, now_us, usual.handling)


def _compared(
    account: Account, hold: Hold, since: int | None, now_us: int, usual_ns: int | None
) -> Holdup:
    lasts = 0 if since is None else now_us - since
    longer = lasts > max(GRACE_US, (usual_ns or 0) // 1000)
    return Holdup(account, hold, since, None, longer, usual_ns)
