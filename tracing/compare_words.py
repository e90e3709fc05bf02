"""Where two traces went apart, in words. From events alone, so no error text."""

from __future__ import annotations

from tracing.compare import Comparison, Divergence, Row, state_of
from tracing.registry import SpanKind
from tracing.tree import Span
from tracing.words import Word

LETTERS = ("A", "B")
"""What the left and the right trace are called."""
_KINDS = {
    SpanKind.WORKFLOW: "The run ",
    SpanKind.HTTP: "The request ",
    SpanKind.ACTIVITY: "The activity ",
}


def describe(comparison: Comparison, divergence: Divergence) -> list[Word]:
    """Return a sentence for a divergence: "Order/42 reserve failed with OutOfStock in A; in B it
    completed"."""
    row = comparison.rows[divergence.row]
    above = comparison.rows[row.parent] if row.parent >= 0 else None
    if row.left is None or row.right is None:
        return _missing(comparison, divergence, row, above)
    spans = [(row.left, "A"), (row.right, "B")]
    spans.sort(key=lambda each: ("failed", "open", "done").index(state_of(each[0])))
    (one, first), (other, second) = spans
    words = [*_who(one, _caller(above, first)), *_like(divergence)]
    them = "they" if divergence.like else "it"
    if one.failed and other.failed:
        return [
            *words,
            Word(" failed with "),
            Word(one.error_type or "an error", True),
            Word(f" in {first} and with "),
            Word(other.error_type or "an error", True),
            Word(f" in {second}"),
        ]
    return [*words, *_ending(one), Word(f" in {first}; in {second} {them}"), *_ending(other)]


def name_of(span: Span) -> str:
    """Return what a span is called in a sentence: its actor and what it did."""
    if span.kind is SpanKind.MESSAGE and span.actor:
        return f"{span.actor} {span.name}"
    return span.name


def _who(span: Span, caller: Span | None) -> list[Word]:
    words = [Word(name_of(span), True)]
    if span.kind in _KINDS:
        words.insert(0, Word(_KINDS[span.kind]))
    if span.kind is SpanKind.ACTIVITY and caller is not None:
        words += [Word(" of "), Word(name_of(caller), True)]
    return words


def _ending(span: Span) -> list[Word]:
    state = state_of(span)
    if state == "open":
        return [Word(" has not ended")]
    if state == "done":
        return [Word(" completed")]
    words = [Word(" failed with "), Word(span.error_type or "an error", True)]
    if span.tries > 1:
        words.append(Word(f" after {span.tries:,} attempts"))
    return words


def _like(divergence: Divergence) -> list[Word]:
    return [Word(f" and {divergence.like:,} more like it")] if divergence.like else []


def _missing(
    comparison: Comparison, divergence: Divergence, row: Row, above: Row | None
) -> list[Word]:
    verb, them = ("are", "them") if divergence.like else ("is", "it")
    here, there = ("A", "B") if row.right is None else ("B", "A")
    words = _who(row.span, _caller(above, here))
    words += [*_like(divergence), Word(f" {verb} only in {here}")]
    lacking = _caller(above, there)
    if lacking is None:
        return words
    yet = (comparison.right if there == "B" else comparison.left).summary.live
    words.append(Word(f"; in {there}, "))
    words.append(Word(name_of(lacking), True))
    if state_of(lacking) == "failed":
        return [*words, *_ending(lacking), Word(f" and did not lead to {them}")]
    return [*words, Word(f" has not led to {them} yet" if yet else f" did not lead to {them}")]


def _caller(above: Row | None, letter: str) -> Span | None:
    if above is None:
        return None
    return above.left if letter == "A" else above.right
