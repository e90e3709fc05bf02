"""Streams of server-sent events that tell when a trace has changed, and end when told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec

from storage import StorageError
from tracing.reader import TraceReader

INTERVAL_SECONDS = 0.5
QUIET_SECONDS = 15.0
"""After so long without news a comment is sent, so that nobody between takes it for dead."""
LIFE_SECONDS = 600.0
"""Then the stream ends and the browser opens another: nothing is held for ever."""
MAX_STREAMS = 500


class Streams:
    """The open streams of a process. None holds a thread; each costs a point read per interval."""

    def __init__(self) -> None:
        self._open: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self._stopped = False

    def __len__(self) -> int:
        return len(self._open)

    @property
    def full(self) -> bool:
        """Whether another stream would be one too many."""
        return self._stopped or len(self._open) >= MAX_STREAMS

    def stop(self) -> None:
        """End every stream at once; may be called from a signal handler or another thread."""
        self._stopped = True
        for event, loop in list(self._open.items()):
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)

    def resume(self) -> None:
        """Let streams be opened again."""
        self._stopped = False

    async def changes(self, reader: TraceReader, trace_id: str) -> AsyncIterator[bytes]:
        """Yield an event for each change of the trace, then "end" once it has ended."""
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        self._open[stop] = loop
        try:
            yield b"retry: 1000\n\n"
            known = ""
            began = spoke = loop.time()
            while not self._stopped and loop.time() - began < LIFE_SECONDS:
                try:
                    state = await reader.state(trace_id)
                except StorageError:
                    state = None
                if state is not None and state.etag != known:
                    known, spoke = state.etag, loop.time()
                    yield _event("change", {"events": state.events})
                    if state.ended:
                        yield _event("end", {})
                        return
                elif loop.time() - spoke > QUIET_SECONDS:
                    spoke = loop.time()
                    yield b": still here\n\n"
                if await _within(stop, INTERVAL_SECONDS):
                    return
        finally:
            del self._open[stop]


def _event(name: str, data: dict[str, int]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(data))


async def _within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


streams = Streams()
"""Those of this process."""
