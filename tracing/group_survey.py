"""`GroupSurvey`: how the messages of a failure group stand, told from the latest of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tracing.failure import Failure, FailureOutcome

SURVEYED = 500
"""Failed messages of a group that are looked at: the latest."""


@dataclass(frozen=True, slots=True)
class GroupSurvey:
    """Counts over the latest failed messages of a group.

    Attributes:
        more: whether there are older ones that were not looked at.
        actors: different actors among them.
        next_retry: of the messages that are still tried, the one whose turn comes next.
    """

    messages: int
    more: bool
    actors: int
    retrying: int
    dead_lettered: int
    recovered: int
    next_retry: Failure | None

    @property
    def outcome(self) -> FailureOutcome | None:
        """How the group stands: as its worst message that is not decided, then as the decided."""
        for outcome, count in (
            (FailureOutcome.RETRYING, self.retrying),
            (FailureOutcome.DEAD_LETTERED, self.dead_lettered),
            (FailureOutcome.RECOVERED, self.recovered),
        ):
            if count:
                return outcome
        return None


def survey(failures: Sequence[Failure], *, more: bool) -> GroupSurvey:
    """Return how these failed messages stand."""
    retrying = [one for one in failures if one.outcome is FailureOutcome.RETRYING]
    outcomes = [one.outcome for one in failures]
    return GroupSurvey(
        messages=len(failures),
        more=more,
        actors=len({one.actor for one in failures if one.actor is not None}),
        retrying=len(retrying),
        dead_lettered=outcomes.count(FailureOutcome.DEAD_LETTERED),
        recovered=outcomes.count(FailureOutcome.RECOVERED),
        next_retry=min(retrying, key=lambda one: one.retry_ns or one.at_ns, default=None),
    )
