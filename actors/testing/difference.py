"""Two commands, or two ends of a turn, told apart in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from actors.journal import EntryType, JournalRecord

MAX_TEXT = 300
_TITLE = ("type", "seq", "name", "due", "at")
"""Keys that a command is called by, or that differ from run to run."""


def said(expected: Mapping[str, Any], found: Mapping[str, Any] | None) -> tuple[str, str]:
    """Return both commands in words, with what differs beyond their names."""
    if found is None:
        return _title(expected), "the end of the handler"
    keys = [
        key
        for key in dict.fromkeys((*expected, *found))
        if key not in _TITLE and expected.get(key) != found.get(key)
    ]
    if _title(expected) != _title(found):
        keys = [key for key in keys if key in ("to", "patch", "step")]
    return short(_with(expected, keys)), short(_with(found, keys))


def outcome(record: JournalRecord | None, error: Exception | None, asked: str | None) -> str:
    """Return how a turn ended, in words: what it answers and sends is part of it."""
    if error is not None:
        return f"turn_failed ({type(error).__name__})"
    if asked is not None:
        return f"the activity {asked}, of which the journal has no outcome"
    if record is None:
        return "a wait that has not ended"
    *commands, end = record.entries
    if commands:
        return _with(commands[0].to_document(), [])
    outbox = [
        {
            "to": body["actorId"],
            "type": body["messageType"],
            "payload": body["payload"],
            **{key: body["metadata"].get(key) for key in ("priority", "reply")},
        }
        for body in end.data["outbox"]
    ]
    kept = {"outbox": outbox, "result": end.data.get("result")}
    return _with({"type": EntryType.TURN_COMPLETED.value, **kept}, list(kept))


def _title(command: Mapping[str, Any]) -> str:
    name = command.get("name")
    return f"{command['type']} ({name})" if name else str(command["type"])


def _with(command: Mapping[str, Any], keys: list[str]) -> str:
    more = [f"{key} {msgspec.json.encode(command[key]).decode()}" for key in keys if key in command]
    return ", ".join([_title(command), *more])


def short(text: str) -> str:
    """Return the text, or its beginning when it is long."""
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"
