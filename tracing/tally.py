"""`Tally`: the numbers of a trace's summary, which add up in any order."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from tracing.containers import SUMMARY
from tracing.registry import BY_CODE, CODES, by_code
from tracing.spanlog import Entry, SpanLog
from tracing.summary import Summary, TraceStatus
from tracing.turnlog import TurnLog

_NO_ROOT = (9, 0)
MAX_NAMES = 50
"""Actor, message and error types kept in a summary at most: the first ones in order of name."""

_SUMS = ("events", "messages", "settled", "errors", "dead_letters", "retries", "runs_open")
_sums = attrgetter(*_SUMS)


class Tally(msgspec.Struct):
    """Counts over some of a trace's events. Times are microseconds since the epoch.

    Adding up is commutative and associative, so writers may merge theirs in any order.

    Attributes:
        settled: messages completed, dead-lettered or found to be duplicates.
        runs_open: workflows started and not ended.
        root_key: how good the root's name is (lower is better) and its time, to break ties.
        correlation: the root message's correlation id.
        promoted: when a failure made an unsampled trace be kept; 0 for a sampled one.
    """

    started: int = 0
    ended: int = 0
    events: int = 0
    messages: int = 0
    settled: int = 0
    errors: int = 0
    dead_letters: int = 0
    retries: int = 0
    runs_open: int = 0
    actor_types: set[str] = msgspec.field(default_factory=set)
    message_types: set[str] = msgspec.field(default_factory=set)
    error_types: set[str] = msgspec.field(default_factory=set)
    root: str = ""
    root_actor: str | None = None
    root_key: tuple[int, int] = _NO_ROOT
    correlation: str | None = None
    promoted: int = 0

    def add(self, logs: Sequence[SpanLog]) -> None:
        """Count events."""
        if not logs:
            return
        started, ended = sys.maxsize, 0
        actors = set()
        for log in logs:
            actors.add(log.actor)
            self.events += log.size
            first, last = log.first_us, log.last_us
            if first < started:
                started = first
            if last > ended:
                ended = last
            if isinstance(log, TurnLog):
                self._add_turn(log)
                continue
            for entry in log.notable:
                code, more = entry.code, entry.more
                if code in _COUNTERS:
                    for counter, sign in _COUNTERS[code]:
                        setattr(self, counter, getattr(self, counter) + sign)
                if more is not None and more.error_type is not None:
                    self.error_types.add(more.error_type)
                if code in _ROOT_RANK:
                    self._consider(log, entry, _ROOT_RANK[code])
        self.actor_types.update(actor.partition("/")[0] for actor in actors if actor is not None)
        self.started = min(self.started or started, started)
        self.ended = max(self.ended, ended)
        self._bound()

    def _add_turn(self, log: TurnLog) -> None:
        """Count what a whole turn tells, as its events would be counted."""
        self.settled += 1
        if log.turn.enqueued:
            self.messages += 1
            name = log.name or BY_CODE[_ENQUEUED].name
            self.message_types.add(name)
            key = (_ROOT_RANK[_ENQUEUED], log.start_us)
            self._take_root(key, name, log.actor, log.message[1] if log.message else "")

    def _consider(self, log: SpanLog, entry: Entry, rank: int) -> None:
        """Take in an event that may name the root of the trace."""
        name = log.name_of(entry)
        if entry.code == _ENQUEUED and name is not None:
            self.message_types.add(name)
        key = (rank, log.start_us + entry.after_ns // 1000)
        if key <= self.root_key:
            root = name or BY_CODE[entry.code].name
            self._take_root(key, root, log.actor, log.correlation_of(entry))

    def _take_root(
        self, key: tuple[int, int], root: str, actor: str | None, correlation: str | None
    ) -> None:
        """Take over the better root; of two that are equally good, the same one on both sides."""
        mine = (self.root_key, self.root, self.root_actor or "", self.correlation or "")
        if (key, root, actor or "", correlation or "") < mine:
            self.root_key, self.root = key, root
            self.root_actor, self.correlation = actor, correlation

    def merge(self, other: Tally) -> None:
        """Add another tally of other events of the same trace."""
        self.promoted = min(self.promoted or other.promoted, other.promoted or self.promoted)
        if other.events == 0:
            return
        self.started = min(self.started or other.started, other.started)
        self.ended = max(self.ended, other.ended)
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.actor_types |= other.actor_types
        self.message_types |= other.message_types
        self.error_types |= other.error_types
        self._bound()
        self._take_root(other.root_key, other.root, other.root_actor, other.correlation)

    def _bound(self) -> None:
        # The smallest names of both sides are the smallest of all: the bound keeps merges exact.
        self.actor_types = _smallest(self.actor_types)
        self.message_types = _smallest(self.message_types)
        self.error_types = _smallest(self.error_types)

    @property
    def status(self) -> TraceStatus:
        # Without messages there are no retries that could have put right what failed.
        if self.dead_letters or (self.errors and not self.messages):
            return TraceStatus.FAILED
        if self.settled < self.messages or self.runs_open > 0:
            return TraceStatus.RUNNING
        return TraceStatus.RECOVERED if self.errors else TraceStatus.COMPLETED

    def summary(self, trace_id: str) -> Summary:
        """Return the tally as a reader sees it."""
        return Summary(
            trace_id=trace_id,
            status=self.status,
            root=self.root,
            root_actor=self.root_actor,
            correlation=self.correlation,
            started_ns=self.started * 1000,
            ended_ns=self.ended * 1000,
            events=self.events,
            messages=self.messages,
            pending=max(0, self.messages - self.settled),
            errors=self.errors,
            dead_letters=self.dead_letters,
            retries=self.retries,
            actor_types=tuple(sorted(self.actor_types)),
            message_types=tuple(sorted(self.message_types)),
            error_types=tuple(sorted(self.error_types)),
            promoted_ns=self.promoted * 1000 or None,
        )

    def to_document(
        self,
        trace_id: str,
        marks: Mapping[str, int],
        segment: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return the summary document.

        `marks` is each writer's last merged segment; `segment` is the one that the summary holds.
        """
        body: dict[str, Any] = {
            "id": trace_id,
            "trace_id": trace_id,
            "k": SUMMARY,
            "status": self.status.value,
            "startedAt": self.started,
            "duration": self.ended - self.started,
            "root": self.root,
            "rootKey": list(self.root_key),
            "actorTypes": sorted(self.actor_types),
            "n": list(_sums(self)),
            "marks": dict(marks),
        }
        # What is not there takes no bytes: most traces have no error and no promotion.
        if self.root_actor:
            body["rootActor"] = self.root_actor
        if self.correlation:
            body["correlation"] = self.correlation
        if self.message_types:
            body["messageTypes"] = sorted(self.message_types)
        if self.error_types:
            body["errorTypes"] = sorted(self.error_types)
        if self.promoted:
            body["promotedAt"] = self.promoted
        if segment:
            body["segment"] = segment
        return body

    @classmethod
    def from_document(cls, body: Mapping[str, Any]) -> Tally:
        """Read a summary document."""
        rank, at = body["rootKey"]
        tally = cls(
            started=body["startedAt"],
            ended=body["startedAt"] + body["duration"],
            actor_types=set(body["actorTypes"]),
            message_types=set(body.get("messageTypes", ())),
            error_types=set(body.get("errorTypes", ())),
            root=body["root"],
            root_actor=body.get("rootActor"),
            root_key=(rank, at),
            correlation=body.get("correlation"),
            promoted=body.get("promotedAt", 0),
        )
        for name, number in zip(_SUMS, body["n"], strict=True):
            setattr(tally, name, number)
        return tally


def _smallest(names: set[str]) -> set[str]:
    return names if len(names) <= MAX_NAMES else set(sorted(names)[:MAX_NAMES])


_COUNTERS = by_code(
    {
        "queue:enqueued": (("messages", 1),),
        "message:completed": (("settled", 1),),
        "message:duplicate": (("settled", 1),),
        "message:expired": (("settled", 1),),
        "message:failed": (("errors", 1),),
        "message:dead_lettered": (("dead_letters", 1), ("settled", 1)),
        "message:retried": (("retries", 1),),
        "foreign:failed": (("errors", 1),),
        "workflow:started": (("runs_open", 1),),
        "workflow:completed": (("runs_open", -1),),
        "workflow:failed": (("runs_open", -1),),
    }
)
_ENQUEUED = CODES["queue:enqueued"]
_ROOT_RANK = by_code(
    {
        "workflow:started": 0,
        "queue:enqueued": 1,
        "http:request": 2,
        "foreign:completed": 3,
        "foreign:failed": 3,
    }
)
