"""Paths into JSON: what is shown can be asked for again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracing.diff import diff
from tracing.jsonpath import ABSENT, MAX_LENGTH, look_up, parse, step
from tracing.jsontree import tree_lines

KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.integers(0, 99)


@given(st.lists(KEYS, max_size=6))
def test_what_is_written_is_read_back(keys: list[str | int]) -> None:
    text = "$"
    for key in keys:
        text = step(text, key)
    assert parse(text) == tuple(keys)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", ()),
        ("$", ()),
        (" $.status ", ("status",)),
        ("status", ("status",)),
        (".status", ("status",)),
        ("lines[0].price", ("lines", 0, "price")),
        ("$.odd-key.größe", ("odd-key", "größe")),
        ('$["a.b"][1]["\\"]"]', ("a.b", 1, '"]')),
    ],
)
def test_a_person_may_write_it_shorter(text: str, path: tuple[str | int, ...]) -> None:
    assert parse(text) == path


@pytest.mark.parametrize(
    "text", ["$.", "$..a", "$a", "$[a]", "$[-1]", '$["a', '$["a"', '$.a"b', "$.a]", "[" * 50]
)
def test_what_is_no_path_is_refused_with_the_place(text: str) -> None:
    with pytest.raises(ValueError, match="not a path from its character"):
        parse(text)


def test_a_path_has_a_length() -> None:
    with pytest.raises(ValueError, match="at most"):
        parse("$" + ".a" * MAX_LENGTH)


def test_nothing_is_not_null() -> None:
    value = {"a": [None, {"b": 1}], "c": None}
    assert look_up(value, ("a", 1, "b")) == 1
    assert look_up(value, ("c",)) is None
    for path in (("x",), ("a", 2), ("a", "b"), ("c", "d"), (0,)):
        assert look_up(value, path) is ABSENT


JSON = st.recursive(
    st.none() | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), inner)
    ),
    max_leaves=12,
)


@given(JSON, JSON)
def test_the_paths_of_trees_and_differences_lead_to_their_values(old: Any, new: Any) -> None:
    for line in tree_lines(old, paths=True):
        if line.kind in ("open", "value"):
            assert look_up(old, parse(line.path)) is not ABSENT
    for found in diff(old, new).changes:
        for side, value in ((old, found.before), (new, found.after)):
            there = look_up(side, parse(found.path))
            assert there == value or (there is ABSENT and value is None)
