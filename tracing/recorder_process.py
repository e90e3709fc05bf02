"""Recording in a process of its own, so that what is traced pays for telling and for nothing else.

Sorting, packing and storing an event costs several times what telling it costs, and Python does
one thing at a time in a process. `RecorderProcess` is the end that the traced process holds;
`serve` is the other one, with a `StoreRecorder` behind it. Between them is a socket: what was
written into it is recorded even when the process that wrote it is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import subprocess
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from storage import Usage
from tracing.draft import Telling
from tracing.hold import Promoted
from tracing.otlp.export import ExportStats
from tracing.recorder import MAX_BUFFERED
from tracing.recording import NOTHING_WRITTEN, Recorder, WriterStats

logger = logging.getLogger(__name__)

REPORT_SECONDS = 0.2
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds before a process that ended is replaced; doubled each time."""
LAST_WORDS_SECONDS = 2.0
"""How long a process that was told to close may take beyond what it was given for that."""
CLOSE_SECONDS = 10.0
"""How long a process whose parent is gone goes on storing what it has."""
READ_AHEAD = 1 << 20
"""Bytes that the recording process reads before it looks at them."""
_PREFIX = 4


class Told(msgspec.Struct, tag="told", array_like=True):
    """Says that the next frame is so many events to record.

    That is a frame of its own so that what is wrong with it does not hide how many they are, and so
    that it is not copied.
    """

    events: int


class Flush(msgspec.Struct, tag="flush", array_like=True):
    """Asks for a report with this number when all that was told before is stored."""

    number: int


class Close(msgspec.Struct, tag="close", array_like=True):
    """Asks to store what there is within so many seconds, to report, and to end."""

    seconds: float


class Report(msgspec.Struct, array_like=True):
    """What the recording process tells now and then. Counts are since its start.

    Attributes:
        taken: events that arrived.
        flushed: the number of the latest flush that is done.
        promoted: unsampled traces kept for a failure, those not reported before.
    """

    taken: int
    flushed: int
    stats: WriterStats
    usage: Usage
    exported: ExportStats | None
    promoted: list[str]


_SILENCE = Report(0, 0, NOTHING_WRITTEN, Usage({}, {}), None, [])
_encoder = msgspec.msgpack.Encoder()
_encode = _encoder.encode
_requests = msgspec.msgpack.Decoder(Told | Flush | Close)
_reports = msgspec.msgpack.Decoder(Report)
_told = msgspec.msgpack.Decoder(list[list[Telling]])
_ARRAY_32 = b"\xdd"
"""Begins an array in MessagePack whose length follows in 32 bits."""


def _frame(message: Told | Flush | Close | Report) -> bytes:
    body = _encoder.encode(message)
    return _prefix(body) + body


def _prefix(body: bytes) -> bytes:
    return len(body).to_bytes(_PREFIX, "big")


async def _next_frame(reader: asyncio.StreamReader) -> bytes | None:
    """Return the next frame's body, or None when the other end is gone."""
    try:
        prefix = await reader.readexactly(_PREFIX)
        return await reader.readexactly(int.from_bytes(prefix, "big"))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


class Frame:
    """What was told, encoded as it comes in."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def extend(self, told: Sequence[Telling]) -> None:
        self._parts.append(_encode(told))

    def closed(self) -> bytes:
        """Return the frame's body: an array of arrays of what was told."""
        number = len(self._parts).to_bytes(4, "big")
        return b"".join((_ARRAY_32, number, *self._parts))


class RecorderProcess:
    """A recorder that records in a child process, and starts it again when it ends.

    What was told to a process that ended and is not reported as stored counts as lost; what comes
    while there is none waits.

    Args:
        command: starts the process; its standard input is the socket.
        settings: what it is told first, for `first_settings`.
        folder: where the command is run.
        interval: seconds between two frames.
        max_buffered: events that it holds at most, those on the way included.
    """

    def __init__(
        self,
        command: Sequence[str],
        settings: bytes,
        folder: Path,
        *,
        interval: float,
        max_buffered: int = MAX_BUFFERED,
    ) -> None:
        self._command = command
        self._settings = settings
        self._folder = folder
        self.interval = interval
        self._max_buffered = self.room = max_buffered
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: asyncio.StreamWriter | None = None
        self._out: asyncio.StreamWriter | None = None
        """The connection, once the process has reported that it records."""
        self._begun = asyncio.Event()
        self._waiting: list[tuple[bytes, int]] = []
        self._waiting_events = self._given = 0
        self._report = _SILENCE
        self._before = NOTHING_WRITTEN
        self._promoted = Promoted()
        self._flushes = 0
        self._reported = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._failures = 0
        self._retry_at = 0.0

    def box(self) -> Frame:
        return Frame()

    def put(self, box: Frame, events: int) -> None:
        told = box.closed()
        if self._out is None:
            self._waiting.append((told, events))
            self._waiting_events += events
        else:
            self._send(self._out, told, events)
        self._make_room()

    def reject(self, events: int, error: Exception) -> None:
        logger.warning("%d trace events were rejected (%s)", events, type(error).__name__)
        self._before = self._before.without("rejected", events)

    def is_promoted(self, trace_id: str) -> bool:
        return trace_id in self._promoted

    def stats(self) -> WriterStats:
        """Return the counters of all processes so far; what is on the way counts as buffered."""
        now = self._report.stats
        return replace(
            self._before + now,
            buffered=self._on_the_way + now.buffered,
            paused_seconds=max(now.paused_seconds, self._retry_at - time.monotonic()),
        )

    @property
    def usage(self) -> Usage:
        """What the process that runs has asked of the store."""
        return self._report.usage

    @property
    def exported(self) -> ExportStats | None:
        """What the process that runs has exported; None when it exports nothing."""
        return self._report.exported

    @property
    def pid(self) -> int | None:
        """The process that runs, or None."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        self._task = asyncio.create_task(self._keep(), name="trace recorder process")

    async def flush(self) -> None:
        self._flushes += 1
        wanted = self._flushes
        if self._out is not None:
            self._out.write(_frame(Flush(wanted)))
        while self._report.flushed < wanted and not self._closing:
            self._reported.clear()
            await self._reported.wait()

    async def close(self, *, timeout: float) -> None:
        if self._task is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout + LAST_WORDS_SECONDS):
                    if self._waiting:
                        await self._begun.wait()
                    self._closing = True
                    if self._out is not None:
                        self._out.write(_frame(Close(timeout)))
                        # It ends with the process, after the last report.
                        await asyncio.shield(self._task)
            self._closing = True
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._end()
        self._before = self._before.without("shutdown", self._waiting_events)
        self._waiting, self._waiting_events, self._max_buffered = [], 0, 0
        self._make_room()
        self._reported.set()

    async def _keep(self) -> None:
        """Have a process as long as there is something to record."""
        while not self._closing:
            try:
                reader, out = await self._begin()
                while (body := await _next_frame(reader)) is not None:
                    self._take(_reports.decode(body))
                    if self._out is None:
                        self._tell_what_waits(out)
            except (OSError, msgspec.MsgspecError) as error:
                logger.warning("the process that records traces failed (%s)", error)
            await self._end()
            if not self._closing:
                pause = min(FIRST_PAUSE * 2**self._failures, LONGEST_PAUSE)
                self._failures += 1
                self._retry_at = time.monotonic() + pause
                await asyncio.sleep(pause)

    async def _begin(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Start a process. It gets nothing to record before its first report: it may fail."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = await asyncio.to_thread(self._spawn, theirs)
            except BaseException:
                ours.close()
                raise
        reader, self._connection = await asyncio.open_connection(sock=ours)
        self._connection.write(_prefix(self._settings) + self._settings)
        return reader, self._connection

    def _tell_what_waits(self, out: asyncio.StreamWriter) -> None:
        self._out = out
        waiting, self._waiting, self._waiting_events = self._waiting, [], 0
        for told, events in waiting:
            self._send(out, told, events)
        if self._flushes:
            out.write(_frame(Flush(self._flushes)))
        self._begun.set()

    def _spawn(self, theirs: socket.socket) -> subprocess.Popen[bytes]:
        # In a session of its own: Ctrl-C and a terminal that closes end the one that it records
        # for, and the end of that one ends it.
        return subprocess.Popen(  # noqa: S603
            self._command,
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            cwd=self._folder,
            start_new_session=True,
        )

    async def _end(self) -> None:
        """Bury the process, and add up what it had done."""
        process, self._process, self._out = self._process, None, None
        self._begun.clear()
        if self._connection is not None:
            self._connection.transport.abort()
            self._connection = None
        if process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(process.wait, LAST_WORDS_SECONDS)
            if process.poll() is None:
                process.kill()
                await asyncio.to_thread(process.wait)
        done = self._report.stats
        lost = self._given - done.events_written - done.unsampled - sum(done.dropped.values())
        if lost > 0:
            logger.warning("the process that records traces ended; it had %d events", lost)
        reason = "shutdown" if self._closing else "process"
        self._before = (self._before + done).without(reason, max(0, lost))
        self._given, self._report = 0, _SILENCE
        self._make_room()

    def _send(self, out: asyncio.StreamWriter, told: bytes, events: int) -> None:
        self._given += events
        out.write(_frame(Told(events)) + _prefix(told))
        out.write(told)

    def _take(self, report: Report) -> None:
        self._report = report
        self._failures = 0
        for trace_id in report.promoted:
            self._promoted.add(trace_id)
        self._make_room()
        self._reported.set()

    @property
    def _on_the_way(self) -> int:
        return self._waiting_events + self._given - self._report.taken

    def _make_room(self) -> None:
        now = self._report.stats
        self.room = self._max_buffered - self._on_the_way - now.buffered - now.held


def first_settings(connection: socket.socket) -> bytes:
    """Return what the parent tells first; blocks until it has.

    Raises:
        EOFError: the parent is gone.
    """
    size = int.from_bytes(_exactly(connection, _PREFIX), "big")
    return _exactly(connection, size)


def _exactly(connection: socket.socket, size: int) -> bytes:
    found = connection.recv(size, socket.MSG_WAITALL)
    if len(found) < size:
        raise EOFError("whoever started this process is gone")
    return found


async def serve(
    connection: socket.socket,
    recorder: Recorder[list[Telling]],
    promoted: deque[str],
    usage: Callable[[], Usage],
    exported: Callable[[], ExportStats | None],
) -> None:
    """Record what comes over the connection until it ends, then close the recorder.

    Args:
        promoted: where the recorder puts the traces that it promotes.
        usage: returns what was asked of the store, `exported` what was sent elsewhere.
    """
    reader, out = await asyncio.open_connection(sock=connection, limit=READ_AHEAD)
    taken = flushed = 0

    def report() -> None:
        fresh = [promoted.popleft() for _ in range(len(promoted))]
        out.write(_frame(Report(taken, flushed, recorder.stats(), usage(), exported(), fresh)))

    async def now_and_then() -> None:
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            report()

    async def flush(number: int) -> None:
        nonlocal flushed
        await recorder.flush()
        flushed = max(flushed, number)
        report()

    recorder.start()
    report()
    reporting = asyncio.create_task(now_and_then())
    flushing: set[asyncio.Task[None]] = set()
    seconds = CLOSE_SECONDS
    while (body := await _next_frame(reader)) is not None:
        match _requests.decode(body):
            case Told(events):
                told = await _next_frame(reader)
                if told is None:
                    break
                taken += events
                try:
                    recorder.put([each for some in _told.decode(told) for each in some], events)
                except msgspec.MsgspecError as error:
                    recorder.reject(events, error)
            case Flush(number):
                task = asyncio.create_task(flush(number))
                flushing.add(task)
                task.add_done_callback(flushing.discard)
            case Close(seconds):
                break
    for task in (reporting, *flushing):
        task.cancel()
    await recorder.close(timeout=seconds)
    report()
    with contextlib.suppress(ConnectionError):
        await out.drain()
    out.close()
