"""Remarks of people on failure groups: the note that counts, and whether somebody resolved it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Max, Q

from tracing.models import FailureRemark

MAX_NOTE = 2_000
HISTORY = 20
_MARKS = (FailureRemark.Kind.RESOLVED, FailureRemark.Kind.REOPENED)


@dataclass(frozen=True, slots=True)
class Remarks:
    """What counts of a group's remarks.

    Attributes:
        note: the latest note; None when there is none, or its text was taken away.
        resolved: the mark that says so, unless the group was opened again since.
    """

    note: FailureRemark | None = None
    resolved: FailureRemark | None = None

    def came_back(self, last_ns: int) -> bool:
        """Whether it was resolved and has failed since; `last_ns` is when it failed last."""
        return self.resolved is not None and last_ns > self.resolved.at_ns


async def remarks_on(fingerprints: Sequence[str]) -> dict[str, Remarks]:
    """Return what counts of each group that anybody has said something of."""
    latest = FailureRemark.objects.filter(fingerprint__in=fingerprints).order_by()
    ids: list[tuple[str, int | None, int | None]] = [
        (row["fingerprint"], row["note"], row["mark"])
        async for row in latest.values("fingerprint").annotate(
            note=Max("id", filter=Q(kind=FailureRemark.Kind.NOTE)),
            mark=Max("id", filter=Q(kind__in=_MARKS)),
        )
    ]
    found = await FailureRemark.objects.ain_bulk(
        [id for _, *both in ids for id in both if id is not None]
    )
    return {
        fingerprint: _counting(found.get(note or 0), found.get(mark or 0))
        for fingerprint, note, mark in ids
    }


def _counting(note: FailureRemark | None, mark: FailureRemark | None) -> Remarks:
    is_resolved = mark is not None and mark.kind == FailureRemark.Kind.RESOLVED
    return Remarks(note if note is not None and note.text else None, mark if is_resolved else None)


async def history_of(fingerprint: str) -> list[FailureRemark]:
    """Return the last remarks on a group, the latest first."""
    remarks = FailureRemark.objects.filter(fingerprint=fingerprint)
    return [remark async for remark in remarks[:HISTORY]]
