"""An order that fails, as the events and documents that a run leaves; for the style guide alone."""

from __future__ import annotations

from functools import cache
from typing import Any

from tracing.build import build_tree
from tracing.event import Event, Ref, RefKind
from tracing.filters import Trace
from tracing.resolve import Outcome, Resolved
from tracing.spanlog import logs_of
from tracing.summary import Summary, TraceStatus
from tracing.tally import Tally
from tracing.tree import TraceTree

TRACE_ID = "5721e6ab40c94b0f9d2c8e13f70a6d44"
START = 1_790_000_000_000_000_000
MS = 1_000_000
ORDER, SHIPMENT = "Order/42", "Shipment/42-a"
RUN = "c0ffee5721e6ab40c94b0f9d2c8e13f7"

MESSAGE = Ref(RefKind.MESSAGE, RUN, "8f14e45fceea167a5a36dedd4bea2543")
BEFORE = Ref(RefKind.ACTOR_STATE, ORDER, "7")
AFTER = Ref(RefKind.ACTOR_STATE, ORDER, "11")
PLACED = Ref(RefKind.JOURNAL_ENTRY, ORDER, "7:4")
FAILED = Ref(RefKind.JOURNAL_ENTRY, ORDER, "11:1")
DOCUMENT = Ref(RefKind.DOCUMENT, ORDER, "actor-journals/000000000011")
KEY = Ref(RefKind.IDEMPOTENCY, ORDER, "3b1f9a7c20de4c55")

_ROOT, _PLACE, _SHELF, _RESERVE, _SHIP, _PACK = (f"{number:016x}" for number in range(1, 7))

PAYLOAD: dict[str, Any] = {
    "item": "slide rule",
    "quantity": 2,
    "gift": False,
    "note": None,
    "lines": [{"sku": "SR-12", "price": 49.9}, {"sku": "CASE", "price": 12.0}],
}


def _at(
    after_ms: float,
    type: str,
    span: str,
    parent: str | None = None,
    actor: str | None = ORDER,
    name: str | None = None,
    **more: Any,
) -> Event:
    return Event(type, TRACE_ID, span, parent, START + int(after_ms * MS), actor, name, **more)


def _events() -> list[Event]:
    failing: dict[str, Any] = {"error_type": "OutOfStock", "fingerprint": "ec6d4fa1128672ef"}
    placed: dict[str, Any] = {"parent": _ROOT, "name": "place", "attempt": 1}
    shelf: dict[str, Any] = {"parent": _PLACE, "name": "look_at_shelf", "attempt": 1}
    reserve: dict[str, Any] = {"parent": _PLACE, "name": "reserve"}
    broken = (MESSAGE, FAILED, AFTER)
    return [
        _at(0, "workflow:started", _ROOT, name="order"),
        _at(0, "queue:enqueued", _PLACE, _ROOT, name="place", refs=(MESSAGE,)),
        _at(90, "message:started", _PLACE, **placed),
        _at(96, "activity:scheduled", _SHELF, _PLACE, name="look_at_shelf", refs=(KEY,)),
        _at(98, "activity:started", _SHELF, **shelf),
        _at(150, "activity:completed", _SHELF, **shelf, duration_ns=54 * MS, refs=(KEY, PLACED)),
        _at(158, "actor:state_changed", _PLACE, **placed, refs=(BEFORE, AFTER, PLACED)),
        _at(
            160, "message:completed", _PLACE, **placed, duration_ns=70 * MS, refs=(MESSAGE, PLACED)
        ),
        _at(162, "queue:enqueued", _RESERVE, **reserve, refs=(MESSAGE,)),
        _at(190, "message:started", _RESERVE, **reserve, attempt=1),
        _at(230, "message:failed", _RESERVE, **reserve, **failing, attempt=1, refs=broken),
        _at(230, "message:retried", _RESERVE, **reserve, attempt=1, duration_ns=120 * MS),
        _at(350, "message:started", _RESERVE, **reserve, attempt=2),
        _at(400, "message:failed", _RESERVE, **reserve, **failing, attempt=2, refs=broken),
        _at(402, "message:dead_lettered", _RESERVE, **reserve, **failing, attempt=2),
        _at(162, "queue:enqueued", _SHIP, _PLACE, SHIPMENT, "prepare"),
        _at(220, "message:started", _SHIP, _PLACE, SHIPMENT, "prepare", attempt=1),
        _at(300, "queue:enqueued", _PACK, _SHIP, SHIPMENT, "pack"),
        _at(404, "workflow:failed", _ROOT, name="order", **failing, duration_ns=404 * MS),
    ]


@cache
def tree() -> TraceTree:
    """Return the run: waiting, handling, backing off, failing and still open."""
    events = sorted(_events(), key=lambda event: event.time_ns)
    tally = Tally()
    tally.add(logs_of(events))
    return build_tree(Trace(tally.summary(TRACE_ID), events, []))


def loaded() -> dict[Ref, Resolved]:
    """Return what the references of the run resolve to."""
    frame = {"line": 61, "code": "raise OutOfStock(item)", "own": True}
    error = {
        "type": "OutOfStock",
        "message": "the shelf has 0 of 2 slide rules, and they are no longer made",
        "stack": [
            {"file": "shop/orders.py", "function": "reserve", **frame},
            {"file": "actors/turn.py", "line": 203, "function": "run", "code": "", "own": False},
        ],
        "retryable": True,
    }
    state = {"status": "placed", "item": "slide rule", "quantity": 2}
    entries = [
        {"type": "activity_completed", "seq": 1, "name": "look_at_shelf", "result": {"left": 0}},
        {"type": "state_patched", "seq": 2, "patch": {"status": "placed"}},
        {"type": "message_sent", "seq": 3, "to": ORDER, "name": "reserve"},
        {"type": "turn_completed", "messageId": MESSAGE.id},
    ]
    found: dict[Ref, Any] = {
        MESSAGE: {
            "messageId": MESSAGE.id,
            "actorId": ORDER,
            "messageType": "reserve",
            "correlationId": RUN,
            "payload": PAYLOAD,
            "metadata": {"sentAt": START // 1_000, "sender": ORDER},
        },
        BEFORE: {"version": 7, "state": {"status": "new", "quantity": 2, "draft": True}},
        AFTER: {"version": 11, "state": state},
        PLACED: {"index": 7, "at": START // 1_000, "entries": entries},
        FAILED: {
            "index": 11,
            "at": START // 1_000,
            "entries": [{"type": "turn_failed", "attempt": 2, "error": error}],
        },
    }
    return {ref: Resolved(ref, Outcome.LOADED, value) for ref, value in found.items()}


def summaries() -> list[Summary]:
    """Return a trace of every status, with what a list shows of it."""
    rows = (
        (TraceStatus.RUNNING, "loan-approval", "LoanApproval/7", 43, 0, ("LoanApproval",)),
        (TraceStatus.COMPLETED, "order", "Order/41", 145, 0, ("Order", "Shipment")),
        (TraceStatus.RECOVERED, "order", "Order/40", 1_610, 2, ("Order", "Shipment")),
        (TraceStatus.FAILED, "order", ORDER, 404, 1, ("A", "B", "C", "D", "E", "Order", "Z")),
    )
    return [
        Summary(
            trace_id=TRACE_ID,
            status=status,
            root=root,
            root_actor=actor,
            correlation=RUN,
            started_ns=START + number * 7_000 * MS,
            ended_ns=START + number * 7_000 * MS + took * MS,
            events=18 + number,
            messages=3,
            pending=1 if status is TraceStatus.RUNNING else 0,
            errors=errors,
            dead_letters=1 if status is TraceStatus.FAILED else 0,
            retries=errors,
            actor_types=types,
            message_types=("place", "reserve"),
            error_types=("OutOfStock",) if errors else (),
            promoted_ns=None,
        )
        for number, (status, root, actor, took, errors, types) in enumerate(rows)
    ]
