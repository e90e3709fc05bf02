"""Time limits of an activity's attempt: as a whole, and between two signs of life."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

from actors.errors import ActivityTimeout

_pulse: ContextVar[_Pulse | None] = ContextVar("actors.heartbeat", default=None)


def heartbeat() -> None:
    """Say that the activity which calls this still works; its `heartbeat_timeout` begins anew.

    Plain functions may call it too: from their thread. Outside of an activity it does nothing.

    Raises:
        ActivityTimeout: the attempt was given up. A thread cannot be stopped from outside: a plain
            function that lets this pass through ends by it.
    """
    pulse = _pulse.get()
    if pulse is not None:
        pulse.beat()


class _Pulse:
    """The signs of life of one attempt."""

    def __init__(self, name: str, silence: asyncio.Timeout, seconds: float | None) -> None:
        self._name = name
        self._silence = silence
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self.over = False

    def beat(self) -> None:
        if self.over:
            raise ActivityTimeout(f"this attempt of the activity {self._name} was given up")
        if self._seconds is not None:
            self._loop.call_soon_threadsafe(self._prolong, self._seconds)

    def _prolong(self, seconds: float) -> None:
        if not self.over and not self._silence.expired():
            self._silence.reschedule(self._loop.time() + seconds)


@asynccontextmanager
async def limited(
    name: str, timeout: float | None, heartbeat_timeout: float | None
) -> AsyncIterator[None]:
    """Bound an attempt of the activity `name`: all of it, and the time without a heartbeat.

    Both are seconds; None is no bound.

    Raises:
        ActivityTimeout: the attempt took too long, or was silent for too long.
    """
    pulse = None
    token = None
    try:
        async with (
            asyncio.timeout(timeout) as whole,
            asyncio.timeout(heartbeat_timeout) as silence,
        ):
            pulse = _Pulse(name, silence, heartbeat_timeout)
            token = _pulse.set(pulse)
            yield
    except TimeoutError as error:
        # The activity may have met a time limit of its own, which is its own failure.
        if silence.expired():
            raise ActivityTimeout(
                f"the activity {name} gave no heartbeat for {heartbeat_timeout:g} seconds"
            ) from error
        if whole.expired():
            raise ActivityTimeout(f"the activity {name} took over {timeout:g} seconds") from error
        raise
    finally:
        if pulse is not None:
            pulse.over = True
        if token is not None:
            _pulse.reset(token)
