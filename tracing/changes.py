"""Who changed a path of an actor's state last: the question, and what there is to say to it.

The answer is in the actor's journal, which tracing does not know: `loomweb.wiring` registers who
finds it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from tracing.jsonpath import Path

End = Literal["found", "start", "bound", "expired"]
"""Why the search ended: with an answer, at the actor's beginning, after as many records as it may
read, or where the journal has expired."""


@dataclass(frozen=True, slots=True)
class ChangedBy:
    """The turn that changed the path.

    Attributes:
        at_ns: when the turn ended, nanoseconds since the epoch.
        version: the state's version after it.
        message_type, sender: None when the message itself is gone.
        trace_id, span_id: where its trace shows it; None when it was not traced or is gone.
    """

    message_id: str
    at_ns: int
    version: int
    message_type: str | None = None
    sender: str | None = None
    trace_id: str | None = None
    span_id: str | None = None


@dataclass(frozen=True, slots=True)
class LastChange:
    """What the journal says of a path before a version.

    Attributes:
        by: None when nothing that was read changed the path.
        certain: False when it wrote the path, and whether that changed it cannot be told.
        records: journal records that were read.
        back_to: the version from which on they were.
    """

    by: ChangedBy | None
    end: End
    records: int
    back_to: int
    certain: bool = True


FindLastChange = Callable[[str, int, Path, str | None], Awaitable[LastChange]]
"""Takes an actor, the version before which to look, the path, and the correlation id of the message
that the question is about. May raise."""
