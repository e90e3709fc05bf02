"""A JSON value as a bounded list of lines for a folding tree. Everything in it is hostile."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Any, Literal

MAX_LINES = 2_000
MAX_DEPTH = 60
MAX_TEXT = 2_000

LineKind = Literal["open", "close", "value", "cut"]


@dataclass(frozen=True, slots=True)
class Line:
    """One step of the tree: opens a container, closes it, or shows a value.

    `type` is "object", "array", "string", "number", "boolean" or "null".
    """

    kind: LineKind
    key: str = ""
    type: str = ""
    text: str = ""
    folded: bool = False


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
    return f"{cut}… {rest:,} characters more" if rest > 0 else cut


def tree_lines(value: Any) -> list[Line]:
    """Return the lines of `value`; what exceeds the bounds is counted in a line of its own."""
    lines: list[Line] = []
    # Entries are (key, value, depth), or a closing line.
    stack: list[tuple[str, Any, int] | Line] = [("", value, 0)]
    while stack:
        entry = stack.pop()
        if isinstance(entry, Line):
            lines.append(entry)
            continue
        key, item, depth = entry
        if len(lines) >= MAX_LINES:
            left = sum(not isinstance(rest, Line) for rest in stack) + 1
            lines.append(Line("cut", text=f"{left:,} entries more: download the whole below"))
            lines += [rest for rest in reversed(stack) if isinstance(rest, Line)]
            break
        name = visible(key, 200)
        if isinstance(item, dict | list) and item:
            kind = "object" if isinstance(item, dict) else "array"
            count = f"{len(item):,} {'keys' if kind == 'object' else 'items'}"
            if depth >= MAX_DEPTH:
                lines.append(Line("value", name, kind, f"{count}, nested too deep to show"))
                continue
            lines.append(Line("open", name, kind, count, folded=depth >= 3 or len(item) > 50))
            stack.append(Line("close", type=kind))
            children = (
                list(item.items())
                if isinstance(item, dict)
                else [(str(i), child) for i, child in enumerate(item)]
            )
            stack += [(str(k), child, depth + 1) for k, child in reversed(children)]
        else:
            lines.append(_leaf(name, item))
    return lines


def _leaf(name: str, item: Any) -> Line:
    if item is None:
        return Line("value", name, "null", "null")
    if isinstance(item, bool):
        return Line("value", name, "boolean", "true" if item else "false")
    if isinstance(item, int | float):
        return Line("value", name, "number", repr(item))
    if isinstance(item, str):
        return Line("value", name, "string", f'"{visible(item)}"')
    return Line("value", name, "object" if isinstance(item, dict) else "array", "empty")
