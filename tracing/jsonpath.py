"""Paths into JSON values, as they are shown and asked for: `$.order.lines[0]["odd key"]`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

Path = tuple[str | int, ...]
"""Keys of objects and numbers of array items, from the outside in."""

MAX_LENGTH = 2_000
"""Characters of a path that somebody typed."""

_PLAIN = re.compile(r"\.?([^.\[\]\"]+)")
_ITEM = re.compile(r"\[(\d{1,9})\]")
_DECODER = json.JSONDecoder()


class Absent:
    """Marks what is not there, which null is not."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent()


def step(path: str, key: str | int) -> str:
    """Return the path of what `key` names within the value at `path`."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    if key.isidentifier():
        return f"{path}.{key}"
    return f"{path}[{json.dumps(key, ensure_ascii=False)}]"


def parse(text: str) -> Path:
    """Read a path; the leading `$` may be left out.

    Raises:
        ValueError: it is none; says where.
    """
    text = text.strip()
    if len(text) > MAX_LENGTH:
        raise ValueError(f"a path has at most {MAX_LENGTH:,} characters")
    at = 1 if text.startswith("$") else 0
    steps: list[str | int] = []
    while at < len(text):
        if text.startswith('["', at):
            try:
                key, at = _DECODER.raw_decode(text, at + 1)
            except ValueError:
                raise _wrong(text, at) from None
            if text[at : at + 1] != "]":
                raise _wrong(text, at)
            steps.append(key)
            at += 1
        elif found := _ITEM.match(text, at):
            steps.append(int(found.group(1)))
            at = found.end()
        elif (found := _PLAIN.match(text, at)) and (text[at] == "." or at == 0):
            steps.append(found.group(1))
            at = found.end()
        else:
            raise _wrong(text, at)
    return tuple(steps)


def ancestors(text: str) -> list[str]:
    """Return the paths that lead to a path, the outermost first; none where it is no path."""
    try:
        keys = parse(text)
    except ValueError:
        return []
    found = ["$"]
    for key in keys[:-1]:
        found.append(step(found[-1], key))
    return found


def look_up(value: Any, path: Path) -> Any:
    """Return what is at `path`, or `ABSENT`."""
    for key in path:
        if isinstance(key, str) and isinstance(value, Mapping):
            value = value.get(key, ABSENT)
        elif isinstance(key, int) and isinstance(value, list) and key < len(value):
            value = value[key]
        else:
            return ABSENT
    return value


def _wrong(text: str, at: int) -> ValueError:
    return ValueError(
        f"this is not a path from its character {at + 1} on: write it like $.order.lines[0]"
    )
