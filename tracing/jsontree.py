"""A JSON value as a bounded list of lines for a folding tree. Everything in it is hostile."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from tracing.counted import counted
from tracing.diff import Difference
from tracing.jsonpath import ancestors, step

MAX_LINES = 2_000
MAX_DEPTH = 60
MAX_TEXT = 2_000
MAX_PATH = 400
"""Characters of a path up to which a line tells it."""
MAX_WAS = 80
"""Characters of what a changed value was before."""

LineKind = Literal["open", "close", "value", "cut"]


@dataclass(frozen=True, slots=True)
class Line:
    """One step of the tree: opens a container, closes it, or shows a value.

    `type` is "object", "array", "string", "number", "boolean" or "null"; `path` leads to the
    value, where paths were asked for. `mark` is "added" or "changed" where that is pointed out,
    `was` what was there before.
    """

    kind: LineKind
    key: str = ""
    type: str = ""
    text: str = ""
    folded: bool = False
    path: str = ""
    mark: str = ""
    was: str = ""


@dataclass(frozen=True, slots=True)
class Size:
    """How much of a value is shown.

    Attributes:
        text: characters of one string.
        characters: of all keys and values together.
        unfolded: levels that are open at first.
    """

    lines: int = MAX_LINES
    depth: int = MAX_DEPTH
    text: int = MAX_TEXT
    characters: int = 100_000
    unfolded: int = 3


FULL = Size()
BRIEF = Size(lines=60, depth=12, text=500, characters=6_000, unfolded=2)
"""For a value among others, on one screen."""
SMALL = Size(lines=30, depth=8, text=300, characters=2_000, unfolded=1)
"""For a cell of a table."""


@dataclass(slots=True)
class Budget:
    """What all trees of one page may take together, however many there are."""

    lines: int = 8_000
    characters: int = 200_000


class Marks:
    """Values that a tree points out; what leads to them is open."""

    def __init__(self, differences: Iterable[Difference]) -> None:
        self.by_path: Mapping[str, Difference] = {each.path: each for each in differences}
        self._above = {path for each in self.by_path for path in ancestors(each)}

    def on(self, line: Line, path: str) -> Line:
        """Return the line of the value at `path`, pointed out if it is one of them."""
        found = self.by_path.get(path)
        if found is not None:
            was = "" if found.change == "added" else _leaf("", found.before, MAX_WAS, "").text
            return replace(line, path=path, mark=found.change, was=was)
        return replace(line, folded=False) if line.folded and path in self._above else line


def visible(text: str, limit: int = MAX_TEXT) -> str:
    """Return text that cannot disturb its surroundings: bounded, its control and direction
    characters spelled out."""
    cut = text[:limit]
    if not cut.isprintable():
        cut = "".join(
            char
            if char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co")
            else f"\\u{ord(char):04x}"
            for char in cut
        )
    rest = len(text) - limit
    return f"{cut}… {counted(rest, 'character')} more" if rest > 0 else cut


def plain(value: Any) -> str:
    """Return a scalar as text, and of anything else only what it is."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        return f"({_count(value)})"
    return "" if value is None else str(value)


@dataclass(slots=True)
class _Opened:
    """A container whose items are being shown; `left` counts those that are not yet."""

    type: str
    items: Iterator[tuple[str | int, Any]]
    left: int
    path: str


def tree_lines(
    value: Any,
    size: Size = FULL,
    budget: Budget | None = None,
    *,
    paths: bool = False,
    marks: Marks | None = None,
) -> list[Line]:
    """Return the lines of `value`; what exceeds the bounds is counted in a line of its own."""
    budget = budget or Budget()
    room = min(size.characters, budget.characters)
    most = min(size.lines, budget.lines)
    lines: list[Line] = []
    used = 0
    stack = [_Opened("", iter([("", value)]), 1, "")]
    while stack:
        top = stack[-1]
        if not top.left:
            stack.pop()
            if top.type:
                lines.append(Line("close", type=top.type))
            continue
        if len(lines) >= most or used >= room:
            left = sum(opened.left for opened in stack)
            whole = "the download has everything"
            lines.append(Line("cut", text=f"{counted(left, 'entry', 'entries')} more; {whole}"))
            lines += [Line("close", type=opened.type) for opened in reversed(stack) if opened.type]
            break
        key, item = next(top.items)
        top.left -= 1
        depth = len(stack) - 1
        path = "" if not (paths or marks) else "$" if not depth else step(top.path, key)
        name = "" if not depth else visible(str(key), 200) or '""'
        told = path if paths and len(path) <= MAX_PATH else ""
        if isinstance(item, dict | list) and item and depth < size.depth:
            line, opened = _open(name, item, size.unfolded <= depth, told, path)
            stack.append(opened)
        else:
            line = _leaf(name, item, min(size.text, max(80, room - used)), told)
        if marks is not None:
            line = marks.on(line, path)
        lines.append(line)
        used += len(line.key) + len(line.text) + len(line.was)
    budget.lines -= len(lines)
    budget.characters -= used
    return lines


def _open(
    name: str, item: dict[str, Any] | list[Any], folded: bool, told: str, path: str
) -> tuple[Line, _Opened]:
    kind = "object" if isinstance(item, dict) else "array"
    items: Iterator[tuple[str | int, Any]] = (
        iter(item.items()) if isinstance(item, dict) else enumerate(item)
    )
    line = Line("open", name, kind, _count(item), folded or len(item) > 50, told)
    return line, _Opened(kind, items, len(item), path)


def _count(item: dict[str, Any] | list[Any]) -> str:
    return counted(len(item), "key" if isinstance(item, dict) else "item")


def _leaf(name: str, item: Any, text: int, path: str) -> Line:
    if item is None:
        return Line("value", name, "null", "null", path=path)
    if isinstance(item, bool):
        return Line("value", name, "boolean", "true" if item else "false", path=path)
    if isinstance(item, int | float):
        return Line("value", name, "number", visible(repr(item), text), path=path)
    if isinstance(item, str):
        return Line("value", name, "string", f'"{visible(item, text)}"', path=path)
    kind = "object" if isinstance(item, dict) else "array"
    shown = f"{_count(item)}, nested too deep to show" if item else "empty"
    return Line("value", name, kind, shown, path=path)
