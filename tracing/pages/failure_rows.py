"""Failed messages as the lists show them, with what people did with those that were given up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tracing import services
from tracing.failure import Failure, FailureOutcome
from tracing.pages.listing import ask
from tracing.resolutions import Resolved, Span


@dataclass(frozen=True, slots=True)
class FailureRow:
    """A failed message. `resolved` is None unless somebody resolved its dead letter."""

    failure: Failure
    resolved: Resolved | None


async def failure_rows(failures: Sequence[Failure]) -> list[FailureRow]:
    """Return failures as rows; what people did is left out when the store does not answer."""
    found = await resolved_of(failures)
    return [FailureRow(one, found.get((one.trace_id, one.span_id))) for one in failures]


async def resolved_of(failures: Sequence[Failure]) -> dict[Span, Resolved]:
    """Return what people did with those of the messages that were given up, by span."""
    resolutions = services.current().resolutions
    given_up = [
        (one.trace_id, one.span_id)
        for one in failures
        if one.outcome is FailureOutcome.DEAD_LETTERED
    ]
    if resolutions is None or not given_up:
        return {}
    found, _ = await ask(resolutions.of(given_up), {})
    return dict(found)
