"""The difference of two JSON values, by path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tracing.jsonpath import ABSENT, step

MAX_CHANGES = 500

Change = Literal["added", "removed", "changed"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One path whose value is not the same. `before` or `after` is None where there was none."""

    path: str
    change: Change
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Differences:
    """Differences in order of path; `more` counts those beyond the first 500."""

    changes: list[Difference]
    more: int


def diff(before: Any, after: Any) -> Differences:
    """Compare two JSON values. Iterative, so depth is no limit."""
    found: list[Difference] = []
    more = 0
    stack: list[tuple[str, Any, Any]] = [("$", before, after)]
    while stack:
        path, old, new = stack.pop()
        if _same(old, new):
            continue
        pairs = _children(path, old, new)
        if pairs is not None:
            stack += reversed(pairs)
        elif len(found) >= MAX_CHANGES:
            more += 1
        else:
            change: Change = "changed"
            if old is ABSENT:
                change = "added"
            elif new is ABSENT:
                change = "removed"
            found.append(Difference(path, change, _shown(old), _shown(new)))
    return Differences(found, more)


def _same(old: Any, new: Any) -> bool:
    if old is new:
        return True
    if isinstance(old, dict | list) or isinstance(new, dict | list):
        return False
    # 1, 1.0 and true are equal in Python and three different things in JSON.
    return type(old) is type(new) and bool(old == new)


def _children(path: str, old: Any, new: Any) -> list[tuple[str, Any, Any]] | None:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = list(dict.fromkeys([*old, *new]))
        return [(step(path, key), old.get(key, ABSENT), new.get(key, ABSENT)) for key in keys]
    if isinstance(old, list) and isinstance(new, list):
        longest = max(len(old), len(new))
        return [
            (
                step(path, i),
                old[i] if i < len(old) else ABSENT,
                new[i] if i < len(new) else ABSENT,
            )
            for i in range(longest)
        ]
    return None


def _shown(value: Any) -> Any:
    return None if value is ABSENT else value
