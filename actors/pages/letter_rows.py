"""Dead letters as the pages show them: in a list, one by one, and as the outcome of a retry."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from django.urls import reverse

from actors import services
from actors.deadletters import DeadLetter, LetterState
from actors.errors import ActorError, InvalidPayload
from actors.redrive import Fate
from storage import StorageError


@dataclass(frozen=True, slots=True)
class LetterRow:
    """A dead letter with the addresses that it leads to.

    Attributes:
        fate: what became of its retry; None where there was none, or nobody could tell.
        trace, retry_trace: the spans of the message, and of the one that was sent instead; "" where
            those are not traced.
        problem: why it could not be sent just now.
    """

    letter: DeadLetter
    fate: Fate | None = None
    problem: str = ""

    @property
    def address(self) -> str:
        return letter_address(self.letter.actor_id, self.letter.message_id)

    @property
    def status(self) -> tuple[str, str]:
        """The class of its icon, and what it says."""
        if self.letter.state is LetterState.RETRIED:
            return _FATES[self.fate]
        return _STATES[self.letter.state]

    @property
    def moving(self) -> bool:
        """Whether its retry is still to be sent or handled."""
        return self.letter.state is LetterState.SENDING or self.fate is Fate.WAITING

    @property
    def trace(self) -> str:
        return _span(self.letter.trace_id, self.letter.span_id)

    @property
    def retry_trace(self) -> str:
        found = self.letter.resolution
        return "" if found is None else _span(found.trace_id, found.span_id)

    @property
    def retry_letter(self) -> str:
        """The address of the dead letter that its retry became."""
        found = self.letter.resolution
        if found is None or found.message_id is None or self.fate is not Fate.FAILED:
            return ""
        return letter_address(self.letter.actor_id, found.message_id)


_STATES = {
    LetterState.OPEN: ("dead_lettered", "open"),
    LetterState.SENDING: ("running", "being sent"),
    LetterState.DISCARDED: ("discarded", "discarded"),
}
_FATES = {
    Fate.HANDLED: ("completed", "retried, handled"),
    Fate.FAILED: ("failed", "retried, failed again"),
    Fate.WAITING: ("running", "retried, not yet handled"),
    None: ("running", "sent"),
}


def letter_address(actor_id: str, message_id: str) -> str:
    """Return the address of a dead letter's page."""
    return reverse("actors:dead-letter", args=[*actor_id.split("/", 1), message_id])


def _span(trace_id: str | None, span_id: str | None) -> str:
    if trace_id is None:
        return ""
    trace = reverse("tracing:trace", args=[trace_id])
    return trace if span_id is None else f"{trace}?{urlencode({'span': span_id})}"


async def with_fates(letters: list[DeadLetter]) -> list[LetterRow]:
    """Return the letters as rows; what became of the retries is left out when no store answers."""
    try:
        fates = await services.current().redrive.fates(letters)
    except StorageError:
        fates = {}
    return [LetterRow(letter, fates.get(letter.message_id)) for letter in letters]


def in_words(error: ActorError, *, may_see: bool) -> str:
    """Return what went wrong, without quoting a payload to those who may not see any."""
    if isinstance(error, InvalidPayload) and not may_see:
        return "Its handler does not take its payload as it is"
    return str(error)
