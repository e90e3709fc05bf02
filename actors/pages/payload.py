"""Payloads as a person types them: JSON in a text field."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from typing import Any

import msgspec

from actors.errors import InvalidMessage

_UNSEEN = frozenset({"Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp"})
"""Categories of characters that cannot be seen, or that change how others are seen."""


def json_object(text: str) -> dict[str, Any]:
    """Return a form's JSON object.

    Raises:
        InvalidMessage: it is none; says where, and what was expected.
    """
    try:
        payload: Any = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidMessage(f"This is not JSON: {_where(text) or error}") from None
    if not isinstance(payload, dict):
        raise InvalidMessage('A payload is a JSON object, like {"approved": true}')
    return payload


def editable(payload: Mapping[str, Any]) -> str:
    """Return a payload as text that a person may edit, without a character that is not seen."""
    formatted = msgspec.json.format(msgspec.json.encode(payload), indent=2).decode()
    # Outside of strings JSON is ASCII: what is escaped here stands in one.
    return "".join(_shown(character) for character in formatted)


def _shown(character: str) -> str:
    if character == "\n" or character.isascii():
        return character
    if unicodedata.category(character) not in _UNSEEN:
        return character
    return json.dumps(character)[1:-1]


def _where(text: str) -> str | None:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return f"{error.msg} in line {error.lineno}, column {error.colno}"
    except (ValueError, RecursionError):
        return None
    return None
