"""The tokens as `tokens.css` has them: read from it, so the guide names no other value."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_FILE = Path(__file__).resolve().parents[2] / "static" / "css" / "tokens.css"
_GROUP = re.compile(
    r"/\* # (?P<title>[^\n:]+): (?P<about>[^*]+?) \*/(?P<body>.*?)(?=/\* # |^})", re.S | re.M
)
_TOKEN = re.compile(r"--(?P<name>[a-z0-9-]+):\s*(?P<value>[^;]+);")


@dataclass(frozen=True, slots=True)
class Token:
    """A custom property and its value as written."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class TokenGroup:
    """Tokens of one kind; `kind` says how the guide draws them."""

    title: str
    about: str
    tokens: list[Token]

    @property
    def kind(self) -> str:
        return self.title.lower()


def token_groups() -> list[TokenGroup]:
    """Return every group of tokens in the order of the file."""
    text = _FILE.read_text()
    return [
        TokenGroup(
            found["title"],
            " ".join(found["about"].split()),
            [Token(token["name"], token["value"]) for token in _TOKEN.finditer(found["body"])],
        )
        for found in _GROUP.finditer(text)
    ]
