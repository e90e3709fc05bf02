"""Trees of hostile and huge values: bounded by themselves, and together with the rest of a page."""

from __future__ import annotations

from typing import Any

from tracing.diff import diff
from tracing.jsontree import BRIEF, FULL, SMALL, Budget, Line, Marks, Size, plain, tree_lines


def characters(lines: list[Line]) -> int:
    return sum(len(line.key) + len(line.text) for line in lines)


def test_all_that_a_tree_shows_is_bounded() -> None:
    for value in (
        ["x" * 1_900] * 1_000,
        {f"{'k' * 190}{n}": 1 for n in range(3_000)},
        "x" * 5_000_000,
        {"x" * 5_000_000: 1},
        ["\x00" * 1_000] * 1_000,
    ):
        for size in (FULL, BRIEF, SMALL):
            lines = tree_lines(value, size)
            # One string, spelled out, may go beyond; not every one of them.
            assert characters(lines) < size.characters + 7 * size.text
            assert len(lines) <= size.lines + size.depth + 2


def test_trees_of_one_page_share_what_there_is() -> None:
    budget = Budget(lines=100, characters=10_000)
    trees = [tree_lines({"a": ["x" * 50] * 10}, FULL, budget) for _ in range(200)]
    assert sum(map(len, trees)) < 100 + 200 * 3
    assert [line.kind for line in trees[-1]] == ["cut"]
    assert "1 entry more" in trees[-1][0].text


def test_what_is_cut_is_counted_and_every_container_is_closed() -> None:
    value: Any = {"list": list(range(100)), "more": 1, "and": 2}
    lines = tree_lines(value, Size(lines=12))
    (cut,) = [line for line in lines if line.kind == "cut"]
    assert cut.text.startswith("92 entries more")
    assert [line.kind for line in lines].count("open") == 2
    assert [line.kind for line in lines][-2:] == ["close", "close"]


def test_how_much_is_open_depends_on_the_size() -> None:
    value = {"a": {"b": {"c": {"d": 1}}}}
    opened = {
        size.unfolded: sum(
            not line.folded for line in tree_lines(value, size) if line.kind == "open"
        )
        for size in (FULL, BRIEF, SMALL)
    }
    assert opened == {3: 3, 2: 2, 1: 1}


def test_an_empty_key_can_be_seen() -> None:
    assert [line.key for line in tree_lines({"": 1}) if line.kind == "value"] == ['""']


def test_paths_are_told_where_they_are_asked_for_and_not_too_long() -> None:
    value = {"a": [{"odd key": 1}], "x" * 1_000: 2}
    told = [line.path for line in tree_lines(value, paths=True) if line.kind != "close"]
    assert told == ["$", "$.a", "$.a[0]", '$.a[0]["odd key"]', ""]
    assert not any(line.path for line in tree_lines(value))


def test_only_scalars_become_text() -> None:
    assert [plain(value) for value in ("a", 1, True, None)] == ["a", "1", "True", ""]
    assert plain(["x"] * 1_000) == "(1,000 items)"
    nested: Any = 1
    for _ in range(5_000):
        nested = {"a": nested}
    assert plain(nested) == "(1 key)"


def test_what_changed_is_pointed_out_and_what_leads_to_it_is_open() -> None:
    before: Any = {
        "kept": {"deep": {"er": 1}},
        "lines": [{"a": {"price": 3, "odd key": 1}}],
        "x": 1,
    }
    after: Any = {"kept": {"deep": {"er": 1}}, "lines": [{"a": {"price": 4, "odd key": 2}}], "y": 2}
    lines = tree_lines(after, SMALL, marks=Marks(diff(before, after).changes))
    pointed_out = {(line.path, line.mark, line.was) for line in lines if line.mark}
    assert pointed_out == {
        ("$.lines[0].a.price", "changed", "3"),
        ('$.lines[0].a["odd key"]', "changed", "1"),
        ("$.y", "added", ""),
    }
    folded = {line.key: line.folded for line in lines if line.kind == "open"}
    assert folded == {"": False, "kept": True, "deep": True, "lines": False, "0": False, "a": False}
    hostile = tree_lines({"a": "new"}, marks=Marks(diff({"a": "x" * 9_000}, {"a": "new"}).changes))
    assert len(hostile[1].was) < 150
