"""Actors as the lists show them: what their turn does, and what holds it up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse

from actors import services
from actors.errors import InvalidMessage
from actors.holdup import GRACE_US, Hold, Holdup, Usual, holdup_of
from actors.message import address
from actors.pages.access import write_down_all
from actors.queues.port import MailboxState
from actors.waiting import Wait
from actors.watch import Account, ActorWatch
from tracing.analytics import Row, Statistics

TRACE_LATE_US = 60_000_000
"""How long after a message came its trace may not be there yet, in microseconds."""


@dataclass(frozen=True, slots=True)
class Called:
    """An actor whose answer another one waits for, and what it does itself.

    Attributes:
        state: None when nothing of it is in the queue.
    """

    actor_id: str
    address: str
    state: MailboxState | None


@dataclass(frozen=True, slots=True)
class ActorRow:
    """An actor with something in its mailbox.

    Attributes:
        trace: the address of its message's span; "" where that is not traced for certain.
        called: whose answer its turn waits for.
        max_attempts: how often its message is tried at most.
        overdue: whether its next attempt was due some time ago, and nobody took it.
        text: what its last failed attempt raised; "" where it is not to be seen.
    """

    holdup: Holdup
    address: str
    trace: str
    called: tuple[Called, ...]
    max_attempts: int
    overdue: bool
    text: str

    @property
    def account(self) -> Account:
        return self.holdup.account

    @property
    def actor_id(self) -> str:
        return self.account.mailbox.actor_id

    @property
    def state(self) -> MailboxState:
        return self.account.mailbox.state

    @property
    def next_ns(self) -> int:
        return (self.account.mailbox.next_at_us or 0) * 1000

    @property
    def since_ns(self) -> int:
        """When its message came."""
        return (self.account.mailbox.since_us or 0) * 1000

    @property
    def waits(self) -> tuple[Wait, ...]:
        """What its turn waits for, but for the answers of actors that are known."""
        known = {called.actor_id for called in self.called}
        return tuple(wait for wait in self.account.waits if wait.called not in known)


def actor_address(actor_id: str, since: str = "") -> str:
    """Return the address of an actor's page, with the time range; "" for what is no actor's id."""
    actor_type, _, key = actor_id.partition("/")
    try:
        address(actor_type, key)
    except InvalidMessage:
        return ""
    page = reverse("actors:actor", args=[actor_type, key])
    return f"{page}?{urlencode({'since': since})}" if since else page


def usual_of(statistics: Statistics | None) -> dict[str, Usual]:
    """Return what is usual of every actor type that the statistics know."""
    rows: Sequence[Row] = () if statistics is None else statistics.actor_types
    return {row.actor_type: Usual(row.waiting_p95, row.p99) for row in rows}


async def rows_of(
    accounts: Sequence[Account], usual: dict[str, Usual], now_ns: int, since: str, *, may_see: bool
) -> list[ActorRow]:
    """Return accounts as rows, with what the actors do that some of them wait for.

    Raises:
        storage.StorageError: the queue does not answer.
    """
    watch = services.current().watch
    called = await _called(watch, accounts, since)
    now_us = now_ns // 1000
    return [
        _row(account, usual, now_us, since, called, watch.max_attempts, may_see=may_see)
        for account in accounts
    ]


def _row(
    account: Account,
    usual: dict[str, Usual],
    now_us: int,
    since: str,
    called: dict[str, Called],
    max_attempts: int,
    *,
    may_see: bool,
) -> ActorRow:
    actor_id = account.mailbox.actor_id
    holdup = holdup_of(account, usual.get(actor_id.partition("/")[0], Usual()), now_us)
    due = account.mailbox.next_at_us
    return ActorRow(
        holdup,
        actor_address(actor_id, since),
        _trace(account, now_us),
        tuple(called[wait.called] for wait in account.waits if wait.called in called),
        max_attempts,
        holdup.by is Hold.WORKER and due is not None and due + GRACE_US < now_us,
        account.failed.text if may_see and account.failed is not None else "",
    )


def _trace(account: Account, now_us: int) -> str:
    span = None if account.head is None else account.head.trace
    # A trace that was not sampled is kept once something in it fails.
    if span is None or not (span.sampled or account.failed is not None):
        return ""
    asked = {"span": span.span_id}
    if now_us - (account.mailbox.since_us or 0) < TRACE_LATE_US:
        # Its first events may still be on their way; the page then waits for them.
        asked["new"] = "1"
    page = reverse("tracing:trace", args=[span.trace_id])
    return f"{page}?{urlencode(asked)}"


async def _called(watch: ActorWatch, accounts: Sequence[Account], since: str) -> dict[str, Called]:
    wanted = {wait.called for account in accounts for wait in account.waits if wait.called}
    found = {actor_id: actor_address(actor_id, since) for actor_id in sorted(wanted)}
    ids = [actor_id for actor_id, page in found.items() if page]
    mailboxes = await asyncio.gather(*(watch.mailbox(actor_id) for actor_id in ids))
    return {
        actor_id: Called(actor_id, found[actor_id], None if box is None else box.state)
        for actor_id, box in zip(ids, mailboxes, strict=True)
    }


async def note_errors_seen(request: HttpRequest, rows: Sequence[ActorRow]) -> None:
    """Write down whose errors' texts were shown."""
    shown = [row.actor_id for row in rows if row.text]
    await write_down_all(request, [(actor_id, "saw the last error of") for actor_id in shown])
