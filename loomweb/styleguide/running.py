"""Sections of the style guide about what runs: actors' turns and mailboxes, workers, times."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime

from actors.failure import Frame
from actors.holdup import Usual, holdup_of
from actors.inspect import ActorLook
from actors.message import Message, Metadata
from actors.pages.actor import ActorPage
from actors.pages.actor_parts import Parts
from actors.pages.actor_rows import ActorRow
from actors.parking import Parked, ParkedFor, other_version
from actors.presence import CLOCK_SECONDS, Attendance, WorkerSeen
from actors.queues import Mailbox, MailboxState
from actors.state import ActorState
from actors.watch import Account, FailedAttempt
from actors.worker import WorkerStats
from loomweb.styleguide.example import ORDER, RUN
from loomweb.styleguide.section import NOWHERE, Part, Sample, Section

_SECOND_US = 1_000_000
_FRAME = Frame(
    "shop/orders.py", 48, "place", "await self.call_activity(look_at_shelf, item)", own=True
)
_MISMATCH = Parked(
    ParkedFor.CODE_THAT_MATCHES,
    "the turn left the path that its journal records, at its command 2",
    {"type": "timer", "seq": 2, "seconds": 30},
    {"type": "activity", "seq": 2, "name": "look_at_shelf", "args": {"item": "slide rule"}},
    _FRAME,
)
_STATS = WorkerStats("worker-5721e6ab40c9", ("Order", "Shipment"), 64, 3, 1_284, 0, 0)


class Running:
    """Renders the partials that tell what runs, as of now."""

    def __init__(self, part: Part) -> None:
        self._part = part
        self._now_us = time.time_ns() // 1_000
        failed = FailedAttempt(
            *("OutOfStock", "the shelf has 0 of 2 slide rules", 2),
            *(self._at(-4), 11),
        )
        self._rows = {
            "Running": self._row(MailboxState.RUNNING, 20),
            "Its worker is gone": self._row(MailboxState.RUNNING, -20),
            "Retrying": self._row(MailboxState.RETRYING, 20, failed),
            "A retry that nobody takes": self._row(MailboxState.RETRYING, -20, failed),
            "Suspended": self._row(MailboxState.SUSPENDED, 3_600),
            "Paused": self._row(MailboxState.PAUSED, 20),
            "Ready": self._row(MailboxState.WAITING, 0),
            "Ready, and nobody takes it": self._row(MailboxState.WAITING, -20),
            "Nothing": None,
        }

    def sections(self) -> list[Section]:
        """Return what there is of actors, workers and times, in every state."""
        return [
            self._parked(),
            self._turns(),
            self._mailboxes(),
            self._workers(),
            self._times(),
        ]

    def _at(self, seconds: int) -> int:
        return self._now_us + seconds * _SECOND_US

    def _message(self) -> Message:
        sent = Metadata(self._at(-90) * 1_000, "Till/7")
        return Message(RUN, ORDER, "reserve", RUN, {}, sent, None)

    def _row(self, state: MailboxState, due: int, failed: FailedAttempt | None = None) -> ActorRow:
        """Return an actor whose mailbox is in a state, until `due` seconds from now."""
        attempts = 1 if failed is None else failed.attempt
        mailbox = Mailbox(
            *(ORDER, state, self._message(), attempts, self._at(due), self._at(-90), 2)
        )
        holdup = holdup_of(Account(mailbox, failed), Usual(), self._now_us)
        text = "" if failed is None else failed.text
        return ActorRow(holdup, NOWHERE, NOWHERE, (), 5, overdue=due < 0, text=text)

    def _page(
        self,
        row: ActorRow | None = None,
        behind: int = 0,
        parked: Parked | None = None,
        *,
        known: bool = True,
        paused: bool = False,
    ) -> ActorPage:
        look = ActorLook(
            *(ORDER, ActorState(ORDER, 12, {}), RUN, (), behind, [], []),
            parked=parked,
            parked_us=self._at(-90) if known else None,
            paused=paused,
        )
        waiting = [self._message()] * min(behind, 2)
        parts = Parts(row, waiting, [], [], 0, 0)
        return ActorPage(
            *("Order", "42", ORDER, NOWHERE), look=look, parts=parts, may_see=True, may_run=True
        )

    def _samples(self, template: str, pages: dict[str, ActorPage]) -> list[Sample]:
        return [Sample(label, self._part(template, page=page)) for label, page in pages.items()]

    def _parked(self) -> Section:
        ended = replace(_MISMATCH, found=None, place=replace(_FRAME, code=""))
        page = self._page(parked=_MISMATCH)
        pages = {
            "Other code": page,
            "The handler ended": self._page(parked=ended),
            "The journal has nothing more": self._page(parked=replace(_MISMATCH, expected=None)),
            "Another rule was broken": self._page(
                parked=replace(_MISMATCH, expected=None, found=None)
            ),
            "Another version of the code; since when is not known": self._page(
                parked=other_version(3, 4), known=False
            ),
            "Without permissions": replace(page, may_see=False, may_run=False),
        }
        samples = self._samples("actors/_parked_turn.html", pages)
        return Section("parked", "Parked turns", "What was expected, and found.", samples, True)

    def _turns(self) -> Section:
        pages = {label: self._page(row) for label, row in self._rows.items()}
        about = "What an actor's turn does. Paused, nothing is delivered."
        return Section("turns", "Turns", about, self._samples("actors/_begun.html", pages))

    def _mailboxes(self) -> Section:
        running = self._page(self._rows["Running"], 1)
        paused = self._page(self._rows["Paused"], 2, paused=True)
        pages = {
            "Behind a turn that runs": running,
            "Behind a suspended one, not all shown": self._page(self._rows["Suspended"], 40),
            "Behind one that is tried again": self._page(self._rows["Retrying"], 2),
            "Paused": paused,
            "Empty": self._page(),
            "Without the permission to pause": replace(running, may_run=False),
            "Without the permission to resume": replace(paused, may_run=False),
        }
        about = "Who waits, and the button that pauses or resumes."
        samples = self._samples("actors/_mailbox.html", pages)
        return Section("mailboxes", "Mailboxes", about, samples)

    def _workers(self) -> Section:
        types = ("Account", "Loan", "Order", "Shipment", "Trip", "WordCount")
        other = replace(_STATS, worker_id="worker-9d2c8e13f70a", actor_types=types, failed=12)
        heard = WorkerSeen(*(_STATS, "web-1", 4_711, self._at(-86_400), self._at(-3)), silent=False)
        silent = WorkerSeen(*(other, "web-2", 23, self._at(-3_600), self._at(-95)), silent=True)
        shown = {
            "This process's, and one that is silent": (Attendance([heard, silent], 0), _STATS),
            "Seen from a process without a worker": (Attendance([heard, silent], 0), None),
            "One of another version": (Attendance([heard], 1), _STATS),
            "All of another version": (Attendance([], 3), None),
            "None": (Attendance([], 0), None),
        }
        samples = [
            Sample(
                label,
                self._part(
                    "loomweb/_workers.html",
                    attendance=attendance,
                    own=own,
                    clock_seconds=CLOCK_SECONDS,
                ),
            )
            for label, (attendance, own) in shown.items()
        ]
        return Section("workers", "Workers", "Of all processes.", samples, True)

    def _times(self) -> Section:
        rendered = self._part(
            "loomweb/styleguide/_times.html",
            moment=datetime.now(UTC),
            past_ns=self._at(-90) * 1_000,
            due_ns=self._at(90) * 1_000,
        )
        about = "In UTC, or in the zone of whoever looks: the switch above changes all."
        return Section("times", "Times", about, [Sample("Every kind", rendered)], True)
