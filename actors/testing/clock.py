"""Virtual time: a clock that jumps, and an event loop whose pauses take none."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

START = datetime(2030, 1, 1, tzinfo=UTC)
"""When every harness begins, so that a test sees the same times each time."""
END_OF_TIME = 200 * 366 * 86_400
"""Seconds after which something is taken to wait for ever."""


class VirtualClock:
    """A clock that stands still until somebody waits for it, or moves it."""

    def __init__(self) -> None:
        self._start_ns = int(START.timestamp()) * 10**9
        self.passed = 0.0
        """Seconds since the start."""

    def time(self) -> float:
        """Return seconds since the epoch."""
        return self.time_ns() / 1e9

    def time_ns(self) -> int:
        """Return nanoseconds since the epoch, in whole microseconds."""
        return self._start_ns + round(self.passed * 1e6) * 1000

    def advance(self, seconds: float) -> None:
        """Let time pass.

        Raises:
            RuntimeError: two hundred years have passed.
        """
        alive = self.passed <= END_OF_TIME
        self.passed += seconds
        # Once: what is under way still has to be ended.
        if alive and self.passed > END_OF_TIME:
            raise RuntimeError("nothing is left that could go on: an activity waits for ever")


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop on a virtual clock: when there is nothing to do but wait, the clock jumps.

    While a thread works for it, or a socket is watched, time passes as it really does.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._threads = 0
        super().__init__(_JumpingSelector(clock, lambda: self._threads > 0))
        # asyncio's own name: timers this close are due. After some months a float no longer holds
        # the nanosecond that it is otherwise, and the loop would spin before a timer for ever.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self._clock.passed

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        working = super().run_in_executor(executor, func, *args)
        self._threads += 1
        working.add_done_callback(self._thread_ended)
        return working

    def _thread_ended(self, _: asyncio.Future[Any]) -> None:
        self._threads -= 1


class _JumpingSelector(selectors.DefaultSelector):
    """Waits for files that are ready, and jumps instead of waiting for the time to pass."""

    def __init__(self, clock: VirtualClock, threads_work: Callable[[], bool]) -> None:
        super().__init__()
        self._clock = clock
        self._threads_work = threads_work

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        # The loop's own wake-up is always registered.
        if timeout is None or self._threads_work() or len(self.get_map()) > 1:
            began = time.monotonic()
            found = super().select(timeout)
            self._clock.advance(time.monotonic() - began)
            return found
        found = super().select(0)
        if not found and timeout > 0:
            self._clock.advance(timeout)
        return found
