"""What a detail panel is about: a span, its turn, which tabs they have and what each tab loads."""

from __future__ import annotations

from dataclasses import dataclass

from tracing.event import Ref
from tracing.pages.details import error_refs, journal_refs
from tracing.registry import SpanKind
from tracing.tree import Span, TraceTree
from tracing.turns import failures_of, latest_states_of, message_of, states_of, turn_of

LABELS = {
    "error": "Error",
    "message": "Message",
    "state": "State",
    "journal": "Journal",
    "effects": "Effects",
    "raw": "Raw",
}
MAX_STATES = 20
"""Changes of one span that the State tab shows: the latest."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A span and the turn that it belongs to: an activity to the one that ran it, a run to its
    first message's. `turn` is None where there is none."""

    tree: TraceTree
    span: Span
    turn: Span | None

    @classmethod
    def of(cls, tree: TraceTree, span: Span) -> Subject:
        return cls(tree, span, turn_of(tree, span))

    @property
    def trace_id(self) -> str:
        return self.tree.summary.trace_id

    @property
    def messaging(self) -> Span:
        """The span whose message and state are shown."""
        return self.turn or self.span

    @property
    def journaling(self) -> Span:
        """The span whose journal is shown, failures included: a run's is its first message's."""
        return self.messaging if self.span.kind is SpanKind.WORKFLOW else self.span

    @property
    def tabs(self) -> list[tuple[str, str]]:
        """The tabs that have something to show, the first one first."""
        return [(name, label) for name, label in LABELS.items() if self._has(name)]

    def wanted(self, tab: str) -> list[Ref]:
        """Return what a tab loads, all of it in one go."""
        if tab == "journal":
            return [ref for ref, _ in journal_refs(self.journaling)[0]]
        if tab == "message":
            return self._message()
        if tab == "state" and self.turn is not None:
            shown = states_of(self.turn)[-MAX_STATES:]
            return [ref for pair in shown for ref in pair if ref is not None]
        if tab == "error":
            states = (None if self.turn is None else latest_states_of(self.turn)) or ()
            return [
                *error_refs(self.journaling),
                *self._message(),
                *(ref for ref in states if ref is not None),
            ]
        return []

    def _message(self) -> list[Ref]:
        message = message_of(self.messaging)
        return [] if message is None else [message]

    def _has(self, tab: str) -> bool:
        if tab == "error":
            return self.span.failed or bool(failures_of(self.span))
        if tab == "message":
            return bool(self._message())
        if tab == "state":
            return self.turn is not None and bool(states_of(self.turn))
        if tab == "journal":
            return bool(journal_refs(self.journaling)[0])
        if tab == "effects":
            return self.turn is not None and self.span.kind is not SpanKind.ACTIVITY
        return True
