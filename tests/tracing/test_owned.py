"""Documents of one writer, and what the writer does when the store behaves strangely."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from storage import DocumentTooLarge, NotFound, Unavailable
from storage.memory import MemoryContainer
from tests.builders import TRACE, event, trace_writer
from tracing import TraceReader
from tracing.containers import SUMMARY, TRACE_EVENTS
from tracing.owned import OwnedDocument
from tracing.sink import TraceSink
from tracing.spanlog import logs_of


def body(number: int) -> dict[str, Any]:
    return {"id": "own", "trace_id": "own", "n": number}


async def test_a_write_that_arrives_late_does_not_undo_a_newer_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    container = MemoryContainer(TRACE_EVENTS)
    document = OwnedDocument(container, "own", "own")
    await document.write(body(1))
    late: list[tuple[Any, str]] = []
    replace = container.replace

    async def slow(new: Any, *, if_etag: str) -> Any:
        late.append((new, if_etag))
        raise Unavailable("no answer in time")

    monkeypatch.setattr(container, "replace", slow)
    with pytest.raises(Unavailable):
        await document.write(body(2))
    monkeypatch.undo()
    await document.write(body(3))
    ((new, etag),) = late
    with pytest.raises(Exception, match="has changed"):
        await replace(new, if_etag=etag)
    assert (await container.read("own", "own")).body["n"] == 3


async def test_it_goes_on_after_an_unclear_answer_an_expiry_and_a_removal() -> None:
    container = MemoryContainer(TRACE_EVENTS)
    await container.create(body(0))
    document = OwnedDocument(container, "own", "own")
    await document.write(body(1))
    await container.delete("own", "own")
    await document.write(body(2))
    await document.remove()
    await document.remove()
    with pytest.raises(NotFound):
        await container.read("own", "own")
    await document.write(body(3))
    assert (await container.read("own", "own")).body["n"] == 3


class Picky(MemoryContainer):
    """Refuses summaries in some way until it is told not to."""

    def __init__(self, refusal: type[Exception]) -> None:
        super().__init__(TRACE_EVENTS)
        self.refusal: type[Exception] | None = refusal
        self.refused = 0

    async def create(self, new: Any) -> Any:
        if new.get("k") == SUMMARY and self.refusal is not None:
            self.refused += 1
            raise self.refusal("no")
        return await super().create(new)


async def test_a_refused_summary_is_made_good_by_the_next_one() -> None:
    container = Picky(DocumentTooLarge)
    sink = TraceSink(container, writer="w")
    await sink.store(sink.batch(logs_of([event("queue:enqueued", 1)])))
    container.refusal = None
    await sink.store(sink.batch(logs_of([event("message:completed", 1, at=5)])))
    trace = await TraceReader(container).get_trace(TRACE)
    assert trace is not None
    assert (await TraceReader(container).find_traces()).traces == [trace.summary]
    assert trace.summary.events == 2


async def test_a_container_that_is_gone_is_waited_for_and_not_asked_without_end() -> None:
    container = Picky(NotFound)
    sink = TraceSink(container, writer="w")
    with pytest.raises(Unavailable):
        await sink.store(sink.batch(logs_of([event("queue:enqueued", 1)])))
    assert container.refused == 1


async def test_after_closing_what_was_lost_is_counted_once_and_nothing_more_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    container = MemoryContainer(TRACE_EVENTS)

    async def down(*_: Any, **__: Any) -> Any:
        raise Unavailable("down")

    monkeypatch.setattr(container, "create", down)
    writer = trace_writer(container)
    writer.emit(event("queue:enqueued"))
    for _ in range(2):
        await writer.close(timeout=0.05)
    writer.emit(event("message:started"))
    stats = writer.stats()
    assert (stats.buffered, stats.dropped) == (0, {"shutdown": 2})


async def test_threads_that_emit_while_events_are_sorted_do_not_exceed_the_bound() -> None:
    writer = trace_writer(MemoryContainer(TRACE_EVENTS), max_buffered=2_000)
    going, most = threading.Event(), 0

    def emit() -> None:
        while not going.is_set():
            writer.emit(event("message:started"))

    threads = [threading.Thread(target=emit) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(200):
        writer.hand_over()
        most = max(most, writer.stats().buffered)
    going.set()
    for thread in threads:
        thread.join()
    # A thread that has passed the check when the others fill the room adds one each.
    assert most <= 2_000 + len(threads)
