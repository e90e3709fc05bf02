"""Logs of loan offers for tests: made up, or the real one where it lies beside the checkout."""

from __future__ import annotations

import csv
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

REAL_LOG = Path(__file__).resolve().parents[2] / "shared" / "data" / "loan_offers_2012.csv.gz"
HEADER = ("application_id", "amount_requested", "registered_at", "event", "event_at", "resource")
_NEXT = {
    "selected": ("O_CREATED", "created"),
    "created": ("O_SENT", "sent"),
    "sent": ("O_SENT_BACK", "sent_back"),
}


def make_log(file: Path, *, applications: int = 40, seed: int = 1, broken: float = 0.05) -> None:
    """Write a log whose rows interleave; about a share `broken` of them breaks the life cycle."""
    source = random.Random(seed)
    now = datetime(2012, 1, 1, tzinfo=UTC)
    open_offers: dict[str, list[str]] = {str(200_000 + n): [] for n in range(applications)}
    rows = []
    for _ in range(applications * 7):
        now += timedelta(seconds=source.randint(1, 400), milliseconds=source.randint(0, 999))
        application = source.choice(list(open_offers))
        stages = open_offers[application]
        if source.random() < broken:
            event = source.choice(["O_ACCEPTED", "O_SENT_BACK", "O_NONSENSE"])
        elif not stages or source.random() < 0.2:
            event = "O_SELECTED"
            stages.append("selected")
        elif stages[-1] in _NEXT:
            event, stages[-1] = _NEXT[stages[-1]]
        else:
            event = source.choice(["O_ACCEPTED", "O_DECLINED", "O_CANCELLED"])
            stages.pop()
        amount = 5_000 + int(application) % 7 * 1_000
        clerk = source.choice(["10862", "11179", ""])
        rows.append((application, amount, now.isoformat(), event, now.isoformat(), clerk))
    with file.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(HEADER)
        writer.writerows(rows)


def recount(rows: list[Any]) -> tuple[dict[str, dict[str, Any]], int]:
    """Return each application's expected state and the number of rows that break the life cycle.

    Written apart from the actor, from the life cycle as it is documented: an event moves the
    newest offer that is in the stage before it; a cancellation takes the oldest open one.
    """
    before = {
        "O_CREATED": ["selected"],
        "O_SENT": ["created"],
        "O_SENT_BACK": ["sent"],
        "O_ACCEPTED": ["sent_back"],
        "O_DECLINED": ["sent_back"],
        "O_CANCELLED": ["selected", "created", "sent", "sent_back"],
    }
    states: dict[str, dict[str, Any]] = defaultdict(dict)
    broken = 0
    for row in rows:
        state = states[row.application]
        offers = state.get("offers", {})
        stage = row.event[2:].lower()
        if row.event == "O_SELECTED":
            number = str(len(offers) + 1)
        else:
            fitting = [
                number
                for number, offer in offers.items()
                if offer["stage"] in before.get(row.event, [])
            ]
            if not fitting:
                broken += 1
                continue
            number = fitting[0] if row.event == "O_CANCELLED" else fitting[-1]
        offer = offers.setdefault(number, {})
        offer.update(stage=stage, at=row.at)
        if row.resource:
            offer["by"] = row.resource
        state["offers"] = offers
        state.setdefault("amount", row.amount)
        state["status"] = stage
    return dict(states), broken
