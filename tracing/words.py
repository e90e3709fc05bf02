"""The header of a trace: what happened, in a sentence. From events alone, so no error text."""

from __future__ import annotations

from dataclasses import dataclass

from tracing.counted import counted
from tracing.effects import withheld_of
from tracing.registry import SpanKind
from tracing.summary import TraceStatus
from tracing.suspended import Suspension, is_suspended, only_waits, suspensions
from tracing.tree import Span, TraceTree


@dataclass(frozen=True, slots=True)
class Word:
    """A piece of the sentence; `code` pieces are names, set in monospace."""

    text: str
    code: bool = False


def sentence(tree: TraceTree) -> list[Word]:
    """Return what happened: the first message that failed for good, or how the run went."""
    messages = [span for span in tree.spans if span.kind is SpanKind.MESSAGE]
    dead = sorted(
        (span for span in messages if span.failed), key=lambda span: span.end_ns or span.last_ns
    )
    if dead:
        return _failure(dead, messages)
    summary = tree.summary
    count = counted(len(messages), "message")
    if summary.status is TraceStatus.RUNNING:
        waiting = [
            span
            for span in messages
            if span.end_ns is None and span.errors and not is_suspended(span)
        ]
        if waiting:
            span = waiting[0]
            return [
                Word(span.actor or "", True),
                Word(" is failing at "),
                Word(span.name, True),
                Word(f" and will be tried again: {counted(span.tries, 'attempt')} so far, "),
                Word(span.error_type or "", True),
            ]
        if only_waits(messages):
            return [Word(summary.root, True), *_suspended(suspensions(messages))]
        return [
            Word(summary.root, True),
            Word(f" is running: {count} so far, {summary.pending:,} open"),
        ]
    if summary.status is TraceStatus.RECOVERED:
        return [
            Word(summary.root, True),
            Word(f" completed after {counted(summary.errors, 'failed attempt')}: {count} handled"),
        ]
    return [Word(summary.root, True), Word(f" completed: {count} handled")]


def _suspended(waits: list[Suspension]) -> list[Word]:
    first = waits[0]
    words = [Word(" is suspended: "), Word(first.span.actor or "", True)]
    if first.for_event:
        words += [Word(" waits for the event "), Word(first.event, True)]
    else:
        words.append(Word(" waits for an answer" if first.for_answer else " waits for a time"))
    others = len(waits) - 1
    return [*words, Word(f", and {counted(others, 'other wait')}")] if others else words


def _failure(dead: list[Span], messages: list[Span]) -> list[Word]:
    first = dead[0]
    words = [
        Word(first.actor or "", True),
        Word(" failed handling "),
        Word(first.name, True),
        Word(f" after {counted(max(1, first.tries), 'attempt')}: "),
        Word(first.error_type or "an error", True),
    ]
    withheld = len(withheld_of(first))
    if withheld:
        never = counted(
            withheld, "message that it decided on was", "messages that it decided on were"
        )
        words.append(Word(f"; {never} never sent"))
    others = len(dead) - 1
    if others:
        words.append(Word(f"; {counted(others, 'other message')} failed too"))
    left = sum(span.end_ns is None for span in messages)
    if left:
        words.append(Word(f"; {counted(left, 'message')} still open"))
    return words
