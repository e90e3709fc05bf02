"""Recording in a process of its own: what is told is stored, whichever of the two ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import structs

from loomweb.config import RecordingConfig
from loomweb.recording import record_elsewhere
from storage.sqlite import Database, SqliteStore
from tests.builders import TRACE, event
from tests.cosmos_server import ROOT
from tracing import Event, Sampler, TraceReader, TraceWriter
from tracing import recorder_process as module
from tracing.containers import TRACE_EVENTS
from tracing.recorder_process import RecorderProcess


def config(folder: Path, *, flush_seconds: float = 0.05) -> RecordingConfig:
    return RecordingConfig(str(folder / "traces.db"), "NORMAL", None, None, flush_seconds, 60.0)


def recorder(folder: Path, *, flush_seconds: float = 0.05) -> RecorderProcess:
    found = record_elsewhere(config(folder, flush_seconds=flush_seconds)).recorder
    assert isinstance(found, RecorderProcess)
    return found


async def stored(folder: Path, trace: str = TRACE) -> list[Event]:
    """Return the events of a trace that are in the store."""
    store = SqliteStore(Database(folder / "traces.db"))
    try:
        found = await TraceReader(await store.container(TRACE_EVENTS)).get_trace(trace)
        return [] if found is None else found.events
    finally:
        await store.close()


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.01)


def messages(numbers: range) -> list[Event]:
    return [event("queue:enqueued", number, at=number) for number in numbers]


async def test_what_is_emitted_is_read_back_and_counted(tmp_path: Path) -> None:
    writer = TraceWriter(recorder(tmp_path))
    writer.start()
    events = messages(range(2_000))
    for each in events:
        writer.emit(each)
    await writer.flush()
    assert await stored(tmp_path) == events
    writer.emit(event("message:started", 1, at=5_000))
    await writer.close()
    assert len(await stored(tmp_path)) == 2_001
    stats = writer.stats()
    assert (stats.buffered, stats.events_written, stats.dropped) == (0, 2_001, {})
    assert stats.bytes_written > 0


async def test_a_writer_that_is_closed_at_once_has_stored_what_it_was_told(tmp_path: Path) -> None:
    writer = TraceWriter(recorder(tmp_path, flush_seconds=60.0))
    writer.start()
    writer.emit(event("queue:enqueued"))
    await writer.close()
    assert len(await stored(tmp_path)) == 1
    writer.emit(event("message:started"))
    assert writer.stats().dropped == {"shutdown": 1}


async def test_after_the_process_was_killed_another_one_records_and_the_loss_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.05)
    behind = recorder(tmp_path, flush_seconds=0.1)
    writer = TraceWriter(behind)
    writer.start()
    writer.emit(event("queue:enqueued", 1))
    await writer.flush()
    first = behind.pid
    assert first is not None
    os.kill(first, signal.SIGSTOP)  # so that it stores nothing of what it is told next
    lost = messages(range(10, 20))
    for each in lost:
        writer.emit(each)
    writer.hand_over()
    assert writer.stats().buffered == len(lost)
    os.kill(first, signal.SIGKILL)
    await until(lambda: behind.pid not in (None, first))
    later = event("message:started", 1, at=900)
    writer.emit(later)
    await writer.close()
    stats = writer.stats()
    assert (stats.events_written, stats.dropped) == (2, {"process": len(lost)})
    assert stats.buffered == 0
    assert [each.type for each in await stored(tmp_path)] == ["queue:enqueued", "message:started"]


TELLS_AND_DIES = """
import asyncio, os, signal, sys
from pathlib import Path
from tests.builders import event
from tests.tracing.test_recorder_process import recorder
from tracing import TraceWriter

async def main():
    writer = TraceWriter(recorder(Path(sys.argv[1]), flush_seconds=60.0))
    writer.start()
    for number in range(500):
        writer.emit(event("queue:enqueued", number, at=number))
    writer.hand_over()
    while writer._recorder._waiting:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_what_a_killed_process_had_told_is_stored_all_the_same(tmp_path: Path) -> None:
    """Nothing of it was stored when it was killed: it is written once a minute."""
    killed = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", TELLS_AND_DIES, str(tmp_path)], cwd=ROOT, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    async with asyncio.timeout(20):
        while len(await stored(tmp_path)) < 500:
            await asyncio.sleep(0.05)


async def test_without_a_process_events_wait_and_those_that_find_no_room_are_counted(
    tmp_path: Path,
) -> None:
    behind = RecorderProcess(("false",), b"", tmp_path, interval=0.01, max_buffered=100)
    writer = TraceWriter(behind)
    writer.start()
    await until(lambda: writer.stats().paused_seconds)
    for each in messages(range(150)):
        writer.emit(each)
    writer.hand_over()
    assert writer.stats().buffered == 100
    assert writer.stats().dropped == {"overflow": 50}
    await writer.close(timeout=0.1)
    assert writer.stats().dropped == {"overflow": 50, "shutdown": 100}
    assert not writer.has_room(1)


async def test_a_program_that_is_not_there_costs_no_more_than_the_traces(tmp_path: Path) -> None:
    behind = RecorderProcess(("no-such-program",), b"", tmp_path, interval=0.01)
    writer = TraceWriter(behind)
    writer.start()
    writer.emit(event("queue:enqueued"))
    await until(lambda: writer.stats().paused_seconds)
    await writer.close(timeout=0.1)
    assert writer.stats().dropped == {"shutdown": 1}


async def test_a_trace_that_is_promoted_there_is_sampled_here_from_then_on(tmp_path: Path) -> None:
    writer = TraceWriter(recorder(tmp_path), sampler=Sampler(0.0))
    writer.start()
    root = writer.create_root_trace()
    assert not root.sampled
    for type in ("queue:enqueued", "message:failed"):
        found = event(type, trace=root.trace_id, error_type="Boom", fingerprint="f")
        writer.emit(structs.replace(found, sampled=False))
    await until(lambda: writer.create_child_span(root).sampled)
    other = writer.create_root_trace()
    assert not writer.create_child_span(other).sampled
    await writer.close()
    assert len(await stored(tmp_path, root.trace_id)) == 2


async def test_a_process_that_cannot_open_its_store_loses_nothing_that_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.05)
    file = tmp_path / "traces.db"
    file.mkdir()
    writer = TraceWriter(recorder(tmp_path))
    writer.start()
    writer.emit(event("queue:enqueued"))
    await until(lambda: writer.stats().paused_seconds)
    file.rmdir()
    await writer.flush()
    await writer.close()
    assert (writer.stats().events_written, writer.stats().dropped) == (1, {})
    assert len(await stored(tmp_path)) == 1


async def test_values_that_no_event_should_have_cost_those_events_alone(tmp_path: Path) -> None:
    writer = TraceWriter(recorder(tmp_path))
    writer.start()
    good, vast, next_to_it, wrong = messages(range(4))
    await writer.flush()
    writer.emit(good)
    writer.emit(structs.replace(vast, duration_ns=1 << 80))  # does not go into a frame
    writer.emit(next_to_it)
    await writer.flush()
    writer.emit(structs.replace(wrong, attempt="two"))  # is refused where it arrives
    await writer.close()
    stats = writer.stats()
    assert (stats.events_written, stats.dropped) == (2, {"rejected": 2})
    assert await stored(tmp_path) == [good, next_to_it]
