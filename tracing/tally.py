"""`Tally`: the numbers of a trace's summary, which add up in any order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tracing.containers import SUMMARY
from tracing.event import Event
from tracing.summary import Summary, TraceStatus

_NO_ROOT = (9, 0)


@dataclass(slots=True)
class Tally:
    """Counts over some of a trace's events. Times are microseconds since the epoch.

    Attributes:
        settled: messages completed, dead-lettered or found to be duplicates.
        runs_open: workflows started and not ended.
        root_key: how good the root's name is (lower is better) and its time, to break ties.
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
    actor_types: set[str] = field(default_factory=set)
    root: str = ""
    root_actor: str | None = None
    root_key: tuple[int, int] = _NO_ROOT

    def add(self, events: Iterable[Event]) -> None:
        """Count events."""
        for event in events:
            at = event.time_ns // 1000
            self.events += 1
            self.started = min(self.started or at, at)
            self.ended = max(self.ended, at)
            if event.actor is not None:
                self.actor_types.add(event.actor.partition("/")[0])
            counter = _COUNTERS.get(event.type)
            if counter is not None:
                counter(self)
            rank = _ROOT_RANK.get(event.type)
            if rank is not None and (rank, at) < self.root_key:
                self.root_key = (rank, at)
                self.root = event.name or event.type
                self.root_actor = event.actor

    def merge(self, other: Tally) -> None:
        """Add another tally of other events of the same trace."""
        if other.events == 0:
            return
        self.started = min(self.started or other.started, other.started)
        self.ended = max(self.ended, other.ended)
        for name in (
            "events",
            "messages",
            "settled",
            "errors",
            "dead_letters",
            "retries",
            "runs_open",
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.actor_types |= other.actor_types
        if other.root_key < self.root_key:
            self.root_key, self.root = other.root_key, other.root
            self.root_actor = other.root_actor

    @property
    def status(self) -> TraceStatus:
        if self.dead_letters:
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
            started_ns=self.started * 1000,
            ended_ns=self.ended * 1000,
            events=self.events,
            messages=self.messages,
            pending=max(0, self.messages - self.settled),
            errors=self.errors,
            dead_letters=self.dead_letters,
            retries=self.retries,
            actor_types=tuple(sorted(self.actor_types)),
        )

    def to_document(self, trace_id: str, marks: Mapping[str, int]) -> dict[str, Any]:
        """Return the summary document; `marks` is each writer's last merged segment."""
        return {
            "id": trace_id,
            "trace_id": trace_id,
            "k": SUMMARY,
            "status": self.status.value,
            "startedAt": self.started,
            "endedAt": self.ended,
            "root": self.root,
            "rootActor": self.root_actor,
            "rootKey": list(self.root_key),
            "actorTypes": sorted(self.actor_types),
            "n": [
                self.events,
                self.messages,
                self.settled,
                self.errors,
                self.dead_letters,
                self.retries,
                self.runs_open,
            ],
            "marks": dict(marks),
        }

    @classmethod
    def from_document(cls, body: Mapping[str, Any]) -> Tally:
        """Read a summary document."""
        events, messages, settled, errors, dead, retries, runs = body["n"]
        rank, at = body["rootKey"]
        return cls(
            body["startedAt"],
            body["endedAt"],
            events,
            messages,
            settled,
            errors,
            dead,
            retries,
            runs,
            set(body["actorTypes"]),
            body["root"],
            body["rootActor"],
            (rank, at),
        )


def _message(tally: Tally) -> None:
    tally.messages += 1


def _settled(tally: Tally) -> None:
    tally.settled += 1


def _error(tally: Tally) -> None:
    tally.errors += 1


def _dead(tally: Tally) -> None:
    tally.dead_letters += 1
    tally.settled += 1


def _retry(tally: Tally) -> None:
    tally.retries += 1


def _run_started(tally: Tally) -> None:
    tally.runs_open += 1


def _run_ended(tally: Tally) -> None:
    tally.runs_open -= 1


_COUNTERS = {
    "queue:enqueued": _message,
    "message:completed": _settled,
    "message:duplicate": _settled,
    "message:failed": _error,
    "message:dead_lettered": _dead,
    "message:retried": _retry,
    "workflow:started": _run_started,
    "workflow:completed": _run_ended,
    "workflow:failed": _run_ended,
}
_ROOT_RANK = {"workflow:started": 0, "queue:enqueued": 1, "http:request": 2}
