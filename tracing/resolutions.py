"""What became of messages that were given up: the question, and what there is to say to it.

A person may retry or discard them. That is in dead letters, which tracing does not know:
`loomweb.wiring` registers who reads them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

Span = tuple[str, str]
"""A trace's id and a span's."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """What somebody did with a message that was given up.

    Attributes:
        status: the kind of its icon.
        words: what was done, and what came of it: "retried, handled".
        letter: address of the page that tells more.
        trace: address of the message that was sent instead; "" without one that is traced.
    """

    status: str
    words: str
    letter: str
    trace: str


class Resolutions(Protocol):
    """Reads what people did with messages that were given up.

    Every method may raise `storage.StorageError`.
    """

    async def of(self, spans: Sequence[Span]) -> Mapping[Span, Resolved]:
        """Return what became of these messages; one that nobody has touched is left out."""
        ...

    async def all_done(self, fingerprint: str) -> bool:
        """Return whether messages of this failure group were given up, and none waits any more."""
        ...
