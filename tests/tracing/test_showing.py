"""What pages are made of: differences, JSON trees, sentences and numbers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import event
from tests.cosmos_server import ROOT
from tests.tracing.test_tree import handled, tree_of
from tracing.diff import diff
from tracing.jsontree import MAX_LINES, tree_lines, visible
from tracing.templatetags import loom as tags
from tracing.words import sentence

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=20,
)


def test_differences_are_told_by_path() -> None:
    found = diff(
        {"a": 1, "b": {"c": [1, 2], "gone": True}, "same": "x"},
        {"a": 1.0, "b": {"c": [1, 3, 4]}, "same": "x", "odd key": None},
    )
    assert [(d.path, d.change) for d in found.changes] == [
        ("$.a", "changed"),
        ("$.b.c[1]", "changed"),
        ("$.b.c[2]", "added"),
        ("$.b.gone", "removed"),
        ('$["odd key"]', "added"),
    ]


@given(JSON, JSON)
def test_there_are_differences_exactly_when_the_json_differs(old: Any, new: Any) -> None:
    def canonical(value: Any) -> str:
        return json.dumps(value, sort_keys=True)

    assert bool(diff(old, new).changes) == (canonical(old) != canonical(new))


@given(JSON)
def test_every_tree_is_balanced_and_bounded(value: Any) -> None:
    lines = tree_lines(value)
    depth = 0
    for line in lines:
        depth += (line.kind == "open") - (line.kind == "close")
        assert depth >= 0
    assert depth == 0


def test_a_huge_value_is_cut_and_says_so() -> None:
    lines = tree_lines({"list": list(range(100_000))})
    assert len(lines) <= MAX_LINES + 3
    assert any("98," in line.text for line in lines if line.kind == "cut")


def test_a_value_nested_ten_thousand_deep_is_shown_to_a_bound() -> None:
    value: Any = "bottom"
    for _ in range(10_000):
        value = [value]
    assert any("too deep" in line.text for line in tree_lines(value))
    assert diff(value, [value]).changes


def test_control_and_direction_characters_are_spelled_out() -> None:
    assert visible("a\x00b\u202ec\u200b") == "a\\u0000b\\u202ec\\u200b"
    assert visible("x" * 10, 4) == "xxxx… 6 characters more"
    assert visible("line\n\ttab ü 🧶") == "line\n\ttab ü 🧶"


def text_of(events: list[Any]) -> str:
    return "".join(word.text for word in sentence(tree_of(events)))


def test_the_sentence_says_what_happened() -> None:
    start = event("workflow:started", 1, name="order", attempt=0)
    end = event("workflow:completed", 1, name="order", at=60)
    assert text_of([start, *handled(2, 1, 0), end]) == "order completed: 1 message handled"
    assert text_of([start, event("queue:enqueued", 2, parent=1)]).startswith("order is running")
    bad = [
        event("message:started", 3, parent=1, at=20, name="reserve"),
        event("message:failed", 3, parent=1, at=21, name="reserve", error_type="Boom"),
        event("message:dead_lettered", 3, parent=1, at=22, name="reserve", error_type="Boom"),
        event("queue:enqueued", 4, parent=1, at=30),
    ]
    assert (
        text_of([start, *bad])
        == "Order/1 failed handling reserve after 1 attempt: Boom; 1 message still open"
    )


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0 ns"),
        (1_500, "1.50 µs"),
        (23_400_000, "23.4 ms"),
        (318_000_000, "318 ms"),
        (1_420_000_000, "1.42 s"),
        (90_000_000_000, "1.50 min"),
        (None, "–"),
    ],
)
def test_durations_have_three_digits(nanoseconds: int | None, text: str) -> None:
    assert tags.duration(nanoseconds) == text


def test_sizes_counts_and_ids_are_short() -> None:
    assert tags.size(4_200) == "4.2 KB"
    assert tags.count(1_234_567) == "1,234,567"
    assert tags.short("0123456789abcdef0") == "01234567…"
    assert tags.short_trace("0123456789abcdef0") == "0123456789abcd…"
    assert tags.share(1, 3) == "33.33%"
    assert tags.share(1, 0) == "0%"


def test_a_number_agrees_with_its_noun() -> None:
    assert tags.counted_of(1, "message") == "1 message"
    assert tags.counted_of(0, "message") == "0 messages"
    assert tags.counted_of(2_000, "entry,entries") == "2,000 entries"


NUMBERED = re.compile(r"\|(?:count|length) ?\}\}(?:</\w+>)? (?:(?:more|other|earlier) )?[a-z]+s\b")


@pytest.mark.parametrize(
    "template", sorted((ROOT / "templates").rglob("*.html")), ids=lambda path: path.name
)
def test_no_template_takes_a_number_for_many(template: Path) -> None:
    # A number of which there is never one has its noun written out another way.
    assert NUMBERED.findall(template.read_text()) == []
