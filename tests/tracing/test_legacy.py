"""Traces of the reference system, one document per event, are read as far as they can be."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from storage.memory import MemoryContainer
from tests.builders import TRACE, event
from tracing import Event, Ref, RefKind, Trace, TraceReader, TraceReconstructor, TraceStatus
from tracing.build import build_tree
from tracing.containers import TRACE_EVENTS
from tracing.legacy import decode, is_legacy
from tracing.registry import REGISTRY
from tracing.resolve import Resolvers
from tracing.sink import TraceSink
from tracing.spanlog import logs_of
from tracing.templatetags.loom import clock, duration, when
from tracing.waterfall import lay_out
from tracing.words import sentence

NS = 1_000_000_000
MOMENT = datetime(2026, 11, 24, 10, 30, 15, 250_000, UTC)
AT = 1_795_516_215_250_000_000
"""The same instant, nanoseconds since the epoch."""
SECRET = "ada@example.com"


def legacy(
    type: Any = "message:started", span: int = 1, at: int = 0, **more: Any
) -> dict[str, Any]:
    """Return a document of the reference system, `at` milliseconds after a fixed instant."""
    return {
        "id": f"{type}-{span}-{at}",
        "trace_id": TRACE,
        "span_id": f"{span:016x}",
        "parent_span_id": None,
        "event_type": type,
        "timestamp": (MOMENT + timedelta(milliseconds=at)).isoformat(),
        "status": "ok",
        "refs": {},
        "metadata": {"actor_id": "Order/1", "message_type": "place", "attempt": 1},
        "tags": {},
        **more,
    }


def decoded(**more: Any) -> Event:
    found = decode(legacy(**more))
    assert found is not None
    return found


async def read(*bodies: dict[str, Any], ours: list[Event] | None = None) -> Trace | None:
    """Store documents, and perhaps events of our own, and read the trace."""
    container = MemoryContainer(TRACE_EVENTS)
    for body in bodies:
        await container.create(body)
    if ours:
        sink = TraceSink(container, writer="w")
        await sink.store(sink.batch(logs_of(ours)))
    return await TraceReader(container).get_trace(TRACE)


RUN = (
    legacy("workflow:started", 1, 0, metadata={"workflow": "order"}),
    legacy("queue:enqueued", 2, 1, parent_span_id=f"{1:016x}"),
    legacy("message:started", 2, 5, parent_span_id=f"{1:016x}"),
    legacy("activity:started", 3, 6, parent_span_id=f"{2:016x}", metadata={"activity": "charge"}),
    legacy("activity:completed", 3, 8, parent_span_id=f"{2:016x}", metadata={"activity": "charge"}),
    legacy("message:completed", 2, 9, parent_span_id=f"{1:016x}"),
    legacy("workflow:completed", 1, 9, metadata={"workflow": "order"}),
)


# A trace


async def test_a_trace_of_one_document_per_event_is_read_in_order_of_time() -> None:
    trace = await read(*reversed(RUN))
    assert trace is not None
    assert [each.type for each in trace.events] == [body["event_type"] for body in RUN]
    assert trace.notices == []
    summary = trace.summary
    assert (summary.status, summary.root) == (TraceStatus.COMPLETED, "order")
    assert (summary.events, summary.messages, summary.pending) == (7, 1, 0)
    assert (summary.started_ns, summary.duration_ns) == (AT, 9_000_000)
    assert summary.actor_types == ("Order",)
    assert trace.stored_bytes > 0


async def test_its_tree_is_built() -> None:
    container = MemoryContainer(TRACE_EVENTS)
    for body in RUN:
        await container.create(body)
    tree = await TraceReconstructor(TraceReader(container), Resolvers({})).reconstruct(TRACE)
    assert tree is not None
    assert [(span.name, span.kind.value, span.depth) for span in tree.spans] == [
        ("order", "workflow", 0),
        ("place", "message", 1),
        ("charge", "activity", 2),
    ]
    assert tree.notices == []
    assert [row.name for row in lay_out(tree).rows] == ["order", "place", "charge"]


async def test_it_may_share_its_partition_with_segments() -> None:
    ours = [
        event("message:started", 4, parent=2, at=0, name="reserve"),
        event("message:completed", 4, parent=2, at=3, name="reserve"),
    ]
    ours = [replace(each, time_ns=AT + 6_000_000 + number) for number, each in enumerate(ours)]
    trace = await read(*RUN, ours=ours)
    assert trace is not None
    assert trace.summary.events == 9
    assert trace.events[4:6] == ours
    tree = build_tree(trace)
    assert [(span.name, span.depth) for span in tree.spans] == [
        ("order", 0),
        ("place", 1),
        ("charge", 2),
        ("reserve", 2),
    ]
    assert tree.notices == []


async def test_its_failures_and_its_types_can_be_asked_for() -> None:
    failed = legacy("message:failed", 2, 7, status="error", metadata={"error_type": "Boom"})
    container = MemoryContainer(TRACE_EVENTS)
    for body in (*RUN, failed):
        await container.create(body)
    reader = TraceReader(container)
    (failure,) = await reader.get_failures(TRACE)
    assert (failure.type, failure.error_type) == ("message:failed", "Boom")
    assert len(await reader.get_events_by_type(TRACE, "message:started")) == 1
    trace = await reader.get_trace(TRACE)
    assert trace is not None
    assert trace.summary.status is TraceStatus.RECOVERED
    assert trace.summary.error_types == ("Boom",)


async def test_what_is_not_known_is_counted_in_a_notice() -> None:
    unknown = [
        legacy("message:teleported", 5),
        legacy("", 6),
        legacy(None, 7),
        legacy(at=1, timestamp="yesterday"),
        legacy(at=2, span_id=None),
    ]
    trace = await read(*RUN, *unknown)
    assert trace is not None
    assert len(trace.events) == len(RUN)
    assert trace.notices == ["5 events are of types that this version does not know"]


async def test_a_trace_of_which_nothing_is_known_is_none() -> None:
    assert await read(legacy("message:teleported")) is None


async def test_what_was_recorded_twice_is_shown_once() -> None:
    trace = await read(*RUN, {**RUN[2], "id": "again"})
    assert trace is not None
    assert len(trace.events) == len(RUN)
    assert trace.notices == ["1 event was recorded twice; shown once"]


def test_our_own_documents_are_not_taken_for_the_reference_systems() -> None:
    assert is_legacy(legacy())
    assert not is_legacy({**legacy(), "k": "g"})
    assert not is_legacy({"id": "intent-w", "trace_id": "intent-w"})


# Times


@pytest.mark.parametrize(
    "timestamp",
    [
        "2026-11-24T10:30:15.25Z",
        "2026-11-24T10:30:15.250000",
        "2026-11-24 10:30:15.250",
        "2026-11-24T10:30:15.250000000Z",
        "2026-11-24T10:30:15.250+00:00",
        "2026-11-24T12:30:15.250+02:00",
        "2026-11-24T05:00:15.250-05:30",
        "20261124T103015.250Z",
        AT // 10**6 / 1_000,
        AT // 10**6,
        float(AT // 10**6),
        AT // 10**3,
        AT,
    ],
)
def test_a_time_is_read_from_any_usual_form(timestamp: object) -> None:
    assert decoded(timestamp=timestamp).time_ns == AT


@pytest.mark.parametrize("unit", [1, 10**3, 10**6, 10**9])
@pytest.mark.parametrize("year", [2005, 2026, 2060])
def test_a_number_is_taken_in_the_unit_that_makes_it_a_time_of_these_decades(
    year: int, unit: int
) -> None:
    seconds = int(datetime(year, 6, 1, tzinfo=UTC).timestamp())
    assert decoded(timestamp=seconds * unit).time_ns == seconds * NS


@given(st.integers(1, 10**16), st.none() | st.integers(-14 * 60, 14 * 60))
def test_iso_times_keep_their_microseconds(microseconds: int, offset: int | None) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    if offset is None:
        written = moment.replace(tzinfo=None).isoformat()
    else:
        written = moment.astimezone(timezone(timedelta(minutes=offset))).isoformat()
    assert decoded(timestamp=written).time_ns == microseconds * 1_000


@given(st.integers(10**15, 4 * 10**15), st.sampled_from([1_000, 1_000_000]))
def test_a_fraction_of_a_number_keeps_its_microseconds(microseconds: int, unit: int) -> None:
    assert decoded(timestamp=microseconds / unit).time_ns == microseconds * 1_000


@pytest.mark.parametrize(
    "timestamp",
    [
        *(None, "", "now", "2026-13-01T00:00:00", "1795516215", True, False, [], {}, [AT]),
        *(0, -1, -1.5, 1e300, 10**30),
        *("0001-01-01T00:00:00", "0001-01-01T00:00:00+14:00", "1969-12-31T23:59:59Z"),
        "9999-12-31T23:59:59-14:00",
    ],
)
def test_what_is_no_time_that_can_be_shown_is_not_read(timestamp: object) -> None:
    assert decode(legacy(timestamp=timestamp)) is None


# What an event says


@pytest.mark.parametrize(
    ("metadata", "actor"),
    [
        ({"actor_id": "Order/1"}, "Order/1"),
        ({"actor": "Order/1"}, "Order/1"),
        ({"actor_id": "1", "actor_type": "Order"}, "Order/1"),
        ({"actor_id": "Order/1", "actor_type": "Order"}, "Order/1"),
        ({"actor_type": "Order"}, "Order"),
        ({"actor_id": 7}, None),
        ({}, None),
        (None, None),
        ([], None),
    ],
)
def test_an_actor_is_read_with_its_type(metadata: object, actor: str | None) -> None:
    assert decoded(metadata=metadata).actor == actor


@pytest.mark.parametrize(
    ("metadata", "nanoseconds"),
    [
        ({"duration_ns": 1_500}, 1_500),
        ({"duration_us": 1_500}, 1_500_000),
        ({"duration_ms": 1.5}, 1_500_000),
        ({"duration_ms": 0}, 0),
        ({"duration_ms": -1}, None),
        ({"duration_ms": "1"}, None),
        ({"duration_ms": True}, None),
        ({"duration_ms": 1e12}, 10**18),
        ({"duration_ms": 2.0**52}, None),
        ({}, None),
    ],
)
def test_a_duration_is_read_in_its_unit(metadata: object, nanoseconds: int | None) -> None:
    assert decoded(metadata=metadata).duration_ns == nanoseconds


async def test_a_span_that_is_told_of_when_it_ends_begins_after_the_epoch() -> None:
    for milliseconds in (1, 1e12, 2.0**52):
        request = legacy("http:request", metadata={"duration_ms": milliseconds})
        trace = await read(request)
        assert trace is not None
        (span,) = build_tree(trace).spans
        assert clock(span.start_ns) <= clock(AT)


@pytest.mark.parametrize(
    ("attempt", "number"),
    [(2, 2), (2.0, 2), (0, 0), (-1, 0), ("2", 0), (None, 0), (True, 0), (1e300, 0)],
)
def test_an_attempt_is_a_number_or_none(attempt: object, number: int) -> None:
    assert decoded(metadata={"attempt": attempt}).attempt == number


def test_a_failure_has_an_error_type_even_if_none_is_named() -> None:
    assert decoded(status="error").error_type == "error"
    assert decoded(status="failed", metadata={"error_type": "Boom"}).error_type == "Boom"
    assert decoded(status="ok").error_type is None
    assert decoded(status=["error"]).error_type is None


def test_names_are_bounded() -> None:
    found = decoded(metadata={"message_type": "x" * 10_000, "error_type": "y" * 10_000})
    assert found.name == "x" * 200
    assert found.error_type == "y" * 200


PARTITIONED = {"partition": "p", "id": "i"}


@pytest.mark.parametrize(
    ("refs", "expected"),
    [
        ({"message": PARTITIONED}, [Ref(RefKind.MESSAGE, "p", "i")]),
        ({"message": [PARTITIONED]}, [Ref(RefKind.MESSAGE, "p", "i")]),
        (
            {"message": [PARTITIONED, {"partition": "p", "id": "j"}]},
            [Ref(RefKind.MESSAGE, "p", "i"), Ref(RefKind.MESSAGE, "p", "j")],
        ),
        ([{"kind": "message", **PARTITIONED}], [Ref(RefKind.MESSAGE, "p", "i")]),
        ([{"type": "message", **PARTITIONED}], [Ref(RefKind.MESSAGE, "p", "i")]),
        (
            {"message": {"correlation_id": "c", "message_id": "m"}},
            [Ref(RefKind.MESSAGE, "c", "m")],
        ),
        ({"message": {"correlationId": "c", "messageId": "m"}}, [Ref(RefKind.MESSAGE, "c", "m")]),
        (
            {"actor_state": {"actor_id": "Order/1", "version": 0}},
            [Ref(RefKind.ACTOR_STATE, "Order/1", "0")],
        ),
        (
            {"journal_entry": {"actor_id": "Order/1", "index": 4, "count": 2}},
            [Ref(RefKind.JOURNAL_ENTRY, "Order/1", "4:2")],
        ),
        (
            {"journal_entry": {"actor_id": "Order/1", "journal_index": 4}},
            [Ref(RefKind.JOURNAL_ENTRY, "Order/1", "4:1")],
        ),
        (
            {"journal_entry": {"partition": "Order/1", "id": "4:3"}},
            [Ref(RefKind.JOURNAL_ENTRY, "Order/1", "4:3")],
        ),
        (
            {"document": {"partition_key": "p", "document_id": "d", "container": "c"}},
            [Ref(RefKind.DOCUMENT, "p", "c/d")],
        ),
        ({"document": PARTITIONED}, [Ref(RefKind.DOCUMENT, "p", "i")]),
        ({"blob": {"partition": "b", "name": "n"}}, [Ref(RefKind.BLOB, "b", "n")]),
        (
            {"idempotency": {"actor_id": "Order/1", "key": "k"}},
            [Ref(RefKind.IDEMPOTENCY, "Order/1", "k")],
        ),
        (
            [{"kind": "message", **PARTITIONED}, {"kind": "blob", "partition": "b", "id": "n"}],
            [Ref(RefKind.MESSAGE, "p", "i"), Ref(RefKind.BLOB, "b", "n")],
        ),
        *(
            (refs, [])
            for refs in (
                *(None, "message", 7, [], {}, [[]], ["message"], [{}], {"message": None}),
                *({"message": "m"}, {"message": {"id": "i"}}, {"message": {"partition": "p"}}),
                *({"message": {"partition": "", "id": "i"}}, {"letter": PARTITIONED}),
                *([PARTITIONED], [{"kind": ["message"], **PARTITIONED}], {"message": [[], 1]}),
            )
        ),
    ],
)
def test_references_are_read_from_mappings_and_lists(refs: object, expected: list[Ref]) -> None:
    assert list(decoded(refs=refs).refs) == expected


async def test_tags_and_texts_of_errors_are_never_shown() -> None:
    body = legacy(
        "message:failed",
        status="error",
        tags={"customer": SECRET, "deep": [{"mail": SECRET}]},
        error=SECRET,
        error_message=SECRET,
        stack=[SECRET],
        payload={"mail": SECRET},
        refs={"message": {**PARTITIONED, "payload": SECRET}},
        metadata={
            "actor_id": "Order/1",
            "error": SECRET,
            "error_message": SECRET,
            "exception": {"text": SECRET},
            "payload": SECRET,
            "duration_ms": SECRET,
        },
    )
    trace = await read(body)
    assert trace is not None
    tree = build_tree(trace)
    for shown in (trace, tree, lay_out(tree), sentence(tree)):
        assert SECRET not in repr(shown)


# Anything at all


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
TIMES = (
    st.datetimes(timezones=st.none() | st.timezones() | st.just(UTC)).map(datetime.isoformat)
    | st.integers(-(10**6), 10**21)
    | st.floats(0, 1e21)
    | st.sampled_from(["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-14:00"])
)
NUMBERS = st.integers(0, 2**54) | st.floats(0, 2.0**54)


def mostly(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return what is as it should be, or anything."""
    return st.one_of(strategy, strategy, strategy, JSON)


def some_of(names: tuple[str, ...], values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(st.sampled_from(names), values, max_size=4)


SPAN_IDS = st.integers(0, 4).map(lambda number: f"{number:016x}")
POINTERS = some_of(
    ("partition", "actor_id", "id", "version", "index", "count", "container", "name", "key"),
    mostly(st.text(max_size=5)),
)
KINDS = tuple(kind.value for kind in RefKind)
BODIES = st.fixed_dictionaries(
    {
        "id": st.uuids().map(str),
        "trace_id": st.just(TRACE),
        "event_type": mostly(st.sampled_from(sorted(REGISTRY))),
    },
    optional={
        "span_id": mostly(SPAN_IDS),
        "parent_span_id": mostly(SPAN_IDS),
        "timestamp": mostly(TIMES),
        "status": mostly(st.sampled_from(["ok", "error"])),
        "refs": mostly(
            some_of(KINDS, mostly(POINTERS))
            | st.lists(POINTERS.map(lambda found: {"kind": "journal_entry", **found}), max_size=3)
        ),
        "metadata": mostly(
            some_of(
                ("actor_id", "actor_type", "name", "message_type", "error_type", "fingerprint"),
                mostly(st.text(max_size=5)),
            )
            | some_of(("attempt", "duration_ns", "duration_us", "duration_ms"), mostly(NUMBERS))
        ),
        "tags": JSON,
        "error": JSON,
    },
)


@settings(deadline=None, max_examples=120)
@given(st.lists(BODIES, max_size=6))
def test_no_document_keeps_the_others_from_being_read_and_shown(
    bodies: list[dict[str, Any]],
) -> None:
    trace = asyncio.run(read(*RUN, *bodies))
    assert trace is not None
    known = [found for body in bodies if (found := decode(body)) is not None]
    assert set(trace.events) == {*known, *(each for body in RUN if (each := decode(body)))}
    tree = build_tree(trace)
    assert sum(len(span.events) for span in tree.spans) == len(trace.events)
    for row in lay_out(tree).rows:
        assert duration(row.duration_ns)
    assert sentence(tree)
    for each in trace.events:
        assert clock(each.time_ns)
        assert duration(each.duration_ns)
        assert all(isinstance(ref.id, str) and isinstance(ref.partition, str) for ref in each.refs)
    for span in tree.spans:
        assert clock(span.start_ns)
        assert when(span.end_ns or span.last_ns)
    assert when(trace.summary.started_ns)


@given(st.dictionaries(st.text(max_size=12), JSON, max_size=6), JSON)
def test_no_json_object_raises(body: dict[str, Any], event_type: object) -> None:
    body = {"trace_id": TRACE, **body, "event_type": event_type}
    assert is_legacy(body) == ("k" not in body)
    decode(body)
