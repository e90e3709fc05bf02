"""W3C Trace Context: what is accepted, what is refused, what is passed on."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.memory import MemoryContainer
from tests.builders import trace_writer
from tracing import TraceContext, TraceWriter
from tracing.containers import TRACE_EVENTS

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def writer() -> TraceWriter:
    return trace_writer(MemoryContainer(TRACE_EVENTS))


def test_a_caller_is_continued_and_passed_on(writer: TraceWriter) -> None:
    caller = TraceContext.from_traceparent(f"00-{TRACE}-{SPAN}-01")
    assert caller == TraceContext(TRACE, SPAN, None, True)
    child = writer.create_child_span(caller)
    assert (child.trace_id, child.parent_span_id, child.sampled) == (TRACE, SPAN, True)
    assert child.traceparent() == f"00-{TRACE}-{child.span_id}-01"


def test_the_ids_of_traces_are_in_the_order_of_their_beginnings() -> None:
    millisecond = 1_000_000
    ticks = count(1_800_000_000_000 * millisecond, millisecond)
    writer = trace_writer(MemoryContainer(TRACE_EVENTS), clock=lambda: next(ticks))
    ids = [writer.create_root_trace().trace_id for _ in range(1_000)]
    assert ids == sorted(ids)
    assert int(ids[0][:12], 16) in range(1_800_000_000_000, 1_800_000_000_100)
    assert {len(id) for id in ids} == {32}


def test_traces_that_begin_together_have_ids_of_their_own() -> None:
    writer = trace_writer(MemoryContainer(TRACE_EVENTS), clock=lambda: 1_800_000_000 * 10**9)
    traces = [writer.create_root_trace() for _ in range(1_000)]
    assert len({trace.trace_id for trace in traces}) == 1_000
    assert len({trace.span_id for trace in traces}) == 1_000


def test_the_sampled_flag_is_read_and_inherited(writer: TraceWriter) -> None:
    caller = TraceContext.from_traceparent(f"00-{TRACE}-{SPAN}-00")
    assert caller is not None
    assert not writer.create_child_span(caller).sampled
    assert caller.traceparent().endswith("-00")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "garbage",
        f"00-{TRACE}-{SPAN}",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-0g",
    ],
)
def test_a_malformed_header_starts_a_trace_of_its_own(header: str) -> None:
    assert TraceContext.from_traceparent(header) is None


def test_a_later_version_may_carry_more() -> None:
    assert TraceContext.from_traceparent(f"cc-{TRACE}-{SPAN}-01-what-comes") is not None


@given(st.text(max_size=80))
def test_no_header_raises(header: str) -> None:
    TraceContext.from_traceparent(header)


@pytest.mark.parametrize("sampled", [True, False])
def test_what_is_passed_on_can_be_read(writer: TraceWriter, sampled: bool) -> None:
    root = writer.create_root_trace(sampled=sampled)
    assert TraceContext.from_traceparent(root.traceparent()) == root
