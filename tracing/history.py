"""Which state each actor of a trace had at an instant: told by the events, without loading any."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

from tracing.event import Event, Ref, RefKind

if TYPE_CHECKING:
    from tracing.tree import Span

MomentKind = Literal["created", "seen", "changed", "elsewhere", "failed"]
"""What a moment tells of an actor:

- "created": it has just come to be, without a state;
- "seen": it had this state when its first turn in the trace began;
- "changed": a turn of the trace changed its state;
- "elsewhere": its journal has moved on in between by what the trace does not tell;
- "failed": a turn failed, so it still has the state that it had.
"""


class Moment(msgspec.Struct, frozen=True, gc=False):
    """A time from which on something is known of an actor's state.

    Attributes:
        time_ns: nanoseconds since the epoch.
        span_id: the turn that tells of it.
        before: what it was until then, where the trace knows.
    """

    time_ns: int
    actor: str
    kind: MomentKind
    span_id: str
    name: str
    state: Ref
    before: Ref | None = None
    error_type: str | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """An actor at an instant.

    Attributes:
        since: the moment from which on its state was what it is.
        latest: the last thing that happened to it: `since`, or a failure after it.
        now: whether that is the very moment that was asked for.
    """

    actor: str
    since: Moment
    latest: Moment
    now: bool


class History:
    """The moments of a trace, in order of time."""

    def __init__(self, moments: Iterable[Moment]) -> None:
        self.moments = sorted(moments, key=lambda moment: moment.time_ns)
        self._times = [moment.time_ns for moment in self.moments]
        self._of_actor: dict[str, list[int]] = {}
        for place, moment in enumerate(self.moments):
            self._of_actor.setdefault(moment.actor, []).append(place)

    @classmethod
    def of(cls, spans: Iterable[Span]) -> History:
        """Return the history that the events of these spans tell."""
        return cls(_moments(spans))

    @property
    def actors(self) -> list[str]:
        """Every actor whose state the trace tells of, in order of appearance."""
        return list(self._of_actor)

    def place(self, time_ns: int) -> int:
        """Return the place of the last moment that is not after an instant; -1 before the first."""
        return bisect_right(self._times, time_ns) - 1

    def held(self, place: int, among: Iterable[str] | None = None) -> list[Held]:
        """Return the actors that are known of at a moment, in order of appearance."""
        found = []
        for actor in self._of_actor if among is None else among:
            places = self._of_actor[actor]
            at = bisect_right(places, place) - 1
            if at < 0:
                continue
            latest = since = self.moments[places[at]]
            while since.kind == "failed" and at > 0:
                at -= 1
                since = self.moments[places[at]]
            found.append(Held(actor, since, latest, latest.time_ns == self._times[place]))
        return found


@dataclass(slots=True)
class _Actor:
    """What is known of an actor so far: its journal's length, and its state."""

    version: int | None
    state: Ref


def _moments(spans: Iterable[Span]) -> Iterator[Moment]:
    telling = [
        (event.time_ns, span, event)
        for span in spans
        for event in span.events
        if event.type == "actor:created" or any(ref.kind in _TELLING for ref in event.refs)
    ]
    telling.sort(key=lambda each: each[0])
    known: dict[str, _Actor] = {}
    for _, span, event in telling:
        if event.type == "actor:created" and event.actor:
            state = Ref(RefKind.ACTOR_STATE, event.actor, "0")
            if event.actor not in known:
                known[event.actor] = _Actor(0, state)
                yield _moment(event, span, "created", state)
            continue
        yield from _of_states(event, span, known)
        _of_journal(event, known)


def _of_states(event: Event, span: Span, known: dict[str, _Actor]) -> Iterator[Moment]:
    states = [ref for ref in event.refs if ref.kind is RefKind.ACTOR_STATE]
    if not states:
        return
    first, last = states[0], states[-1]
    changed = event.type == "actor:state_changed"
    actor = known.get(first.partition)
    if event.type == "message:completed":
        # It names the journal's length after the turn; what that changed was told before.
        if actor is None:
            known[first.partition] = _Actor(_version(last), last)
            yield _moment(event, span, "seen", last, began=True)
        else:
            actor.version = _later(actor.version, _version(last))
        return
    if not changed or len(states) > 1:
        actor, moment = _found(event, span, first, actor)
        known[first.partition] = actor
        if moment is not None:
            yield moment
    if changed:
        before = None if actor is None else actor.state
        known[first.partition] = _Actor(_version(last), last)
        yield _moment(event, span, "changed", last, before)
    elif event.type == "message:failed" and actor is not None:
        yield _moment(event, span, "failed", actor.state)


def _found(
    event: Event, span: Span, state: Ref, actor: _Actor | None
) -> tuple[_Actor, Moment | None]:
    """Take in which state a turn found; say so if the trace did not lead to it."""
    version = _version(state)
    if actor is None:
        return _Actor(version, state), _moment(event, span, "seen", state, began=True)
    if state == actor.state:
        return actor, None
    if version is not None and actor.version is not None and version <= actor.version:
        return actor, None
    moment = _moment(event, span, "elsewhere", state, actor.state, began=True)
    return _Actor(version, state), moment


def _of_journal(event: Event, known: dict[str, _Actor]) -> None:
    """Take in how far the journal has come: what a turn writes besides its state."""
    for ref in event.refs:
        actor = known.get(ref.partition) if ref.kind is RefKind.JOURNAL_ENTRY else None
        first, _, count = ref.id.partition(":")
        if actor is None or not (_number(first) and _number(count)):
            continue
        if actor.version == int(first):
            actor.version += int(count)


def _moment(
    event: Event,
    span: Span,
    kind: MomentKind,
    state: Ref,
    before: Ref | None = None,
    *,
    began: bool = False,
) -> Moment:
    time_ns = event.time_ns
    if began:
        # A turn is handed the state when it begins, and tells of it when it has ended.
        starts = [attempt.started_ns for attempt in span.attempts]
        time_ns = max((start for start in starts if start <= time_ns), default=time_ns)
    error = event.error_type if kind == "failed" else None
    return Moment(time_ns, state.partition, kind, span.span_id, span.name, state, before, error)


_TELLING = frozenset({RefKind.ACTOR_STATE, RefKind.JOURNAL_ENTRY})


def _version(state: Ref) -> int | None:
    return int(state.id) if _number(state.id) else None


def _later(one: int | None, other: int | None) -> int | None:
    return max(one, other) if one is not None and other is not None else other


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 16
