"""Sample runs for an empty store, so that the first page has something to show."""

from __future__ import annotations

from typing import Any

from actors.samples import WORKFLOWS
from loomweb import wiring

RUNS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("chain", {"depth": 40}),
    ("word-count", {"children": 40, "words": 300}),
    ("loan-application", {"applicant": "Grace Hopper", "amount": 24_000, "bureau": "reliable"}),
    ("loan-application", {"applicant": "Alan Turing", "amount": 9_500, "bureau": "flaky"}),
    ("loan-application", {"applicant": "Ada Lovelace", "amount": 900_000, "income": 48_000}),
    ("order", {"item": "espresso machine", "quantity": 2, "restocked_after": 0}),
    ("order", {"item": "fountain pen", "quantity": 12, "restocked_after": 2}),
    ("order", {"item": "slide rule", "quantity": 1, "restocked_after": 20}),
    ("chain", {"depth": 6, "fail_at": 4}),
    ("trip", {"traveller": "Ida Pfeiffer", "destination": "Trieste", "fails": "third"}),
    ("checkout", {"customer": "Grace Hopper", "cents": 4_990, "fails": "charge card"}),
    ("poison", {"parcels": 6, "poison": "malformed"}),
    ("account", {"owner": "Luca Pacioli", "days": 3, "day_seconds": 0.5}),
    # Stays suspended, for whoever looks around to decide.
    ("loan-approval", {"applicant": "Mary Somerville", "amount": 48_000, "timeout": 7 * 86_400}),
    ("word-count", {"children": 5, "words": 50}),
)


async def seed_when_empty() -> int:
    """Start a varied set of sample runs when there is no trace yet; return how many."""
    loom = wiring.current()
    if loom.writer is None or (await loom.reader.find_traces(limit=1)).traces:
        return 0
    for name, payload in RUNS:
        await loom.runtime.start(WORKFLOWS[name], payload)
    return len(RUNS)
