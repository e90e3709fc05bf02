"""What became of dead letters, for pages that know them by their spans or their failure group."""

from __future__ import annotations

from collections.abc import Sequence

from actors import services
from actors.deadletters import UNRESOLVED, LetterFilter, LetterState
from actors.pages.letter_rows import with_fates
from tracing.resolutions import Resolved, Span

DONE = (LetterState.RETRIED, LetterState.DISCARDED)


class LetterResolutions:
    """Answers `tracing.resolutions.Resolutions` from the dead letters."""

    async def of(self, spans: Sequence[Span]) -> dict[Span, Resolved]:
        """Return what became of these messages, as the protocol says."""
        if not spans:
            return {}
        letters = await services.current().redrive.of_spans([span_id for _, span_id in spans])
        rows = await with_fates(
            [letter for letter in letters if letter.state is not LetterState.OPEN]
        )
        return {
            (row.letter.trace_id or "", row.letter.span_id or ""): Resolved(
                *row.status, row.address, row.retry_trace
            )
            for row in rows
        }

    async def all_done(self, fingerprint: str) -> bool:
        """Return whether none of a failure group's dead letters is left, as the protocol says."""
        find = services.current().redrive.find
        waits = await find(LetterFilter(UNRESOLVED, fingerprint=fingerprint), limit=1)
        if waits.letters:
            return False
        done = await find(LetterFilter(DONE, fingerprint=fingerprint), limit=1)
        return bool(done.letters)
